#include "commands/quantize/calibrator.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "heavy/model_data.h"
#include "layers/held_samples.h"
#include "quantize/sensitivity/sensitivity_samples.h"

namespace lathe {

Calibrated calibrate_form(const QuantizeJob& job, const IntegerRules& rules,
                          const CalibrationSamples& samples, const Graph& graph,
                          const std::map<ValueId, int64_t>& channels, const std::string& label) {
  const PrecisionPlan selection = select_nodes(graph, rules);
  CalibrationTargets targets = calibration_targets(graph, selection);
  targets.channels = channels;
  const size_t count = samples.all().count;
  Calibrated result;
  result.statistics = calibrate_split(Interpreter(graph), targets, samples.all(),
                                      sample_run(job.threads, job.console, label, count),
                                      [&](size_t sample) { return is_held_out(sample, count); });
  const Observer asked = *observer_from_name(job.options.observer);
  const RangeTrial trial{graph, rules, selection, result.statistics.fitted, samples.judge()};
  if (asked == Observer::kAuto)
    result.chosen = choose_observers(trial);
  else
    try_observers(trial, std::string(observer_name(asked)), asked, result.chosen);
  return result;
}

void choose_by_outputs(const QuantizeJob& job, const IntegerRules& rules,
                       const CalibrationSamples& samples, const Graph& graph,
                       Calibrated& calibrated) {
  if (job.options.observer != observer_name(Observer::kAuto) || !can_be_differentiated(graph))
    return;
  SampleSource source = fitted_samples(samples.all());
  source.count = std::min(source.count, sensitivity_samples(graph));
  SensitivityOptions options;
  // One at a time: each holds a network's activations and their gradients.
  options.run = sample_run(1, job.console, "judging ranges", source.count);
  options.seed = job.options.common.seed;
  const PrecisionPlan selection = select_nodes(graph, rules);
  const RangeTrial trial{graph, rules, selection, calibrated.statistics.fitted, samples.judge()};
  try_observers(trial, "outputs", observers_by_outputs(trial, source, options), calibrated.chosen);
}

std::map<std::string, std::string> observer_names(const Graph& graph, const PrecisionPlan& plan) {
  std::map<std::string, std::string> names;
  for (const auto& [id, chosen] : plan.ranges)
    names[graph.value(id).name] = observer_name(chosen.observer);
  return names;
}

Observers observers_of(const Graph& graph, const Statistics& saved, Observer usual) {
  Observers observers = usual;
  if (usual != Observer::kAuto) return observers;
  for (const auto& [name, observer] : saved.observers)
    if (const ValueId id = graph.find_value(name); id.valid())
      observers.others[id] = *observer_from_name(observer);
  return observers;
}

}  // namespace lathe
