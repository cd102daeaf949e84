#include "commands/bench/rows.h"

#include <nlohmann/json.hpp>

#include <cmath>

#include "report/report.h"
#include "statistics/latency_histogram.h"

namespace lathe {

using nlohmann::json;

namespace {

constexpr size_t kMaxRatios = 1000;

// As many digits as a plot can show: reports of many cases stay small.
double rounded(double value, double unit) { return std::round(value * unit) / unit; }

}  // namespace

json interval_json(const std::optional<Interval>& interval) {
  return interval ? json{interval->low, interval->high} : json(nullptr);
}

json latency_json(const Summary& summary) {
  json out{{"min", summary.min}, {"max", summary.max}, {"mean", summary.mean},
           {"mad", summary.mad}, {"iqr", summary.iqr}, {"percentiles", json::array()}};
  out["median"] = {{"value", summary.median.value}, {"ci95", interval_json(summary.median.ci95)}};
  if (!summary.median.ci95) out["median"]["ci95_reason"] = kFewSamples;
  put_or_reason(out, "stdev", summary.stdev, "needs two samples");
  put_or_reason(out, "cv", summary.cv, "needs two samples");
  for (const Percentile& percentile : summary.percentiles) {
    json row{{"p", percentile.p}, {"ci95", interval_json(percentile.ci95)}};
    put_or_reason(row, "value", percentile.value, percentile.reason);
    if (!percentile.reason.empty()) row["reason"] = percentile.reason;
    if (!percentile.ci95)
      row["ci95_reason"] = percentile.reason.empty() ? kFewSamples : percentile.reason;
    out["percentiles"].push_back(std::move(row));
  }
  return out;
}

json histogram_json(std::span<const double> samples_ns) {
  const LatencyHistogram histogram = latency_histogram(samples_ns);
  json bins = json::array();
  if (histogram.below_one > 0) bins.push_back({0, 1, histogram.below_one});
  for (const LatencyBin& bin : histogram.bins)
    bins.push_back({rounded(bin.low, 10), rounded(bin.high, 10), bin.count});
  return {{"scale", "log"}, {"per_octave", histogram.per_octave}, {"bins", std::move(bins)}};
}

void put_block_ratios(json& row, const std::vector<std::vector<double>>& log_ratios) {
  const Thinned few = thinned(log_ratios, kMaxRatios);
  json processes = json::array();
  for (const std::vector<double>& series : few.series) {
    json ratios = json::array();
    for (const double value : series) ratios.push_back(rounded(std::exp(value), 1e5));
    processes.push_back(std::move(ratios));
  }
  row["block_ratios"] = std::move(processes);
  row.erase("block_ratios_every");
  if (few.every > 1) row["block_ratios_every"] = few.every;
}

json comparison_row(const std::string& id, const Comparison& comparison,
                    const std::vector<std::vector<double>>& log_ratios) {
  json row{{"id", id},
           {"verdict", comparison_verdict_name(comparison.verdict)},
           {"effective_delta", comparison.effective_tolerance},
           {"confidence", comparison.confidence},
           {"p_regressed", comparison.p_regressed},
           {"p_improved", comparison.p_improved},
           {"note", comparison.note},
           {"processes", comparison.processes},
           {"process_ratios", comparison.process_ratios},
           {"pairs", comparison.pairs},
           {"effective_pairs", comparison.effective_pairs},
           {"order_effect", comparison.order_effect},
           {"block_iterations", comparison.block_iterations},
           {"looks", comparison.looks},
           {"time_ns", comparison.time_ns},
           {"stop_reason", stop_reason_name(comparison.stop_reason)},
           {"ratio", {{"ci95", interval_json(comparison.interval)}}}};
  put_or_reason(row["ratio"], "value", comparison.ratio, comparison.note);
  if (!comparison.interval) row["ratio"]["ci95_reason"] = comparison.note;
  put_or_reason(row, "noise_floor", comparison.noise_floor, comparison.note);
  put_block_ratios(row, log_ratios);
  return row;
}

json throughput_json(const Estimate& items_per_s) {
  json out{{"items_per_s", items_per_s.value}, {"ci95", interval_json(items_per_s.ci95)}};
  if (!items_per_s.ci95) out["ci95_reason"] = kFewSamples;
  return out;
}

json warm_up_json(const WarmUp& warm) {
  return {{"iterations", warm.iterations},
          {"time_ns", warm.time_ns},
          {"converged", warm.converged},
          {"stop_reason", stop_reason_name(warm.stop_reason)}};
}

json stability_json(const Summary& summary, StopReason reason,
                    const std::optional<TwoModes>& modes) {
  json out{{"autocorr_lag1", summary.autocorrelation_lag1},
           {"effective_n", summary.effective_n},
           {"bimodal", modes.has_value()},
           {"outliers", {{"mild", summary.outliers.mild}, {"severe", summary.outliers.severe}}},
           {"verdict", reason == StopReason::kConverged    ? "stable"
                       : reason == StopReason::kIterations ? "not judged"
                                                           : "not converged"}};
  if (modes)
    out["modes"] = {{"low", modes->low},
                    {"high", modes->high},
                    {"high_share", modes->high_share},
                    {"explained", modes->explained}};
  put_or_reason(out, "drift_pct",
                summary.drift ? std::optional(100 * *summary.drift) : std::nullopt,
                "too few samples");
  return out;
}

json findings_json(const std::vector<StabilityFinding>& findings) {
  json rows = json::array();
  for (const StabilityFinding& finding : findings)
    rows.push_back({{"code", finding.code}, {"message", finding.message}, {"hint", finding.hint}});
  return rows;
}

}  // namespace lathe
