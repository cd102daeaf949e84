#include "quantize/ranges/choose_observers.h"

#include <array>
#include <utility>

#include "quantize/diagnose/output_sqnr.h"

namespace lathe {
namespace {

// What more than good luck is, in dB: a range that clips has more ways to be wrong on other samples
// than those that judge.
constexpr double kClearGain = 0.25;
constexpr double kClearGainOfFew = 0.5;
constexpr size_t kFewSamples = 8;

constexpr std::array kOfValues{Observer::kMinMax, Observer::kPercentile, Observer::kEntropy,
                               Observer::kMse};

Graph quantized(const RangeTrial& trial, const Observers& observers) {
  Graph graph = trial.graph;
  PrecisionPlan plan =
      plan_precision(graph, trial.rules, trial.selection, trial.statistics, observers);
  correct_bias(graph, plan, trial.statistics);
  insert_qdq(graph, plan);
  return graph;
}

}  // namespace

void try_observers(const RangeTrial& trial, const std::string& name, const Observers& observers,
                   ChosenObservers& chosen) {
  const CompareResult errors = trial.judge.judge(quantized(trial, observers));
  const bool first = chosen.tried.empty();
  chosen.tried.push_back({name, output_sqnr(errors)});
  const double least = errors.samples < kFewSamples ? kClearGainOfFew : kClearGain;
  if (!first && (!improves_outputs(chosen.errors, errors) ||
                 output_sqnr(errors) < output_sqnr(chosen.errors) + least))
    return;
  chosen.observers = observers;
  chosen.name = name;
  chosen.errors = errors;
}

ChosenObservers choose_observers(const RangeTrial& trial) {
  ChosenObservers chosen;
  for (const Observer observer : {Observer::kMinMax, Observer::kAuto})
    try_observers(trial, std::string(observer_name(observer)), observer, chosen);
  return chosen;
}

Observers observers_by_outputs(const RangeTrial& trial, const SampleSource& source,
                               const SensitivityOptions& options) {
  std::vector<PrecisionPlan> plans;
  for (const Observer observer : kOfValues) {
    plans.push_back(trial.selection);
    plan_values(trial.graph, trial.rules, plans.back(), trial.statistics, observer);
  }
  const auto noise = measure_values(trial.graph, plans, source, options);
  Observers observers = Observer::kMinMax;
  for (const auto& [id, of_extremes] : noise.front()) {
    double least = of_extremes;
    for (size_t k = 1; k < plans.size(); ++k) {
      if (!(noise[k].at(id) < least)) continue;
      least = noise[k].at(id);
      observers.others[id] = kOfValues[k];
    }
  }
  return observers;
}

}  // namespace lathe
