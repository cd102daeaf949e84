#include "gates/gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "gates/gate_metric.h"

namespace lathe {
namespace {

bool satisfies(double value, GateComparison comparison, double limit) {
  switch (comparison) {
    case GateComparison::kLess: return value < limit;
    case GateComparison::kLessEqual: return value <= limit;
    case GateComparison::kGreater: return value > limit;
    case GateComparison::kGreaterEqual: return value >= limit;
  }
  throw InternalError("satisfies: unknown comparison");
}

bool has_value(const Observed& observed) {
  return observed.value && std::isfinite(*observed.value);
}

// An interval of a quotient from the intervals of both sides: wider than needed, never too narrow.
Observed quotient(const Observed& over, const Observed& under) {
  Observed result;
  if (!has_value(over) || !has_value(under)) {
    result.reason = has_value(over) ? "against: " + under.reason : over.reason;
    return result;
  }
  if (*under.value <= 0) {
    result.reason = "the against model's value is 0";
    return result;
  }
  result.value = *over.value / *under.value;
  if (over.ci95 && under.ci95 && under.ci95->low > 0) {
    result.ci95 = Interval{over.ci95->low / under.ci95->high, over.ci95->high / under.ci95->low};
  }
  return result;
}

Observed inverse(const Observed& ratio) {
  Observed result = ratio;
  if (has_value(ratio) && *ratio.value > 0) result.value = 1 / *ratio.value;
  if (ratio.ci95 && ratio.ci95->low > 0) {
    result.ci95 = Interval{1 / ratio.ci95->high, 1 / ratio.ci95->low};
  }
  return result;
}

const Observed* find(const Observations& observations, const std::string& metric) {
  const auto at = observations.find(metric);
  return at == observations.end() ? nullptr : &at->second;
}

GateResult failed(GateResult result, std::string reason) {
  result.verdict = GateVerdict::kFail;
  result.reason = std::move(reason);
  return result;
}

GateResult judge(GateResult result, const Observed& observed, bool sampled) {
  result.ci95 = observed.ci95;
  const bool is_positive_infinity = observed.value && *observed.value == HUGE_VAL;
  if (!sampled && observed.value && !std::isfinite(*observed.value) && !is_positive_infinity)
    return failed(result, "not finite: the model computes NaN or infinity");
  if (!sampled && is_positive_infinity) {
    const bool holds = satisfies(*observed.value, result.gate.comparison, result.limit);
    result.verdict = holds ? GateVerdict::kPass : GateVerdict::kFail;
    result.reason = "infinite: there is no difference";
    return result;
  }
  if (!has_value(observed) && !sampled)
    return failed(result, observed.reason.empty() ? "not known" : observed.reason);
  if (!has_value(observed)) {
    result.reason = observed.reason.empty() ? "the value is withheld" : observed.reason;
    return result;
  }
  result.observed = observed.value;
  const GateComparison comparison = result.gate.comparison;
  if (!sampled) {
    result.verdict = satisfies(*observed.value, comparison, result.limit) ? GateVerdict::kPass
                                                                          : GateVerdict::kFail;
    return result;
  }
  if (!observed.ci95) {
    result.reason = observed.reason.empty() ? "too few samples for an interval" : observed.reason;
    return result;
  }
  const bool low = satisfies(observed.ci95->low, comparison, result.limit);
  const bool high = satisfies(observed.ci95->high, comparison, result.limit);
  if (low == high) {
    result.verdict = low ? GateVerdict::kPass : GateVerdict::kFail;
  } else {
    result.reason = "the limit lies within the interval; more samples would narrow it";
  }
  return result;
}

}  // namespace

std::string_view gate_verdict_name(GateVerdict verdict) {
  static constexpr std::string_view kNames[] = {"pass", "fail", "inconclusive"};
  return kNames[static_cast<size_t>(verdict)];
}

Observations latency_observations(const Summary& summary) {
  Observations seen;
  seen["min"].value = summary.min;
  seen["max"].value = summary.max;
  seen["std"].value = summary.stdev;
  if (!summary.stdev) seen["std"].reason = "needs 2 samples";
  seen["median"] = {summary.median.value, summary.median.ci95, {}};
  Observed& mean = seen["mean"];
  mean.value = summary.mean;
  // Normal theory wants some samples; below that the mean has no interval.
  constexpr double kEnoughForNormal = 30;
  if (summary.stdev && summary.effective_n >= kEnoughForNormal) {
    const double half = 1.96 * *summary.stdev / std::sqrt(summary.effective_n);
    mean.ci95 = Interval{summary.mean - half, summary.mean + half};
  } else {
    mean.reason = "too few independent samples for an interval";
  }
  for (const Percentile& percentile : summary.percentiles) {
    seen[fmt::format("p{:g}", percentile.p * 100)] = {percentile.value, percentile.ci95,
                                                      percentile.reason};
  }
  return seen;
}

void require_against(std::span<const Gate> gates, bool has_against) {
  if (has_against) return;
  for (const Gate& gate : gates) {
    if (!gate.relative && gate.metric != "speedup") continue;
    throw bad_usage("gate.needs_against", "this gate compares with another model",
                    "gate \"" + escape_untrusted(gate.text) + "\"",
                    "give --against MODEL or --baseline REPORT");
  }
}

bool is_decibel_gate(const Gate& gate) {
  return gate.metric == "accuracy" && gate.text.ends_with("dB");
}

bool is_timed(const Gate& gate) {
  const GateMetric* metric = find_gate_metric(gate.metric);
  return metric != nullptr && metric->of_machine;
}

bool is_simulated(const Gate& gate) {
  const GateMetric* metric = find_gate_metric(gate.metric);
  return metric != nullptr && metric->of_machine && !metric->sensed;
}

bool gates_need_timing(std::span<const Gate> gates) {
  return std::any_of(gates.begin(), gates.end(), [](const Gate& gate) {
    return is_timed(gate) && gate.basis == GateBasis::kMeasured;
  });
}

size_t samples_for_gates(std::span<const Gate> gates, size_t otherwise) {
  size_t samples = otherwise;
  for (const Gate& gate : gates) {
    const GateMetric* metric = find_gate_metric(gate.metric);
    if (metric != nullptr && metric->p > 0 && gate.basis == GateBasis::kMeasured)
      samples = std::max(samples, samples_needed(metric->p));
  }
  return samples;
}

GateResult evaluate_gate(const Gate& gate, const GateInputs& inputs) {
  const GateMetric* metric = find_gate_metric(gate.metric);
  if (metric == nullptr) throw InternalError("evaluate_gate: unknown metric " + gate.metric);
  GateResult result;
  result.gate = gate;
  result.limit = gate.limit;
  if (gate.macs && !inputs.macs) {
    result.reason = "the network's multiply-accumulates are not known, so its class is not";
    return result;
  }
  if (gate.basis == GateBasis::kNothing) {
    result.reason = gate.undecided;
    return result;
  }
  if (gate.basis == GateBasis::kSimulated) {
    const Observed* simulated = find(inputs.simulated, gate.metric);
    if (simulated != nullptr && has_value(*simulated)) return judge(result, *simulated, false);
    result.reason = simulated != nullptr ? simulated->reason : "this is not simulated";
    return result;
  }
  if (gate.metric == "speedup") {
    if (!inputs.time_ratio) return failed(result, "speedup was not measured: it needs --against");
    return judge(result, inverse(*inputs.time_ratio), true);
  }
  const bool is_time = gate.unit == GateUnit::kNanoseconds;
  if (gate.relative && is_time && metric->paired && inputs.time_ratio) {
    return judge(result, *inputs.time_ratio, true);
  }
  const Observed* candidate = find(inputs.candidate, gate.metric);
  if (candidate == nullptr) return failed(result, gate.metric + " was not measured");
  if (metric->sensed && !has_value(*candidate)) {
    result.reason = candidate->reason;
    return result;
  }
  if (!gate.relative) return judge(result, *candidate, metric->sampled);

  const Observed* against = inputs.against ? find(*inputs.against, gate.metric) : nullptr;
  if (against == nullptr) {
    return failed(result, gate.metric + " of the against model was not measured");
  }
  if (is_time) return judge(result, quotient(*candidate, *against), metric->sampled);
  if (!has_value(*against)) return failed(result, "against: " + against->reason);
  result.limit = gate.limit * *against->value;
  return judge(result, *candidate, metric->sampled);
}

ExitCode gates_exit_code(std::span<const GateResult> results) {
  const auto any = [results](GateVerdict verdict) {
    return std::any_of(results.begin(), results.end(),
                       [verdict](const GateResult& r) { return r.verdict == verdict; });
  };
  if (any(GateVerdict::kFail)) return ExitCode::kGateMissed;
  return any(GateVerdict::kInconclusive) ? ExitCode::kInconclusive : ExitCode::kDone;
}

}  // namespace lathe
