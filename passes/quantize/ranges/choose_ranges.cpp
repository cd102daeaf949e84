#include "quantize/ranges/choose_ranges.h"

#include <utility>

#include "quantize/diagnose/output_sqnr.h"

namespace lathe {
namespace {

// What more than good luck is, in dB: a range that clips has more ways to be wrong on other samples
// than those that judge.
constexpr double kClearGain = 0.25;
constexpr double kClearGainOfFew = 1;
constexpr size_t kFewSamples = 16;

// A value's own range must save a share of the noise of all values, and of its own noise.
constexpr double kLeastOfAll = 0.002;
constexpr double kLeastOfOwn = 0.1;
// More noise than this share of the outputs does not reach them to first order.
constexpr double kMostLinear = 0.1;

std::vector<RangeRule> rules_of_values() {
  std::vector<RangeRule> rules{Observer::kMinMax, Observer::kAuto};
  // Halves of halves of a bit.
  for (const double reach : {0.84, 0.71, 0.59, 0.5, 0.42, 0.35, 0.25})
    rules.emplace_back(Observer::kMinMax, reach);
  return rules;
}

Graph quantized(const RangeTrial& trial, const RangeRules& rules) {
  Graph graph = trial.graph;
  PrecisionPlan plan = plan_precision(graph, trial.rules, trial.selection, trial.statistics, rules);
  correct_bias(graph, plan, trial.statistics);
  insert_qdq(graph, plan);
  return graph;
}

}  // namespace

void try_ranges(const RangeTrial& trial, const std::string& name, const RangeRules& rules,
                ChosenRanges& chosen) {
  const CompareResult errors = trial.judge.judge(quantized(trial, rules));
  const bool first = chosen.tried.empty();
  chosen.tried.push_back({name, output_sqnr(errors)});
  const double least = errors.samples < kFewSamples ? kClearGainOfFew : kClearGain;
  if (!first && (!improves_outputs(chosen.errors, errors) ||
                 output_sqnr(errors) < output_sqnr(chosen.errors) + least))
    return;
  chosen.rules = rules;
  chosen.name = name;
  chosen.errors = errors;
}

ChosenRanges choose_ranges(const RangeTrial& trial) {
  ChosenRanges chosen;
  for (const Observer observer : {Observer::kMinMax, Observer::kAuto})
    try_ranges(trial, std::string(observer_name(observer)), observer, chosen);
  return chosen;
}

RangeRules ranges_by_outputs(const RangeTrial& trial, const RangeRules& base,
                             const SampleSource& source, const SensitivityOptions& options) {
  const auto plan_by = [&](const RangeRules& rules) {
    PrecisionPlan plan = trial.selection;
    plan_values(trial.graph, trial.rules, plan, trial.statistics, rules);
    return plan;
  };
  std::vector<PrecisionPlan> plans{plan_by(base)};
  const std::vector<RangeRule> rules = rules_of_values();
  for (const RangeRule& rule : rules) {
    RangeRules all = rule.observer;
    all.usual = rule;
    plans.push_back(plan_by(all));
  }
  const auto noise = measure_values(trial.graph, plans, source, options);
  double total = 0;
  for (const auto& [id, of_base] : noise.front()) total += of_base;
  RangeRules chosen = base;
  for (const auto& [id, of_base] : noise.front()) {
    if (of_base > kMostLinear) continue;
    double least = of_base - std::max(kLeastOfAll * total, kLeastOfOwn * of_base);
    for (size_t k = 0; k < rules.size(); ++k) {
      if (!(noise[k + 1].at(id) < least)) continue;
      least = noise[k + 1].at(id);
      chosen.others.insert_or_assign(id, rules[k]);
    }
  }
  return chosen;
}

}  // namespace lathe
