#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "calibration/calibrate.h"
#include "calibration/choose_range.h"
#include "ir/error.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr const char* kSchema = "lathe.statistics";
constexpr double kSmallestScale = 1e-6;
constexpr double kLargestScale = 1e6;

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

// Members of ChannelStatistics under their names.
template <class Channels>
auto named_lists(Channels& channels) {
  return std::array{std::pair{"min", &channels.min},
                    std::pair{"max", &channels.max},
                    std::pair{"mean", &channels.mean},
                    std::pair{"mean_square", &channels.mean_square},
                    std::pair{"peak_mean", &channels.peak_mean},
                    std::pair{"peak_mean_square", &channels.peak_mean_square}};
}

json channel_rows(const std::map<std::string, ChannelStatistics>& channels) {
  json rows = json::object();
  for (const auto& [name, found] : channels)
    for (const auto& [list, numbers] : named_lists(found)) rows[name][list] = *numbers;
  return rows;
}

ChannelStatistics restore_channels(const json& row) {
  ChannelStatistics found;
  for (const auto& [list, numbers] : named_lists(found)) {
    *numbers = row.at(list).get<std::vector<double>>();
    if (numbers->size() != found.channels())
      throw bad_input("statistics.channels", "lists of one value's channels differ in length");
  }
  return found;
}

// Members that files of earlier versions do not have.
void load_later_members(const json& root, Statistics& statistics) {
  if (const auto told = root.find("source"); told != root.end())
    statistics.source = told->get<std::map<std::string, std::string>>();
  if (const auto names = root.find("ranges"); names != root.end())
    statistics.ranges = names->get<std::map<std::string, std::string>>();
  for (const auto& [value, rule] : statistics.ranges)
    if (!range_rule_from_text(rule))
      throw bad_input("statistics.ranges", "a value's range is chosen by no rule that is known");
  if (const auto rows = root.find("channels"); rows != root.end())
    for (const auto& [name, row] : rows->items()) statistics.channels[name] = restore_channels(row);
  if (const auto rows = root.find("scales"); rows != root.end())
    for (const auto& [name, factors] : rows->items()) {
      statistics.scales[name] = factors.get<std::vector<double>>();
      for (const double factor : statistics.scales[name])
        if (!(factor >= kSmallestScale && factor <= kLargestScale))
          throw bad_input("statistics.scales", "a channel's scale is out of range");
    }
}

constexpr const char* kAdvice =
    "remove the file and run again: --statistics writes it anew from --data";

// The strict reader speaks of flags and profiles, whose errors are the user's usage; these are
// data.
json parse_statistics(const std::string& text, const std::string& file) {
  try {
    return parse_json_strict(text, file, ExitCode::kUsage, kMaxStatisticsBytes);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kUsage) throw;
    throw bad_input("statistics.malformed",
                    "the statistics file is damaged: " + error.text().message, error.text().where,
                    kAdvice);
  }
}

Statistics restore_statistics(const json& root) {
  Statistics statistics;
  statistics.samples = root.at("samples").get<int64_t>();
  if (statistics.samples < 0 || !root.at("values").is_object() ||
      !root.at("channel_means").is_object())
    throw bad_input("statistics.malformed", "samples, values or channel_means have another form");
  for (const auto& [name, value] : root.at("values").items())
    statistics.values[name] = Histogram::restore(
        value.at("exponent").get<int>(), dense_bins(value.at("bins")), value.at("min").get<float>(),
        value.at("max").get<float>(), value.at("non_finite").get<int64_t>());
  for (const auto& [name, means] : root.at("channel_means").items())
    statistics.channel_means[name] = means.get<std::vector<double>>();
  load_later_members(root, statistics);
  return statistics;
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
  json file = {{"schema", kSchema},
               {"schema_version", "1.0"},
               {"samples", statistics.samples},
               {"channel_means", statistics.channel_means},
               {"values", std::move(values)}};
  if (!statistics.channels.empty()) file["channels"] = channel_rows(statistics.channels);
  if (!statistics.scales.empty()) file["scales"] = statistics.scales;
  if (!statistics.ranges.empty()) file["ranges"] = statistics.ranges;
  if (!statistics.source.empty()) file["source"] = statistics.source;
  return file.dump() + "\n";
}

Statistics load_statistics(const std::string& text, const std::string& file) {
  const json root = parse_statistics(text, file);
  const std::string place = escape_untrusted(file);
  if (!root.is_object() || root.value("schema", json()) != kSchema)
    throw bad_input("statistics.schema", "this is no statistics file of lathe", place,
                    "choose another --statistics FILE; one that does not exist is written");
  try {
    return restore_statistics(root);
  } catch (const json::exception& error) {
    throw bad_input("statistics.malformed",
                    "the statistics file is damaged: " + escape_untrusted(error.what()), place,
                    kAdvice);
  } catch (const Error& error) {
    throw bad_input(error.id(), "the statistics file is damaged: " + error.text().message, place,
                    kAdvice);
  }
}

}  // namespace lathe
