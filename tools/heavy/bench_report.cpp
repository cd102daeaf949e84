#include "heavy/bench_report.h"

#include <cmath>

#include "heavy/bench_quality.h"
#include "os/sha256.h"

namespace lathe {
namespace {

using nlohmann::json;

json interval_json(const std::optional<Interval>& interval) {
  return interval ? json{interval->low, interval->high} : json(nullptr);
}

json model_json(const ModelFacts& facts) {
  Report report;
  report.model = facts;
  return to_json(report).at("model");
}

json phases_json(const BenchSubject& subject, const std::optional<Timing>& timing) {
  json out{{"load_ns", subject.load_ns},
           {"compile_ns", subject.compile_ns},
           {"first_inference_ns", subject.first_inference_ns}};
  if (!timing) {
    out["warmup"] = nullptr;
    out["warmup_reason"] = "interrupted";
    return out;
  }
  const WarmUp& warm = timing->warm_up;
  out["warmup"] = {{"iterations", warm.iterations},
                   {"time_ns", warm.time_ns},
                   {"converged", warm.converged},
                   {"stop_reason", stop_reason_name(warm.stop_reason)}};
  return out;
}

json latency_json(const Summary& summary) {
  json out{{"min", summary.min}, {"max", summary.max}, {"mean", summary.mean},
           {"mad", summary.mad}, {"iqr", summary.iqr}, {"percentiles", json::array()}};
  out["median"] = {{"value", summary.median.value}, {"ci95", interval_json(summary.median.ci95)}};
  if (!summary.median.ci95) out["median"]["ci95_reason"] = "too few samples for an interval";
  put_or_reason(out, "stdev", summary.stdev, "needs two samples");
  put_or_reason(out, "cv", summary.cv, "needs two samples");
  for (const Percentile& percentile : summary.percentiles) {
    json row{{"p", percentile.p}, {"ci95", interval_json(percentile.ci95)}};
    put_or_reason(row, "value", percentile.value, percentile.reason);
    if (!percentile.reason.empty()) row["reason"] = percentile.reason;
    if (!percentile.ci95)
      row["ci95_reason"] =
          percentile.reason.empty() ? "too few samples for an interval" : percentile.reason;
    out["percentiles"].push_back(std::move(row));
  }
  return out;
}

json stability_json(const Timing& timing) {
  const Summary& summary = timing.summary;
  const StopReason reason = timing.samples.stop_reason;
  json out{{"autocorr_lag1", summary.autocorrelation_lag1},
           {"effective_n", summary.effective_n},
           {"outliers", {{"mild", summary.outliers.mild}, {"severe", summary.outliers.severe}}},
           {"verdict", reason == StopReason::kConverged    ? "stable"
                       : reason == StopReason::kIterations ? "not judged"
                                                           : "not converged"}};
  put_or_reason(out, "drift_pct",
                summary.drift ? std::optional(100 * *summary.drift) : std::nullopt,
                "too few samples");
  return out;
}

json memory_json(const BenchSubject& subject) {
  json out;
  put_or_reason(out, "arena_planned_bytes", subject.arena_bytes, subject.arena_reason);
  put_or_reason(out, "hwm_bytes", subject.peak.value, subject.peak.reason);
  if (subject.peak.value) out["hwm_method"] = subject.peak_method;
  return out;
}

json case_json(const std::string& id, const BenchRun& run, const BenchSubject& subject,
               const std::optional<Timing>& timing, const BenchOptions& options) {
  json out{{"id", id},
           {"scenario", "single"},
           {"engine", subject.engine->name()},
           {"model_sha256", subject.facts.sha256},
           {"batch", run.inputs.items},
           {"streams", 1},
           {"memory", memory_json(subject)},
           {"phases", phases_json(subject, timing)}};
  out["threads"] = {{"effective", run.threads}};
  put_or_reason(out["threads"], "requested",
                options.common.threads > 0 ? std::optional(options.common.threads) : std::nullopt,
                "not asked: the usable CPUs");
  if (!timing) {
    out["samples"] = {{"n", 0}, {"stop_reason", "interrupted"}};
    out["throughput"] = nullptr;
    out["throughput_reason"] = "interrupted";
    out["latency"] = {{"median", nullptr}, {"median_reason", "interrupted"}};
    return out;
  }
  out["samples"] = {{"n", timing->summary.n},
                    {"n_processes", 1},
                    {"time_ns", timing->samples.time_ns},
                    {"stop_reason", stop_reason_name(timing->samples.stop_reason)},
                    {"raw_ref", nullptr},
                    {"raw_ref_reason", "samples are not stored"}};
  out["latency"] = latency_json(timing->summary);
  const Throughput& rate = timing->throughput;
  out["throughput"] = {{"items_per_s", rate.items_per_s},
                       {"ci95", rate.has_interval ? json{rate.low, rate.high} : json(nullptr)}};
  if (!rate.has_interval) out["throughput"]["ci95_reason"] = "too few samples for an interval";
  out["stability"] = stability_json(*timing);
  return out;
}

json comparison_json(const BenchRun& run, const BenchOptions& options) {
  json out{{"mode", "interleaved"},
           {"baseline",
            {{"model_sha256", run.against->facts.sha256},
             {"path_basename", run.against->facts.path_basename}}},
           {"missing", json::array()},
           {"extra", json::array()},
           {"cases", json::array()}};
  const std::optional<Comparison>& comparison = run.session.comparison;
  if (!comparison) {
    out["cases"].push_back(
        {{"id", "single"}, {"verdict", "inconclusive"}, {"note", "interrupted"}});
    return out;
  }
  out["delta_min_effect"] = comparison->tolerance;
  out["alpha"] = 1 - comparison->confidence;
  out["looks"] = comparison->looks;
  out["seed"] = options.common.seed;
  json row{{"id", "single"},
           {"verdict", comparison_verdict_name(comparison->verdict)},
           {"effective_delta", comparison->effective_tolerance},
           {"note", comparison->note},
           {"pairs", comparison->pairs},
           {"block_iterations", comparison->block_iterations},
           {"time_ns", comparison->time_ns},
           {"stop_reason", stop_reason_name(comparison->stop_reason)},
           {"ratio", {{"ci95", interval_json(comparison->interval)}}}};
  put_or_reason(row["ratio"], "value", comparison->ratio, comparison->note);
  if (!comparison->interval) row["ratio"]["ci95_reason"] = comparison->note;
  out["cases"].push_back(std::move(row));
  return out;
}

std::optional<double> finite(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? value : std::nullopt;
}

QualityRow quality_row(const MetricPair& pair, bool has_against) {
  QualityRow row;
  row.metric = std::string(metric_name(pair.metric));
  row.before = finite(pair.before);
  row.after = finite(pair.after);
  row.drop = finite(quality_drop(pair));
  row.samples = pair.items;
  if (!has_against)
    row.reason = "there is no --against model";
  else if (!needs_labels(pair.metric))
    row.reason = "this metric compares with the --against model";
  if (pair.after && !std::isfinite(*pair.after)) row.reason = "infinite: there is no difference";
  if (!pair.after) row.reason = "no item was counted";
  return row;
}

GateRow gate_row(const GateResult& result) {
  GateRow row;
  row.id = escape_untrusted(result.gate.text);
  row.metric = result.gate.metric;
  row.case_id = "single";
  row.op = std::string(gate_comparison_text(result.gate.comparison));
  row.limit = result.limit;
  row.observed = finite(result.observed);
  if (result.ci95) row.ci95 = {result.ci95->low, result.ci95->high};
  row.verdict = std::string(gate_verdict_name(result.verdict));
  row.reason = result.reason;
  return row;
}

}  // namespace

json input_rows(const Graph& graph, const std::vector<std::vector<Tensor>>& pool,
                const BenchInputs& inputs, uint64_t seed) {
  json rows = json::array();
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    Sha256 hash;
    for (const std::vector<Tensor>& sample : pool) hash.update(sample[i].bytes());
    json row{{"name", escape_untrusted(graph.value(graph.inputs()[i]).name)},
             {"shape", pool[0][i].shape()},
             {"dtype", dtype_name(pool[0][i].dtype())},
             {"source", inputs.source},
             {"count", pool.size()},
             {"sha256", hash.hex()}};
    put_or_reason(row, "seed", inputs.random ? std::optional(seed) : std::nullopt, "not random");
    rows.push_back(std::move(row));
  }
  return rows;
}

