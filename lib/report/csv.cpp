#include "report/csv.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <vector>

#include "report/fields.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;

std::string csv_text(const std::string& text) {
  std::string out = text;
  if (!out.empty() && std::string_view("=+-@").find(out[0]) != std::string_view::npos)
    out.insert(0, "'");
  if (out.find_first_of(",\"\r\n") == std::string::npos) return out;
  std::string quoted = "\"";
  for (const char c : out) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

std::string csv_number(const std::optional<double>& value) {
  if (!value) return {};
  // Counts and bytes stay integers; 2^53 is the last double that surely is one.
  if (*value == std::floor(*value) && std::fabs(*value) < 9007199254740992.0)
    return fmt::format("{}", static_cast<int64_t>(*value));
  return fmt::format("{}", *value);
}

std::optional<double> percentile_value(const json& latency, double wanted) {
  for (const json& row : list_field(latency, "percentiles"))
    if (const auto p = number_field(row, "p"); p && std::fabs(*p - wanted) < 1e-9)
      return number_of(row);
  return std::nullopt;
}

const json& comparison_of(const json& report, const json& id) {
  static const json nothing;
  for (const json& row : list_field(field(report, "comparison"), "cases"))
    if (field(row, "id") == id) return row;
  return nothing;
}

// How many gates of a case ended so; empty without gates.
std::string gates_of(const json& report, const json& row, const char* verdict) {
  const json& gates = list_field(report, "gates");
  if (gates.empty()) return {};
  int64_t count = 0;
  for (const json& gate : gates)
    if (field(gate, "case") == field(row, "id") && field(gate, "verdict") == verdict) ++count;
  return std::to_string(count);
}

std::string low(const json& object) {
  const auto ci = interval_field(object);
  return csv_number(ci ? std::optional(ci->first) : std::nullopt);
}

std::string high(const json& object) {
  const auto ci = interval_field(object);
  return csv_number(ci ? std::optional(ci->second) : std::nullopt);
}

using CsvRow = std::vector<std::pair<const char*, std::string>>;

CsvRow case_row(const json& report, const json& row) {
  const auto number = [](const json& object, const char* key) {
    return csv_number(number_field(object, key));
  };
  const json& latency = field(row, "latency");
  const json& memory = field(row, "memory");
  const json& phases = field(row, "phases");
  const json& soak = field(row, "soak");
  const json& ratio = field(comparison_of(report, field(row, "id")), "ratio");
  return {{"model", csv_text(case_model(report, row))},
          {"case", csv_text(text_field(row, "id"))},
          {"engine", csv_text(text_field(row, "engine"))},
          {"scenario", csv_text(text_field(row, "scenario"))},
          {"batch", number(row, "batch")},
          {"threads", number(field(row, "threads"), "effective")},
          {"streams", number(row, "streams")},
          {"samples", number(field(row, "samples"), "n")},
          {"processes", number(field(row, "samples"), "n_processes")},
          {"stop_reason", csv_text(text_field(field(row, "samples"), "stop_reason"))},
          {"median_ns", csv_number(number_field(latency, "median"))},
          {"median_low_ns", low(field(latency, "median"))},
          {"median_high_ns", high(field(latency, "median"))},
          {"mean_ns", number(latency, "mean")},
          {"stdev_ns", number(latency, "stdev")},
          {"min_ns", number(latency, "min")},
          {"max_ns", number(latency, "max")},
          {"p90_ns", csv_number(percentile_value(latency, 0.9))},
          {"p95_ns", csv_number(percentile_value(latency, 0.95))},
          {"p99_ns", csv_number(percentile_value(latency, 0.99))},
          {"p99.9_ns", csv_number(percentile_value(latency, 0.999))},
          {"items_per_s", number(field(row, "throughput"), "items_per_s")},
          {"load_ns", number(start_costs(row), "load_ns")},
          {"compile_ns", number(phases, "compile_ns")},
          {"first_inference_ns", number(start_costs(row), "first_inference_ns")},
          {"size_bytes", number(row, "size_bytes")},
          {"weights_bytes", number(row, "weights_bytes")},
          {"flash_bytes", number(device_memory(row), "flash_bytes")},
          {"ram_bytes", number(device_memory(row), "ram_bytes")},
          {"instructions", number(field(row, "emulated"), "instructions")},
          {"arena_planned_bytes", number(memory, "arena_planned_bytes")},
          {"hwm_bytes", csv_number(number_of(peak_bytes(row)))},
          {"cpu_share", number(field(row, "cpu"), "share")},
          {"cpus_used", number(field(row, "cpu"), "cpus_used")},
          {"joules", number(field(row, "energy"), "joules")},
          {"joules_per_inference", number(field(row, "energy"), "joules_per_inference")},
          {"max_c", number(field(row, "thermal"), "max_c")},
          {"slowdown", number(soak, "slowdown")},
          {"leak_bytes_per_run", number(soak, "leak_bytes_per_run")},
          {"latency_per_minute", csv_number(number_of(field(soak, "latency_per_minute")))},
          {"latency_per_minute_low", low(field(soak, "latency_per_minute"))},
          {"latency_per_minute_high", high(field(soak, "latency_per_minute"))},
          {"bytes_per_run", csv_number(number_of(field(soak, "bytes_per_run")))},
          {"simulated_ns", number(field(row, "simulated"), "latency_ns")},
          {"gates_passed", gates_of(report, row, "pass")},
          {"gates_failed", gates_of(report, row, "fail")},
          {"gates_undecided", gates_of(report, row, "inconclusive")},
          {"fits", csv_text(text_field(field(row, "fit"), "verdict"))},
          {"fits_device", csv_text(text_field(field(row, "fit"), "profile"))},
          {"quality_metric", csv_text(text_field(field(row, "quality"), "metric"))},
          {"quality", csv_number(number_of(field(row, "quality")))},
          {"quality_drop", number(field(row, "quality"), "drop")},
          {"ratio", csv_number(number_of(ratio))},
          {"ratio_low", low(ratio)},
          {"ratio_high", high(ratio)},
          {"verdict", csv_text(text_field(comparison_of(report, field(row, "id")), "verdict"))}};
}

}  // namespace

std::string to_csv(const json& report) {
  std::string out;
  const auto add = [&out](const CsvRow& row, bool heading) {
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) out += ',';
      out += heading ? std::string(row[i].first) : row[i].second;
    }
    out += "\r\n";
  };
  add(case_row(json(), json()), true);
  for (const json& row : list_field(report, "cases")) add(case_row(report, row), false);
  return out;
}

}  // namespace lathe
