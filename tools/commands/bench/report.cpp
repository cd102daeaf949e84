#include "commands/bench/report.h"

#include <nlohmann/json.hpp>

#include <cmath>

#include "commands/bench/emulated.h"
#include "commands/bench/load_rows.h"
#include "commands/bench/profile.h"
#include "commands/bench/quality.h"
#include "commands/bench/remote.h"
#include "commands/bench/rows.h"
#include "commands/bench/sensors.h"
#include "commands/bench/trace.h"
#include "fit_report.h"
#include "os/host.h"
#include "os/sha256.h"

namespace lathe {
namespace {

using nlohmann::json;

json model_json(const ModelFacts& facts) {
  Report report;
  report.model = facts;
  return to_json(report).at("model");
}

constexpr const char* kNotOfTheBoard = "of this process, which emulates the board";

std::string why_no_times(const BenchSubject& subject) {
  return subject.engine_facts.emulated ? kCountedNotTimed : "interrupted";
}

json phases_json(const BenchSubject& subject, const std::optional<Timing>& timing) {
  json out{{"load_ns", subject.load_ns},
           {"compile_ns", subject.compile_ns},
           {"first_inference_ns", subject.first_inference_ns}};
  if (!timing) {
    out["warmup"] = nullptr;
    out["warmup_reason"] = why_no_times(subject);
    return out;
  }
  out["warmup"] = warm_up_json(timing->warm_up);
  return out;
}

json memory_json(const BenchSubject& subject, const CaseDetails& details) {
  json out;
  put_or_reason(out, "arena_planned_bytes", subject.arena_bytes, subject.arena_reason);
  if (subject.engine_facts.emulated) {
    put_or_reason(out, "hwm_bytes", std::optional<int64_t>(), kNotOfTheBoard);
    return out;
  }
  put_or_reason(out, "hwm_bytes", subject.peak.value, subject.peak.reason);
  if (subject.peak.value) out["hwm_method"] = subject.peak_method;
  put_memory(out, subject, details);
  if (subject.engine_facts.remote)
    for (const std::string key : {"alloc_peak_bytes", "alloc_count_per_iter"})
      out[key + "_reason"] = kNotOfTheRemote;
  return out;
}

json case_json(const std::string& id, const BenchRun& run, const BenchSubject& subject,
               const std::optional<Timing>& timing, const CaseDetails& details,
               const BenchOptions& options) {
  json out{{"id", id},
           {"scenario", "single"},
           {"engine", subject.engine->name()},
           {"model_sha256", subject.facts.sha256},
           {"batch", run.inputs.items},
           {"streams", 1},
           {"denormals", options.denormals},
           {"memory", memory_json(subject, details)},
           {"phases", phases_json(subject, timing)}};
  if (subject.engine_facts.bfloat16_products > 0)
    out["bfloat16_products"] = subject.engine_facts.bfloat16_products;
  if (subject.engine_facts.batch_parts > 1) out["batch_parts"] = subject.engine_facts.batch_parts;
  if (const int64_t runs = subject.engine->lone_runs(); runs > 0) out["lone_runs"] = runs;
  if (!subject.engine_facts.interpreted.empty())
    out["interpreted"] = {{"nodes", subject.engine_facts.interpreted},
                          {"share", subject.engine_facts.interpreted_share}};
  put_or_reason(out, "size_bytes", subject.size_bytes, subject.size_reason);
  put_or_reason(out, "weights_bytes", subject.facts.weights_bytes, "not known");
  out["threads"] = {{"effective", run.threads}};
  put_or_reason(out["threads"], "requested",
                run.threads_asked > 0 ? std::optional(run.threads_asked) : std::nullopt,
                "not asked: the usable CPUs");
  put_sensors(out, details,
              subject.engine_facts.emulated ? kCountedNotTimed
              : subject.engine_facts.remote ? kNotOfTheRemote
                                            : "interrupted before the timed part ended");
  if (details.profile) put_profile(out, *details.profile, run.peaks);
  if (run.load) {
    put_load(out, *run.load);
    return out;
  }
  if (!timing) {
    const std::string why = why_no_times(subject);
    out["samples"] = {{"n", 0},
                      {"stop_reason", subject.engine_facts.emulated ? "counted" : "interrupted"}};
    out["throughput"] = nullptr;
    out["throughput_reason"] = why;
    out["latency"] = {{"median", nullptr}, {"median_reason", why}};
    return out;
  }
  out["samples"] = {{"time_ns", timing->samples.time_ns},
                    {"stop_reason", stop_reason_name(timing->samples.stop_reason)},
                    {"raw_ref", nullptr},
                    {"raw_ref_reason", "samples are not stored"}};
  out["throughput"] = throughput_json(timing->throughput);
  return out;
}

json comparison_json(const BenchRun& run) {
  json out{{"baseline",
            {{"model_sha256", run.against->facts.sha256},
             {"path_basename", run.against->facts.path_basename}}},
           {"cases", json::array()}};
  const std::optional<Comparison>& comparison = run.session.comparison;
  if (comparison)
    out["cases"].push_back(comparison_row("single", *comparison, {comparison->log_ratios}));
  else
    out["cases"].push_back(
        {{"id", "single"}, {"verdict", "inconclusive"}, {"note", "interrupted"}});
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
  if (pair.after && !std::isfinite(*pair.after))
    row.reason = *pair.after > 0 ? "infinite: there is no difference"
                                 : "not finite: the model computes NaN or infinity";
  if (!pair.after) row.reason = "no item was counted";
  return row;
}

std::string unit_of(const Gate& gate) {
  switch (gate.unit) {
    case GateUnit::kNanoseconds: return gate.relative ? "of_against" : "ns";
    case GateUnit::kPerSecond: return "items/s";
    case GateUnit::kTimes: return "x";
    case GateUnit::kBytes: return "bytes";
    case GateUnit::kCount: return "count";
    case GateUnit::kJoules: return "J";
    case GateUnit::kCelsius: return "C";
    case GateUnit::kFraction: return is_decibel_gate(gate) ? "dB" : "fraction";
  }
  throw InternalError("unit_of: unknown unit");
}

}  // namespace

GateRow skipped_gate(const Gate& gate, const std::string& case_id, const std::string& reason) {
  GateRow row;
  row.id = escape_untrusted(gate.text);
  row.metric = gate.metric;
  row.case_id = case_id;
  row.op = std::string(gate_comparison_text(gate.comparison));
  row.limit = gate.limit;
  row.unit = gate.relative ? "of_against" : unit_of(gate);
  row.verdict = "skipped";
  row.reason = reason;
  return row;
}

GateRow gate_row(const GateResult& result) {
  GateRow row = skipped_gate(result.gate, result.case_id, result.reason);
  // The share of the other model's value was turned into bytes.
  if (result.limit != result.gate.limit) row.unit = unit_of(result.gate);
  row.limit = result.limit;
  row.observed = finite(result.observed);
  if (result.ci95) row.ci95 = {result.ci95->low, result.ci95->high};
  row.verdict = std::string(gate_verdict_name(result.verdict));
  row.source = result.gate.source;
  row.simulated = result.gate.basis == GateBasis::kSimulated;
  return row;
}

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

void put_fit(json& row, const BenchSubject& subject, const Profile& device) {
  FitFile file;
  file.opset = subject.facts.opset;
  if (file.opset) file.ir = subject.model.ir_version;
  if (subject.plan) {
    file = fit_file_of(*subject.plan, subject.facts.file_bytes);
    file.plan_arena_bytes = subject.arena_bytes;
  }
  if (const auto& counted = subject.engine_facts.emulated) {
    file.is_source = true;
    file.plan_bytes = counted->flash_constant_bytes;
    file.plan_arena_bytes = subject.arena_bytes;
    file.code_bytes = counted->flash_code_bytes + counted->flash_library_bytes;
    file.stack_bytes = counted->stack_bytes;
  }
  row["fit"] = fit_json(does_it_fit(subject.graph(), file, device), device);
}

void fill_report(Report& report, const BenchRun& run, const BenchOptions& options) {
  report.model = run.candidate.facts;
  if (run.against) report.models = {{"against", model_json(run.against->facts)}};
  report.phases = phases_json(run.candidate, run.session.candidate);
  Reading peak = run.candidate.peak;
  if (run.candidate.engine_facts.emulated) peak = {std::nullopt, kNotOfTheBoard};
  report.memory = MemoryFacts{peak.value, peak.value ? run.candidate.peak_method : peak.reason,
                              run.candidate.arena_bytes};
  report.cases = json::array();
  report.cases.push_back(
      case_json("single", run, run.candidate, run.session.candidate, run.details, options));
  report.cases.back()["warnings"] = findings_json(run.findings);
  if (run.load) report.phases = report.cases.back().at("phases");
  if (run.frames) report.cases.back()["frames"] = frames_json(*run.frames);
  if (run.trace) report.cases.back()["trace"] = trace_json(*run.trace);
  if (run.against) {
    report.cases.push_back(case_json("against/single", run, *run.against, run.session.against,
                                     run.against_details, options));
    report.comparison = comparison_json(run);
    if (run.details.profile && run.against_details.profile)
      put_blame(report.comparison["cases"][0], *run.against_details.profile, *run.details.profile);
  }
  for (const MetricPair& pair : run.metrics)
    report.quality.push_back(quality_row(pair, run.against.has_value()));
  report.host_noise = json::object();
  const std::optional<Comparison>& comparison = run.session.comparison;
  put_or_reason(report.host_noise, "aa_half_width",
                comparison ? comparison->noise_floor : std::nullopt,
                "measured with --against, from 6 pairs");
  put_or_reason(report.host_noise, "psi_cpu", run.disturbance.pressure, "the system does not tell");
  put_or_reason(report.host_noise, "steal_pct",
                run.disturbance.steal ? std::optional(100 * *run.disturbance.steal) : std::nullopt,
                "the system does not tell");
}

}  // namespace lathe