void fill_report(Report& report, const BenchRun& run, const BenchOptions& options) {
  report.model = run.candidate.facts;
  if (run.against) report.models = {{"against", model_json(run.against->facts)}};
  report.phases = phases_json(run.candidate, run.session.candidate);
  report.memory =
      MemoryFacts{run.candidate.peak.value,
                  run.candidate.peak.value ? run.candidate.peak_method : run.candidate.peak.reason,
                  run.candidate.arena_bytes};
  report.cases = json::array();
  report.cases.push_back(case_json("single", run, run.candidate, run.session.candidate, options));
  if (run.against) {
    report.cases.push_back(
        case_json("against/single", run, *run.against, run.session.against, options));
    report.comparison = comparison_json(run, options);
  }
  for (const MetricPair& pair : run.metrics)
    report.quality.push_back(quality_row(pair, run.against.has_value()));
  for (const GateResult& result : run.gates) report.gates.push_back(gate_row(result));
  report.host_noise = json::object();
  const std::optional<Comparison>& comparison = run.session.comparison;
  put_or_reason(report.host_noise, "aa_half_width",
                comparison ? comparison->noise_floor : std::nullopt,
                "measured with --against, from 6 pairs");
  put_or_reason(report.host_noise, "steal_pct",
                run.steal ? std::optional(100 * *run.steal) : std::nullopt,
                "the system does not tell");
}

}  // namespace lathe
