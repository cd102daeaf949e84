#include "commands/quantize/calibrate_form.h"

#include <algorithm>
#include <utility>

#include "commands/quantize/stage_time.h"
#include "heavy/model_data.h"
#include "layers/held_samples.h"
#include "quantize/sensitivity/sensitivity_samples.h"

namespace lathe {
namespace {

// Of --observer, or whole networks' best.
ChosenRanges ranges_of(const QuantizeJob& job, const RangeTrial& trial) {
  const Observer asked = *observer_from_name(job.options.observer);
  if (asked == Observer::kAuto) return choose_ranges(trial);
  ChosenRanges chosen;
  try_ranges(trial, std::string(observer_name(asked)), asked, chosen);
  return chosen;
}

}  // namespace

SplitStatistics measure_form(const QuantizeJob& job, const IntegerRules& rules,
                             CalibrationSamples& samples, const Graph& graph,
                             const std::map<ValueId, int64_t>& channels, const std::string& label,
                             const std::function<void()>& check) {
  const PrecisionPlan selection = select_nodes(graph, rules);
  CalibrationTargets targets = calibration_targets(graph, selection);
  targets.channels = channels;
  const bool is_reference = &graph == &job.model.graph;
  const auto keep = [&](size_t sample, const std::vector<RuntimeValue>& inputs,
                        const std::vector<RuntimeValue>& outputs) {
    if (is_reference) samples.judge().keep(sample, inputs, outputs);
  };
  SampleRunOptions run = sample_run(job.threads, job.console, label, samples.all().count);
  run.check = check;
  return calibrate_split(
      Interpreter(graph), targets, samples.all(), run,
      [](size_t sample) { return judges_ranges(sample); }, keep);
}

Calibrated with_ranges(const QuantizeJob& job, const IntegerRules& rules,
                       const CalibrationSamples& samples, const Graph& graph,
                       SplitStatistics statistics) {
  ChosenRanges chosen = ranges_of(
      job, {graph, rules, select_nodes(graph, rules), statistics.all, samples.judge()});
  return {std::move(statistics), std::move(chosen)};
}

CompareResult errors_unseen(const QuantizeJob& job, const IntegerRules& rules,
                            const CalibrationSamples& samples, const Graph& graph,
                            const SplitStatistics& statistics) {
  return ranges_of(job,
                   {graph, rules, select_nodes(graph, rules), statistics.fitted, samples.judge()})
      .errors;
}

void choose_by_outputs(const QuantizeJob& job, const IntegerRules& rules,
                       const CalibrationSamples& samples, const Graph& graph,
                       Calibrated& calibrated) {
  if (job.options.observer != observer_name(Observer::kAuto) || gradient_runs(graph) == 0)
    return;
  SampleSource source = samples.all();
  source.count = std::min((source.count + 1) / 2, gradient_samples(graph));
  // Those that do not judge ranges.
  source.sample = [all = samples.all().sample](size_t i) { return all(2 * i); };
  SensitivityOptions options;
  options.probes = 1;  // many samples say more
  options.run = sample_run(job.threads, job.console, "judging ranges", source.count);
  options.run.check = stage_check(job);
  options.seed = job.options.common.seed;
  const PrecisionPlan selection = select_nodes(graph, rules);
  const RangeTrial trial{graph, rules, selection, calibrated.statistics.all, samples.judge()};
  try_ranges(trial, "outputs", ranges_by_outputs(trial, calibrated.chosen.rules, source, options),
             calibrated.chosen);
}

std::map<std::string, std::string> range_texts(const Graph& graph, const PrecisionPlan& plan,
                                               const RangeRules& rules) {
  std::map<std::string, std::string> texts;
  for (const auto& [id, chosen] : plan.ranges)
    texts[graph.value(id).name] = range_rule_text(RangeRule(chosen.observer, rules.at(id).reach));
  return texts;
}

RangeRules rules_of(const Graph& graph, const Statistics& saved, Observer usual) {
  RangeRules rules = usual;
  if (usual != Observer::kAuto) return rules;
  for (const auto& [name, text] : saved.ranges)
    if (const ValueId id = graph.find_value(name); id.valid())
      if (const auto rule = range_rule_from_text(text)) rules.others.insert_or_assign(id, *rule);
  return rules;
}

}  // namespace lathe
