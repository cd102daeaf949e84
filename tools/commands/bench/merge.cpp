#include "commands/bench/merge.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "commands/bench/emulated.h"
#include "commands/bench/load.h"
#include "commands/bench/load_rows.h"
#include "commands/bench/rows.h"
#include "commands/bench/soak.h"
#include "commands/bench/text_parts.h"
#include "gates/gate_metric.h"
#include "ir/error.h"
#include "names/engines.h"
#include "report/fields.h"
#include "report/report.h"

namespace lathe {
namespace {

using nlohmann::json;

std::vector<double> numbers(const json& array) { return array.get<std::vector<double>>(); }

const std::string kNotMeasured = "not measured";

// The processes agree on everything that is counted; of their peaks the highest stands.
json merged_memory(const std::vector<json>& processes, size_t row) {
  json memory = processes[0].at("cases").at(row).at("memory");
  for (const json& process : processes) {
    const json& other = process.at("cases").at(row).at("memory");
    // A process in which the other model was loaded before tells neither.
    for (const std::string key : {"hwm_bytes", "rss_bytes"}) {
      // Only the first process measured the model as it is deployed.
      const bool is_other = key == "hwm_bytes" && memory.contains("with_libtorch_bytes");
      const std::string into = is_other ? "with_libtorch_bytes" : key;
      if (&process == &processes[0] ||
          number_field(other, key).value_or(0) <= number_field(memory, into).value_or(0))
        continue;
      memory[into] = other.at(key);
      if (is_other) continue;
      memory.erase(key + "_reason");
      if (other.contains("hwm_method")) memory["hwm_method"] = other.at("hwm_method");
    }
  }
  return memory;
}

json merged_warnings(const std::vector<json>& processes, size_t row) {
  json warnings = json::array();
  for (const json& process : processes)
    for (const json& warning : process.at("cases").at(row).value("warnings", json::array()))
      if (std::none_of(warnings.begin(), warnings.end(),
                       [&](const json& seen) { return seen.at("code") == warning.at("code"); }))
        warnings.push_back(warning);
  return warnings;
}

StopReason stop_reason_of(const std::vector<json>& processes, size_t row) {
  constexpr StopReason kReasons[] = {StopReason::kMaxTime, StopReason::kMaxIterations,
                                     StopReason::kIterations, StopReason::kConverged};
  for (const StopReason reason : kReasons)
    for (const json& process : processes)
      if (process.at("cases").at(row).at("samples").at("stop_reason") == stop_reason_name(reason))
        return reason;
  return StopReason::kInterrupted;
}

// Latencies with queries left waiting are lower bounds: no gate may judge them.
void withhold_unfinished(size_t left_waiting, Observations& seen) {
  if (left_waiting == 0) return;
  for (auto& [name, observed] : seen)
    if (name != "min" && name != "throughput")
      observed = {std::nullopt, std::nullopt,
                  fmt::format("{} queries were left waiting when the time ran out", left_waiting)};
}

// One figure for all percentiles: a simulation has no spread.
Observations simulated_observations(const json& estimate, const json& batch) {
  const Observed latency = observed_at(estimate, "latency_ns", kNotMeasured);
  Observations seen;
  for (const std::string_view metric : gate_metrics())
    if (find_gate_metric(metric)->unit == GateUnit::kNanoseconds)
      seen[std::string(metric)] = latency;
  Observed& rate = seen["throughput"] = latency;
  if (latency.value && *latency.value > 0) rate.value = batch.get<double>() * 1e9 / *latency.value;
  return seen;
}

// What stands in a section that may be missing as a whole, with its reason.
Observed sensed(const json& row, const char* section, const char* key) {
  if (const json& part = field(row, section); part.is_object())
    return observed_at(part, key, kNotMeasured);
  std::string reason = text_field(row, std::string(section) + "_reason");
  return {std::nullopt, std::nullopt, reason.empty() ? kNotMeasured : reason};
}

// What a case tells of its process, each once. A process that measures the native engine has
// LibTorch in it, an application that links the run time has not: only what was measured as
// deployed is judged.
void add_process_figures(const json& row, Observations& seen) {
  const bool is_deployed = field(row, "deployed").is_object();
  const char* start = is_deployed ? "deployed" : "phases";
  seen["load"] = sensed(row, start, "load_ns");
  seen["first_inference"] = sensed(row, start, "first_inference_ns");
  if (!is_deployed && text_field(row, "engine") == kNativeEngine) {
    const std::string why = text_field(row, "deployed_reason");
    for (const char* metric : {"load", "first_inference", "peak_memory"})
      seen[metric] = {std::nullopt, std::nullopt,
                      "not measured as deployed: " +
                          (why.empty() ? "several workers are one process here" : why)};
  }
  seen["cpu"] = sensed(row, "cpu", "share");
  seen["energy"] = sensed(row, "energy", "joules_per_inference");
  seen["temperature"] = sensed(row, "thermal", "max_c");
  const char* device = field(row, "emulated").is_object() ? "emulated" : "fit";
  seen["flash"] = sensed(row, device, "flash_bytes");
  seen["ram"] = sensed(row, device, "ram_bytes");
}

void withhold_times(Observations& seen) {
  for (const std::string_view metric : gate_metrics())
    if (find_gate_metric(metric)->of_machine)
      seen[std::string(metric)] = {std::nullopt, std::nullopt, kCountedNotTimed};
}

struct Side {
  json row;
  std::optional<PooledSummary> pooled;  // absent: interrupted before the first sample
  double items_per_s = 0;
  Observations seen;
};

Side merged_side(const SweepCase& one, size_t row, const char* samples, const std::string& id) {
  const std::vector<json>& processes = one.processes;
  std::vector<std::vector<double>> series;
  for (const json& process : processes) series.push_back(numbers(process.at("child").at(samples)));
  Side side;
  side.row = processes[0].at("cases").at(row);
  side.row["id"] = id;
  side.row["memory"] = merged_memory(processes, row);
  side.row["warnings"] = merged_warnings(processes, row);
  for (const Figure& figure : figures())
    if (figure.compared)
      side.seen[std::string(figure.metric)] = observed_at(side.row, figure.path, kNotMeasured);
  add_process_figures(side.row, side.seen);
  if (field(side.row, "emulated").is_object()) withhold_times(side.seen);
  if (series[0].empty()) return side;
  side.pooled = summarize_processes(series);
  const Summary& summary = side.pooled->summary;
  const bool is_load = is_load_row(side.row);
  const Estimate rate = is_load ? merged_load_rate(processes, row)
                                : throughput(summary, side.row.at("batch").get<double>());
  side.items_per_s = rate.value;
  side.row["latency"] = latency_json(summary);
  side.row["throughput"] = throughput_json(rate);
  const StopReason stop = stop_reason_of(processes, row);
  std::optional<TwoModes> modes;
  for (const std::vector<double>& values : series)
    if (!modes) modes = two_modes(values);
  // Of a load the first process's: latencies with a queue in them say nothing of the machine.
  if (!is_load) side.row["stability"] = stability_json(summary, stop, modes);
  json& counts = side.row["samples"];
  counts["n"] = summary.n;
  counts["n_processes"] = processes.size();
  counts["process_medians_ns"] = side.pooled->process_medians;
  std::vector<double> all;
  for (const std::vector<double>& values : series)
    all.insert(all.end(), values.begin(), values.end());
  counts["histogram"] = histogram_json(all);
  if (!is_load) counts["stop_reason"] = stop_reason_name(stop);
  put_or_reason(counts, "process_spread", side.pooled->spread, "one process only");
  int64_t time = 0;
  for (const json& process : processes)
    time += process.at("cases").at(row).at("samples").at("time_ns").get<int64_t>();
  counts["time_ns"] = time;
  for (auto& [metric, observed] : latency_observations(summary))
    side.seen[metric] = std::move(observed);
  side.seen["throughput"] = {rate.value, rate.ci95, rate.ci95 ? "" : kFewSamples};
  if (is_load && left_waiting(processes, row) > 0) {
    side.row["latency"]["is_lower_bound"] = true;
    withhold_unfinished(left_waiting(processes, row), side.seen);
  }
  return side;
}

void merge_comparison_of(SweepCase& one, const ComparisonOptions& options) {
  const json& first = one.processes[0].at("comparison").at("cases").at(0);
  one.comparison = first;
  one.comparison["id"] = one.plan.id;
  if (one.processes.size() > 1) {
    std::vector<ProcessRatios> ratios;
    std::vector<std::vector<double>> series;
    for (const json& process : one.processes) {
      const json& child = process.at("child");
      ratios.push_back(read_ratios(JsonReader(child.at("pairs"), "a stored result")));
      series.push_back(ratios.back().log_ratios);
    }
    Comparison merged = merge_comparison(ratios, options);
    merged.looks = options.looks;
    json row = comparison_row(one.plan.id, merged, series);
    // What only one process told: the op deltas of its profile.
    for (const auto& [key, value] : one.comparison.items())
      if (!row.contains(key)) row[key] = value;
    one.comparison = std::move(row);
    one.compared = std::move(merged);
    one.ratios = std::move(ratios);
  }
  const json& ratio = field(one.comparison, "ratio");
  if (is_emulated(one.plan.engine)) {
    one.gates.inputs.time_ratio = {std::nullopt, std::nullopt, kCountedNotTimed};
    return;
  }
  one.gates.inputs.time_ratio = {number_field(ratio, "value"), interval_of(ratio),
                                 one.comparison.value("note", "")};
}

json failed_row(const SweepCase& one) {
  const std::string reason = one.gates.failure;
  json row{{"id", one.plan.id},
           {"scenario", one.scenario},
           {"engine", one.plan.engine},
           {one.failure->not_tried() ? "not_tried" : "failed", true},
           {"error",
            {{"code", one.failure->id},
             {"message", one.failure->message},
             {"exit_code", static_cast<int>(one.failure->code)}}},
           {"samples", {{"n", 0}, {"n_processes", one.processes.size()}}},
           {"latency", {{"median", nullptr}, {"median_reason", reason}}},
           {"throughput", nullptr},
           {"throughput_reason", reason}};
  if (one.failure->signal != 0) row["error"]["signal"] = one.failure->signal;
  if (one.plan.batch) row["batch"] = *one.plan.batch;
  return row;
}

}  // namespace

json trimmed_report(const json& report) {
  json out = json::object();
  for (const char* key : {"model", "models", "inputs", "cases", "comparison", "quality", "child",
                          "artifacts", "phases", "memory"})
    if (report.contains(key)) out[key] = report.at(key);
  if (const json& noise = field(field(report, "host"), "noise"); !noise.is_null())
    out["noise"] = noise;
  return out;
}

std::optional<Interval> interval_of(const json& object) {
  const auto ci95 = interval_field(object);
  return ci95 ? std::optional(Interval{ci95->first, ci95->second}) : std::nullopt;
}

void share_quality(SweepCase& one, const json& quality) {
  if (one.failure || !quality.is_array() || quality.empty()) return;
  const json& row = quality[0];
  Observed after = observed_at(row, "after", kNotMeasured);
  json& shown = one.row["quality"] = {{"metric", row.at("metric")}, {"n", row.at("samples")}};
  put_or_reason(shown, "value", after.value, after.reason);
  const auto before = number_field(row, "before");
  if (before && !one.against_row.is_null()) {
    if (const auto drop = number_field(row, "drop")) shown["drop"] = *drop;
    one.against_row["quality"] = {
        {"metric", row.at("metric")}, {"n", row.at("samples")}, {"value", *before}};
  }
  if (!after.value && after.reason.starts_with("infinite")) after.value = INFINITY;
  if (!after.value && after.reason.starts_with("not finite")) after.value = NAN;
  if (after.value && row.at("metric") == "sqnr") after.reason.clear();
  one.gates.inputs.candidate["accuracy"] = after;
  one.gates.inputs.candidate["accuracy_drop"] = observed_at(row, "drop", kNotMeasured);
}

void merge_case(SweepCase& one, const ComparisonOptions& options, const std::string& where) {
  one.gates.id = one.plan.id;
  if (one.failure) {
    one.gates.failure = one.failure->message;
    one.row = failed_row(one);
    return;
  }
  try {
    Side candidate = merged_side(one, 0, "candidate_ns", one.plan.id);
    const json& first = one.processes[0];
    candidate.seen["coverage"] = observed_at(first, "child/coverage", kNotMeasured);
    one.row = std::move(candidate.row);
    one.items_per_s = candidate.items_per_s;
    one.pooled = std::move(candidate.pooled);
    one.gates.inputs.candidate = std::move(candidate.seen);
    if (const auto macs = number_field(first.at("model"), "macs"))
      one.gates.inputs.macs = std::llround(*macs);
    if (const json& points = field(first.at("child"), "soak"); points.is_array()) {
      one.soak = judge_soak(read_soak_points(points));
      one.row["soak"] = soak_json(*one.soak, points);
    }
    if (const json& estimate = field(first.at("child"), "simulated"); estimate.is_object()) {
      one.row["simulated"] = estimate;
      one.gates.inputs.simulated = simulated_observations(estimate, one.row.at("batch"));
    }
    if (first.contains("comparison") && first.at("cases").size() > 1) {
      Side against = merged_side(one, 1, "against_ns", "against/" + one.plan.id);
      against.seen["coverage"] = observed_at(first, "child/against_coverage", kNotMeasured);
      one.against_row = std::move(against.row);
      one.gates.inputs.against = std::move(against.seen);
      merge_comparison_of(one, options);
    }
    for (const json& process : one.processes)
      if (process.contains("quality") && !process.at("quality").empty() && one.quality.is_null())
        one.quality = process.at("quality");
  } catch (const json::exception& error) {
    throw bad_usage("bench.stored",
                    "a stored result lacks what a case has: " + escape_untrusted(error.what(), 200),
                    where, "measure again without --resume, or into another file");
  }
}

std::optional<double> observed_metric(const SweepCase& one, const char* metric) {
  const auto at = one.gates.inputs.candidate.find(metric);
  return at == one.gates.inputs.candidate.end() ? std::nullopt : at->second.value;
}

}  // namespace lathe
