#include "heavy/bench/merge.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "heavy/bench/load.h"
#include "heavy/bench/load_rows.h"
#include "heavy/bench/load_text.h"
#include "heavy/bench/rows.h"
#include "ir/error.h"
#include "report/fields.h"
#include "report/report.h"

namespace lathe {
namespace {

using nlohmann::json;

std::vector<double> numbers(const json& array) { return array.get<std::vector<double>>(); }

Observed counted(const std::optional<double>& value, const std::string& reason) {
  if (!value) return {std::nullopt, std::nullopt, reason.empty() ? "not measured" : reason};
  return {value, std::nullopt, {}};
}

Observed counted(const json& object, const std::string& key) {
  const json reason = object.value(key + "_reason", json());
  return counted(number_field(object, key), reason.is_string() ? reason.get<std::string>() : "");
}

// The processes agree on everything that is counted; of their peaks the highest stands.
json merged_memory(const std::vector<json>& processes, size_t row) {
  json memory = processes[0].at("cases").at(row).at("memory");
  for (const json& process : processes) {
    const json& other = process.at("cases").at(row).at("memory");
    // A process in which the other model was loaded before tells neither.
    for (const std::string key : {"hwm_bytes", "rss_bytes"}) {
      if (number_field(other, key).value_or(0) <= number_field(memory, key).value_or(0)) continue;
      memory[key] = other.at(key);
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

Throughput pooled_throughput(const Summary& summary, int64_t items) {
  const auto rate = [items](double ns) {
    return static_cast<double>(items) * 1e9 / std::max(ns, 1.0);
  };
  Throughput result;
  result.items_per_s = result.low = result.high = rate(summary.median.value);
  if (summary.median.ci95) {
    result.low = rate(summary.median.ci95->high);
    result.high = rate(summary.median.ci95->low);
    result.has_interval = true;
  }
  return result;
}

struct Side {
  json row;
  PooledSummary pooled;
  Throughput rate;
  Observations seen;
};

Side merged_side(const SweepCase& one, size_t row, const char* samples, const std::string& id) {
  const std::vector<json>& processes = one.processes;
  std::vector<std::vector<double>> series;
  for (const json& process : processes) series.push_back(numbers(process.at("child").at(samples)));
  Side side;
  side.pooled = summarize_processes(series);
  const Summary& summary = side.pooled.summary;
  side.row = processes[0].at("cases").at(row);
  side.row["id"] = id;
  const auto items = side.row.at("batch").get<int64_t>();
  const bool is_load = is_load_row(side.row);
  side.rate = is_load ? merged_load_rate(processes, row) : pooled_throughput(summary, items);
  side.row["latency"] = latency_json(summary);
  side.row["throughput"] = throughput_json(side.rate);
  const StopReason stop = stop_reason_of(processes, row);
  std::optional<TwoModes> modes;
  for (const std::vector<double>& values : series)
    if (!modes) modes = two_modes(values);
  // Of a load the first process's: latencies with a queue in them say nothing of the machine.
  if (!is_load) side.row["stability"] = stability_json(summary, stop, modes);
  json& counts = side.row["samples"];
  counts["n"] = summary.n;
  counts["n_processes"] = processes.size();
  counts["process_medians_ns"] = side.pooled.process_medians;
  std::vector<double> all;
  for (const std::vector<double>& values : series)
    all.insert(all.end(), values.begin(), values.end());
  counts["histogram"] = histogram_json(all);
  if (!is_load) counts["stop_reason"] = stop_reason_name(stop);
  put_or_reason(counts, "process_spread", side.pooled.spread, "one process only");
  int64_t time = 0;
  for (const json& process : processes)
    time += process.at("cases").at(row).at("samples").at("time_ns").get<int64_t>();
  counts["time_ns"] = time;
  side.row["memory"] = merged_memory(processes, row);
  side.row["warnings"] = merged_warnings(processes, row);

  side.seen = latency_observations(summary);
  side.seen["throughput"] = {side.rate.items_per_s,
                             side.rate.has_interval
                                 ? std::optional(Interval{side.rate.low, side.rate.high})
                                 : std::nullopt,
                             side.rate.has_interval ? "" : "too few samples for an interval"};
  if (is_load) withhold_unfinished(left_waiting(processes, row), side.seen);
  side.seen["arena"] = counted(side.row.at("memory"), "arena_planned_bytes");
  side.seen["peak_memory"] = counted(side.row.at("memory"), "hwm_bytes");
  side.seen["size"] = counted(side.row, "size_bytes");
  side.seen["weights"] = counted(side.row, "weights_bytes");
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
      ProcessRatios& each = ratios.emplace_back();
      const json& child = process.at("child");
      each.log_ratios = numbers(child.at("log_ratios"));
      series.push_back(each.log_ratios);
      each.order_effect = child.at("order_effect").get<double>();
      each.block_iterations = child.at("block_iterations").get<size_t>();
      each.time_ns = process.at("comparison").at("cases").at(0).at("time_ns").get<int64_t>();
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
  Observed seen;
  const json& ratio = one.comparison.at("ratio");
  seen.value = number_field(ratio, "value");
  if (ratio.at("ci95").is_array())
    seen.ci95 = Interval{ratio["ci95"].at(0).get<double>(), ratio["ci95"].at(1).get<double>()};
  seen.reason = one.comparison.value("note", "");
  one.gates.inputs.time_ratio = seen;
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

void share_quality(SweepCase& one, const json& quality) {
  if (one.failure || !quality.is_array() || quality.empty()) return;
  one.row["quality"] = {{"metric", quality[0].at("metric")},
                        {"value", quality[0].at("after")},
                        {"n", quality[0].at("samples")}};
  const json& row = quality[0];
  Observed after = counted(row, "after");
  if (!after.value && after.reason.starts_with("infinite")) after.value = INFINITY;
  if (!after.value && after.reason.starts_with("not finite")) after.value = NAN;
  if (after.value && row.at("metric") == "sqnr") after.reason.clear();
  one.gates.inputs.candidate["accuracy"] = after;
  one.gates.inputs.candidate["accuracy_drop"] = counted(row, "drop");
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
    candidate.seen["coverage"] = counted(first.at("child"), "coverage");
    one.row = std::move(candidate.row);
    one.items = one.row.at("batch").get<int64_t>();
    one.items_per_s = candidate.rate.items_per_s;
    one.pooled = std::move(candidate.pooled);
    one.gates.inputs.candidate = std::move(candidate.seen);
    if (first.contains("comparison") && first.at("cases").size() > 1) {
      Side against = merged_side(one, 1, "against_ns", "against/" + one.plan.id);
      against.seen["coverage"] = counted(first.at("child"), "against_coverage");
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
