#include "calibration/calibrate.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "ir/error.h"

namespace lathe {
namespace {

// One thread's share.
struct Local {
  std::map<ValueId, Histogram> histograms;
  std::map<ValueId, ChannelMeans> means;
  std::map<ValueId, ChannelSums> channels;
};

// Adds to the sums of values that have an axis; `into` is ChannelMeans or ChannelSums by value.
template <class Sums>
void collect_channels(const std::map<ValueId, int64_t>& axes, ValueId id, const at::Tensor& floats,
                      std::map<ValueId, Sums>& into) {
  const auto axis = axes.find(id);
  if (axis == axes.end() || axis->second < 0 || axis->second >= floats.dim()) return;
  int64_t inner = 1;
  for (int64_t i = axis->second + 1; i < floats.dim(); ++i) inner *= floats.size(i);
  into[id].add({floats.data_ptr<float>(), static_cast<size_t>(floats.numel())},
               floats.size(axis->second), inner);
}

void collect(const CalibrationTargets& targets, ValueId id, const RuntimeValue& value,
             Local& local) {
  const bool ranged = targets.ranges.contains(id);
  if (!value.is_tensor() ||
      (!ranged && !targets.means.contains(id) && !targets.channels.contains(id)))
    return;
  const at::Tensor floats = value.tensor->to(at::kFloat).contiguous();
  if (ranged)
    local.histograms[id].add({floats.data_ptr<float>(), static_cast<size_t>(floats.numel())});
  collect_channels(targets.means, id, floats, local.means);
  collect_channels(targets.channels, id, floats, local.channels);
}

void refuse_non_finite(const Graph& graph, ValueId id, const Histogram& histogram) {
  if (histogram.non_finite() == 0) return;
  const Value& value = graph.value(id);
  const std::string producer = value.producer.valid()
                                   ? "node " + escape_untrusted(graph.node(value.producer).name)
                                   : "graph input";
  throw bad_input(
      "calibration.non_finite",
      fmt::format("{} elements of value '{}' are NaN or infinite on the calibration data",
                  histogram.non_finite(), escape_untrusted(value.name)),
      producer, "mend the data or the model, or --exclude what computes it");
}

// Runs all samples; every thread's share of those that `part`(sample) puts into each of `parts`.
std::vector<std::vector<Local>> collect_parts(const Interpreter& interpreter,
                                              const CalibrationTargets& targets,
                                              const SampleSource& source,
                                              const SampleRunOptions& options, size_t parts,
                                              const std::function<size_t(size_t)>& part,
                                              const OnCalibrated& on_calibrated) {
  const Graph& graph = interpreter.graph();
  const auto threads = static_cast<size_t>(std::max(1, options.threads));
  std::vector<std::vector<Local>> locals(parts, std::vector<Local>(threads));
  const auto work = [&](size_t sample, size_t worker, const std::vector<RuntimeValue>& inputs) {
    Local& local = locals.at(part(sample))[worker];
    for (size_t i = 0; i < inputs.size(); ++i)
      collect(targets, graph.inputs()[i], inputs[i], local);
    RunOptions run;
    run.check = options.check;
    run.on_value = [&](ValueId id, RuntimeValue& value) { collect(targets, id, value, local); };
    std::vector<RuntimeValue> outputs = interpreter.run(inputs, run);
    if (on_calibrated) on_calibrated(sample, inputs, outputs);
    return outputs;
  };
  for_each_sample(graph, source, options, work);
  return locals;
}

void merge(const std::vector<Local>& locals, Local& into) {
  for (const Local& local : locals) {
    for (const auto& [id, histogram] : local.histograms) into.histograms[id].merge(histogram);
    for (const auto& [id, sums] : local.means) into.means[id].merge(sums);
    for (const auto& [id, sums] : local.channels) into.channels[id].merge(sums);
  }
}

Statistics statistics_of(const Graph& graph, const Local& merged, size_t samples) {
  Statistics statistics;
  statistics.samples = static_cast<int64_t>(samples);
  for (const auto& [id, histogram] : merged.histograms)
    statistics.values[graph.value(id).name] = histogram;
  for (const auto& [id, sums] : merged.means)
    statistics.channel_means[graph.value(id).name] = sums.means();
  for (const auto& [id, sums] : merged.channels)
    statistics.channels[graph.value(id).name] = sums.statistics();
  return statistics;
}

void refuse_non_finite(const Graph& graph, const CalibrationTargets& targets,
                       Statistics& statistics) {
  for (const ValueId id : targets.ranges)
    refuse_non_finite(graph, id, statistics.values[graph.value(id).name]);
}

}  // namespace

Statistics calibrate(const Interpreter& interpreter, const CalibrationTargets& targets,
                     const SampleSource& source, const SampleRunOptions& options) {
  return calibrate_split(interpreter, targets, source, options, [](size_t) { return false; }).all;
}

SplitStatistics calibrate_split(const Interpreter& interpreter, const CalibrationTargets& targets,
                                const SampleSource& source, const SampleRunOptions& options,
                                const std::function<bool(size_t sample)>& held,
                                const OnCalibrated& on_calibrated) {
  const Graph& graph = interpreter.graph();
  const auto parts = collect_parts(
      interpreter, targets, source, options, 2, [&](size_t sample) { return held(sample) ? 1 : 0; },
      on_calibrated);
  size_t held_samples = 0;
  for (size_t i = 0; i < source.count; ++i) held_samples += held(i) ? 1 : 0;
  Local merged;
  merge(parts[0], merged);
  SplitStatistics split;
  split.fitted = statistics_of(graph, merged, source.count - held_samples);
  merge(parts[1], merged);
  split.all = statistics_of(graph, merged, source.count);
  refuse_non_finite(graph, targets, split.all);
  return split;
}

}  // namespace lathe
