#include "commands/quantize/statistics_source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "calibration/data_key.h"
#include "ir/error.h"
#include "onnx/write_model.h"
#include "os/read_file.h"
#include "os/sha256.h"
#include "passes/passes.h"

namespace lathe {
namespace {

constexpr const char* kRemove = "remove the file to calibrate anew";
constexpr const char* kRemoveOrOther = "remove the file, or choose another --statistics FILE";

std::string key_of_data(const QuantizeJob& job) {
  const std::string& data = job.options.data;
  return data.empty() ? "" : data_key(data, job.options.common.seed);
}

// By the names of the flags; what they decide is which values are measured.
std::map<std::string, std::string> flags_of(const QuantizeJob& job) {
  return {{"profile", job.profile.name},
          {"include", fmt::format("{}", fmt::join(job.options.include, " "))},
          {"exclude", fmt::format("{}", fmt::join(job.options.exclude, " "))}};
}

// "--exclude was op:Gemm, is not given now"; "" where nothing differs or is known.
std::string differing_flags(const QuantizeJob& job, const Statistics& saved) {
  const auto shown = [](const std::string& text) {
    return text.empty() ? std::string("not given") : escape_untrusted(text);
  };
  std::string differences;
  for (const auto& [flag, now] : flags_of(job)) {
    const auto then = saved.source.find(flag);
    if (then == saved.source.end() || then->second == now) continue;
    differences += fmt::format("{}--{} was {}, is {} now", differences.empty() ? "" : "; ", flag,
                               shown(then->second), shown(now));
  }
  return differences;
}

std::string place(const QuantizeJob& job) { return escape_untrusted(job.options.statistics); }

// nullptr: the file does not say.
const std::string* told(const Statistics& saved, const char* name) {
  const auto it = saved.source.find(name);
  return it == saved.source.end() ? nullptr : &it->second;
}

void note_other_data(const QuantizeJob& job, const Statistics& saved) {
  const std::string wanted = key_of_data(job);
  const std::string* data = told(saved, "data");
  const bool other_data = !wanted.empty() && (data == nullptr || *data != wanted);
  const bool more = job.options.samples && saved.samples > *job.options.samples;
  if (!other_data && !more) return;
  job.console.warn(
      "statistics.data",
      fmt::format("the statistics in {} were taken from {}; they are used as they are", place(job),
                  other_data ? "other data than --data" : "more samples than --samples"),
      kRemove);
}

// The file decides what is equalized.
void note_other_effort(const QuantizeJob& job, const Statistics& saved) {
  const std::string* effort = told(saved, "effort");
  const bool is_fast = job.options.effort == "fast";
  if (effort == nullptr || (*effort == "fast") == is_fast) return;
  job.console.warn("statistics.effort",
                   fmt::format("the statistics in {} were taken {} equalization, and so it stays",
                               place(job), is_fast ? "with" : "without"),
                   kRemove);
}

}  // namespace

std::optional<Statistics> saved_statistics(const QuantizeJob& job) {
  const std::string& file = job.options.statistics;
  if (file.empty() || !std::filesystem::exists(file)) return std::nullopt;
  return load_statistics(read_file(file, static_cast<int64_t>(kMaxStatisticsBytes)), file);
}

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

std::map<std::string, std::string> statistics_source(const QuantizeJob& job,
                                                     const std::string& model,
                                                     const std::string& graph) {
  std::map<std::string, std::string> source = flags_of(job);
  source["data"] = key_of_data(job);
  source["effort"] = job.options.effort;
  source["graph"] = graph;
  source["model"] = model;
  return source;
}

void check_network(const QuantizeJob& job, const Statistics& saved, const std::string& model) {
  if (saved.source.empty()) return;
  const std::string* taken_from = told(saved, "model");
  if (taken_from == nullptr || *taken_from != model)
    throw bad_input("statistics.model", "these statistics were taken from another network",
                    place(job), kRemoveOrOther);
  note_other_effort(job, saved);
}

void check_equalized(const QuantizeJob& job, const Statistics& saved, const std::string& graph) {
  if (saved.source.empty()) return;
  const std::string* taken_from = told(saved, "graph");
  if (taken_from == nullptr || *taken_from != graph)
    throw bad_input("statistics.graph",
                    "the network is not the one that was calibrated once it is equalized as these "
                    "statistics say: the file was edited, or another version of lathe wrote it",
                    place(job), kRemoveOrOther);
  note_other_data(job, saved);
}

void check_complete(const QuantizeJob& job, const Statistics& saved,
                    const PrecisionPlan& selection) {
  const Graph& graph = job.model.graph;
  const CalibrationTargets targets = calibration_targets(graph, selection);
  std::vector<ValueId> missing;
  for (const ValueId id : targets.ranges)
    if (!saved.values.contains(graph.value(id).name)) missing.push_back(id);
  for (const auto& [id, axis] : targets.means)
    if (!saved.channel_means.contains(graph.value(id).name) && targets.ranges.contains(id) &&
        saved.values.contains(graph.value(id).name))
      missing.push_back(id);
  if (missing.empty()) return;
  const std::string flags = differing_flags(job, saved);
  throw bad_input(
      "statistics.missing",
      fmt::format("{} of {} values to be quantized are not in these statistics ('{}' first), which "
                  "were taken with other flags{}{}",
                  missing.size(), targets.ranges.size(),
                  escape_untrusted(graph.value(missing.front()).name), flags.empty() ? "" : ": ",
                  flags),
      place(job), "remove the file to calibrate anew, or give the flags that it was taken with");
}

}  // namespace lathe
