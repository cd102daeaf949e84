#include "commands/bench/soak.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "commands/bench/text_parts.h"
#include "os/quantity.h"
#include "report/fields.h"
#include "report/report.h"

namespace lathe {
namespace {

using nlohmann::json;

std::optional<json> slope_json(const std::optional<Slope>& slope) {
  if (!slope) return std::nullopt;
  return json{{"value", slope->value}, {"ci95", {slope->ci95.low, slope->ci95.high}}};
}

GateResult gate_of(const std::string& case_id, const char* text, const char* metric, GateUnit unit,
                   double limit, const SoakVerdict& verdict) {
  GateResult result;
  result.gate.text = text;
  result.gate.metric = metric;
  result.gate.unit = unit;
  result.gate.comparison = GateComparison::kLessEqual;
  result.gate.limit = result.limit = limit;
  result.case_id = case_id;
  result.reason = verdict.reason;
  return result;
}

void decide(GateResult& result, double observed) {
  result.observed = observed;
  result.verdict = observed <= result.limit ? GateVerdict::kPass : GateVerdict::kFail;
}

}  // namespace

json soak_points_json(const SoakRun& soak) {
  json points = json::array();
  for (const SoakPoint& point : soak.points)
    points.push_back({point.seconds, point.runs, point.latency_ns,
                      point.resident_bytes ? json(*point.resident_bytes) : json(nullptr),
                      point.reference_ns ? json(*point.reference_ns) : json(nullptr)});
  return points;
}

std::vector<SoakPoint> read_soak_points(const json& points) {
  std::vector<SoakPoint> read;
  for (const json& point : points)
    read.push_back({point.at(0).get<double>(), point.at(1).get<double>(), point.at(2).get<double>(),
                    number_of(point.at(3)), number_of(point.at(4))});
  return read;
}

json soak_json(const SoakVerdict& verdict, const json& points) {
  const std::string none = verdict.reason.empty() ? "not measured" : verdict.reason;
  json out{{"duration_s", verdict.seconds},
           {"slowdown", verdict.slowdown},
           {"leak_bytes_per_run", verdict.leak},
           {"points", points},
           {"columns",
            {"seconds", "runs", "latency_ns (10th percentile)", "resident_bytes",
             "reference_ns (10th percentile)"}}};
  put_or_reason(out, "machine_slowdown", verdict.machine_slowdown, none);
  put_or_reason(out, "latency_per_minute", slope_json(verdict.latency_per_minute), none);
  put_or_reason(out, "bytes_per_run", slope_json(verdict.bytes_per_run), none);
  std::optional<json> change;
  if (verdict.change)
    change = json{{"seconds", verdict.change_seconds},
                  {"ratio", verdict.change->ratio},
                  {"p_value", verdict.change->p}};
  put_or_reason(out, "level_change", change, verdict.reason.empty() ? "none is significant" : none);
  return out;
}

std::vector<GateResult> soak_gates(const std::string& case_id, const SoakVerdict& verdict) {
  GateResult latency = gate_of(case_id, "--duration: the latency keeps its level", "slowdown",
                               GateUnit::kFraction, kMostSlowdown, verdict);
  GateResult memory = gate_of(case_id, "--duration: the memory does not grow", "leak",
                              GateUnit::kBytes, 0, verdict);
  if (!verdict.reason.empty()) return {latency, memory};
  decide(latency, verdict.slowdown);
  if (latency.verdict == GateVerdict::kFail) {
    latency.reason = fmt::format("slower since {:.0f} s", verdict.change_seconds);
  } else if (verdict.machine_slowdown.value_or(0) > kMostMachineSlowdown) {
    latency.verdict = GateVerdict::kFail;
    latency.observed = *verdict.machine_slowdown;
    latency.reason = fmt::format("the processor is slower since {:.0f} s, for a fixed loop, too",
                                 verdict.machine_seconds);
  }
  if (!verdict.bytes_per_run) {
    memory.reason = "the system does not tell resident memory";
    return {latency, memory};
  }
  decide(memory, std::ceil(verdict.leak));
  memory.ci95 = verdict.bytes_per_run->ci95;
  if (memory.verdict == GateVerdict::kFail)
    memory.reason = fmt::format("{} a run", bytes_cell(verdict.leak));
  return {latency, memory};
}

// " (95 %: +5.4 % to +11.8 %)"; of what a minute would bring in a shorter run it is said.
std::string interval_text(const json& soak) {
  const auto ends = interval_field(field(soak, "latency_per_minute"));
  if (!ends) return {};
  const bool is_short = number_field(soak, "duration_s").value_or(0) < 60;
  return fmt::format(" (95 %: {:+.2f} % to {:+.2f} %{})", 100 * ends->first, 100 * ends->second,
                     is_short ? ", extrapolated: less than a minute says little" : "");
}

std::string soak_text(const json& row) {
  const json& soak = field(row, "soak");
  if (!soak.is_object()) return {};
  const auto percent = [](double share) { return fmt::format("{:+.2f} %", 100 * share); };
  std::string text = fmt::format("\n  over {}: ", cell("duration_s", [](double seconds) {
                                   return duration_text(1e9 * seconds);
                                 })(soak));
  if (const auto slope = number_of(at_path(soak, "latency_per_minute/value")))
    text += fmt::format("latency {} a minute{}", percent(*slope), interval_text(soak));
  if (const auto ratio = number_of(at_path(soak, "level_change/ratio")))
    text += fmt::format(", {} from second {} on", percent(*ratio - 1),
                        cell("level_change/seconds", count_cell)(soak));
  const double machine = number_of(field(soak, "machine_slowdown")).value_or(0);
  if (machine > 0) text += fmt::format(" (the processor itself {})", percent(machine));
  if (const auto slope = number_of(at_path(soak, "bytes_per_run/value")))
    text += fmt::format("; memory {:+.3g} B a run", *slope);
  if (field(row, "thermal").is_object() && field(field(row, "thermal"), "throttled") == true)
    text += "; the processor throttled itself";
  return text;
}

}  // namespace lathe
