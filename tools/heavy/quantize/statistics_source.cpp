#include "heavy/quantize/statistics_source.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "heavy/quantize/deciding_metric.h"
#include "ir/error.h"
#include "onnx/write_model.h"
#include "os/read_file.h"
#include "os/sha256.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr int64_t kMaxStatisticsBytes = int64_t{1} << 30;

std::string key_of_data(const QuantizeJob& job) {
  return job.options.data.empty() ? "" : data_key(job.options.data, job.options.common);
}

// "source" of the file; null where it has none. Damage is load_statistics()'s to tell.
json source_in(const json& root) {
  return root.is_object() && root.contains("source") ? root["source"] : json();
}

void note_other_data(const QuantizeJob& job, const json& root) {
  const std::string wanted = key_of_data(job);
  const bool other_data = !wanted.empty() && source_in(root).value("data", json()) != wanted;
  const json taken = root.value("samples", json());
  const bool more = job.options.samples && taken.is_number_integer() &&
                    taken.get<int64_t>() > *job.options.samples;
  if (!other_data && !more) return;
  job.console.warn(
      "statistics.data",
      fmt::format("the statistics in {} were taken from {}; they are used as they are",
                  escape_untrusted(job.options.statistics),
                  other_data ? "other data than --data" : "more samples than --samples"),
      "remove the file to calibrate anew");
}

// The file decides what is equalized.
void note_other_effort(const QuantizeJob& job, const json& told) {
  const bool was_fast = told.value("effort", json()) == "fast";
  const bool is_fast = job.options.effort == "fast";
  if (!told.contains("effort") || was_fast == is_fast) return;
  job.console.warn("statistics.effort",
                   fmt::format("the statistics in {} were taken {} equalization, and so it stays",
                               escape_untrusted(job.options.statistics),
                               was_fast ? "without" : "with"),
                   "remove the file to calibrate anew");
}

}  // namespace

std::string graph_identity(const QuantizeJob& job) {
  if (job.options.statistics.empty()) return {};
  WriteOptions options;
  options.data_file = "data";
  const WrittenModel written = write_onnx(job.model, options);
  Sha256 hash;
  hash.update(written.model_bytes);
  for (const ExternalPiece& piece : written.external) hash.update(piece.tensor.bytes());
  return hash.hex();
}

std::string with_source(const std::string& statistics, const QuantizeJob& job,
                        const StatisticsSource& source) {
  const json member = {
      {"data", key_of_data(job)},
      {"effort", job.options.effort},
      {"graph", source.graph},
      {"model", source.model}};
  return "{\"source\":" + member.dump() + "," + statistics.substr(1);
}

void check_source(const QuantizeJob& job, const StatisticsSource& source) {
  const std::string& file = job.options.statistics;
  if (file.empty() || !std::filesystem::exists(file)) return;
  const json root = json::parse(read_file(file, kMaxStatisticsBytes), nullptr, false);
  const json told = source_in(root);
  if (!told.is_object()) return;
  if (told.value("model", json()) != source.model)
    throw bad_input("statistics.model", "these statistics were taken from another network",
                    escape_untrusted(file), "remove the file, or choose another --statistics FILE");
  if (source.graph.empty()) {
    note_other_effort(job, told);
    return;
  }
  if (told.value("graph", json()) != source.graph)
    throw bad_input("statistics.graph",
                    "these statistics were taken with other flags, which equalized the network "
                    "differently (--effort, --include, --exclude)",
                    escape_untrusted(file), "remove the file, or choose another --statistics FILE");
  note_other_data(job, root);
}

}  // namespace lathe
