#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "calibration/calibrate.h"
#include "ir/error.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr const char* kSchema = "lathe.statistics";

// Runs of [first bin, count, count, …]: most bins of most values are empty.
json sparse_bins(const std::vector<int64_t>& bins) {
  json runs = json::array();
  for (size_t i = 0; i < bins.size(); ++i) {
    if (bins[i] == 0) continue;
    json run = json::array({i});
    for (; i < bins.size() && bins[i] != 0; ++i) run.push_back(bins[i]);
    runs.push_back(std::move(run));
  }
  return runs;
}

std::vector<int64_t> dense_bins(const json& runs) {
  if (!runs.is_array()) throw bad_input("statistics.malformed", "bins must be a list");
  std::vector<int64_t> bins(2 * Histogram::kSideBins, 0);
  for (const json& run : runs) {
    const auto first = run.at(0).get<size_t>();
    if (first >= bins.size() || run.size() - 1 > bins.size() - first)
      throw bad_input("statistics.bins", "a histogram has bins outside its range");
    for (size_t i = 1; i < run.size(); ++i) bins[first + i - 1] = run[i].get<int64_t>();
  }
  return bins;
}

// The strict reader speaks of flags and profiles, whose errors are the user's usage; these are
// data.
json parse_statistics(const std::string& text, const std::string& file) {
  try {
    return parse_json_strict(text, file);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kUsage) throw;
    throw bad_input(error.id(), error.text().message, error.text().where, error.text().hint);
  }
}

}  // namespace

std::string save_statistics(const Statistics& statistics) {
  json values = json::object();
  for (const auto& [name, histogram] : statistics.values)
    values[name] = {{"exponent", histogram.exponent()},
                    {"min", histogram.min()},
                    {"max", histogram.max()},
                    {"non_finite", histogram.non_finite()},
                    {"bins", sparse_bins(histogram.bins())}};
  const json file = {{"schema", kSchema},
                     {"schema_version", "1.0"},
                     {"samples", statistics.samples},
                     {"channel_means", statistics.channel_means},
                     {"values", std::move(values)}};
  return file.dump() + "\n";
}

Statistics load_statistics(const std::string& text, const std::string& file) {
  const json root = parse_statistics(text, file);
  try {
    if (root.at("schema") != kSchema)
      throw bad_input("statistics.schema", "this is no statistics file of lathe", file,
                      "write one with quantize --statistics");
    Statistics statistics;
    statistics.samples = root.at("samples").get<int64_t>();
    if (statistics.samples < 0 || !root.at("values").is_object() ||
        !root.at("channel_means").is_object())
      throw bad_input("statistics.malformed", "the statistics file is damaged", file);
    for (const auto& [name, value] : root.at("values").items())
      statistics.values[name] =
          Histogram::restore(value.at("exponent").get<int>(), dense_bins(value.at("bins")),
                             value.at("min").get<float>(), value.at("max").get<float>(),
                             value.at("non_finite").get<int64_t>());
    for (const auto& [name, means] : root.at("channel_means").items())
      statistics.channel_means[name] = means.get<std::vector<double>>();
    return statistics;
  } catch (const json::exception& error) {
    throw bad_input("statistics.malformed",
                    "the statistics file is damaged: " + escape_untrusted(error.what()), file);
  } catch (const Error& error) {
    throw error.text().where.empty() ? error.within(file) : error;
  }
}

}  // namespace lathe
