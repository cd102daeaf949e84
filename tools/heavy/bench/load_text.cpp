#include "heavy/bench/load_text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

#include "heavy/bench/frames.h"
#include "heavy/bench/text.h"
#include "ir/error.h"
#include "os/quantity.h"
#include "report/fields.h"

namespace lathe {
namespace {

using nlohmann::json;
using Row = std::vector<std::string>;

double number(const json& object, const char* key) { return number_field(object, key).value_or(0); }

std::string rate_text(double per_s) { return fmt::format("{:.4g}/s", per_s); }

std::string time_cell(const json& object, const char* key) {
  const auto ns = number_field(object, key);
  return ns ? duration_text(*ns) : "-";
}

std::string percentile_cell(const json& latency, double p) {
  for (const json& each : list_field(latency, "percentiles"))
    if (number_field(each, "p") == p) return time_cell(each, "value");
  return "-";
}

std::string plural(const json& object, const char* key, const std::string& what) {
  const std::string count = count_text(object, key);
  return count + " " + what + (count == "1" ? "" : "s");
}

// What the scenario was run for, in a few words; empty where nothing is known.
std::string outcome(const json& row) {
  const std::string slo = time_cell(row, "slo_ns");
  if (const json& peak = field(row, "peak"); peak.is_object()) {
    const auto rate = number_field(peak, "rate_per_s");
    return rate ? fmt::format("peak {:.4g} queries/s with 99 % within {}", *rate, slo)
                : fmt::format("no rate was seen to keep 99 % within {}", slo);
  }
  const json& schedule = field(row, "schedule");
  const auto target = number_field(row, "target_qps");
  if (schedule.is_object() && target) {
    std::string text =
        fmt::format("{:.4g} of {:.4g} queries/s served", number(schedule, "achieved_qps"), *target);
    if (const auto goodput = number_field(schedule, "goodput_qps"))
      text += fmt::format(", {:.4g}/s within {}", *goodput, slo);
    return text;
  }
  const auto rate = number_field(field(row, "throughput"), "items_per_s");
  return rate ? fmt::format("{:.4g} items/s", *rate) : std::string();
}

std::string headline(const json& report, const json& row, const Console& console) {
  std::vector<std::string> parts;
  const std::string gates = gates_verdict(report, console);
  if (!field(report, "error").is_null())
    parts.push_back(console.bad("INTERRUPTED: what was measured so far"));
  else if (!gates.empty())
    parts.push_back(gates);
  if (is_overloaded(row)) parts.push_back(console.bad("OVERLOADED"));
  if (const std::string found = outcome(row); !found.empty()) parts.push_back(console.bold(found));
  const json& latency = field(row, "latency");
  if (number_field(latency, "median"))
    parts.push_back("median " + time_cell(latency, "median") + ", p99 " +
                    percentile_cell(latency, 0.99));
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : " · ") + part;
  return text + "\n\n";
}

// In columns: what a query waits for in all, and what an execution of it takes or, in lockstep, a
// round of all streams.
std::string latencies_text(const json& row) {
  const json& latency = field(row, "latency");
  const json& joint = field(row, "joint_latency");
  const json& second = joint.is_object() ? joint : field(row, "service");
  std::vector<Row> rows{{"", "latency"}};
  if (second.is_object()) rows[0].push_back(joint.is_object() ? "of a round" : "execution");
  const auto add = [&](const std::string& label, const auto& cell) {
    rows.push_back({label, cell(latency)});
    if (second.is_object()) rows.back().push_back(cell(second));
  };
  add("median", [](const json& of) { return time_cell(of, "median"); });
  for (const double p : {0.9, 0.95, 0.99, 0.999})
    add(fmt::format("p{:g}", 100 * p), [p](const json& of) { return percentile_cell(of, p); });
  add("max", [](const json& of) { return time_cell(of, "max"); });
  return table(rows);
}

void add_schedule(std::vector<Row>& rows, const json& row) {
  const json& schedule = field(row, "schedule");
  if (const auto rate = number_field(row, "target_qps"))
    rows.push_back({"rate", rate_text(*rate) + ", " + text_field(schedule, "arrival")});
  rows.push_back(
      {"served", fmt::format("{} of {} in {}", count_text(schedule, "completed"),
                             count_text(schedule, "issued"), time_cell(schedule, "time_ns"))});
  rows.push_back({"capacity", rate_text(number(schedule, "capacity_qps")) + " without a queue"});
  const char* end = text_field(row, "scenario") == "offline" ? "all at once"
                    : field(schedule, "caught_up") == true   ? "caught up"
                                                             : "never caught up";
  rows.push_back(
      {"backlog", fmt::format("{} at worst, {}", count_text(schedule, "max_backlog"), end)});
  if (const auto goodput = number_field(schedule, "goodput_qps"))
    rows.push_back({"goodput", fmt::format("{}, {} over the limit", rate_text(*goodput),
                                           count_text(schedule, "over_slo"))});
  rows.push_back({"busy", percent_text(number(schedule, "busy_share")) + " of the workers' time"});
  if (number(schedule, "late") > 0)
    rows.push_back({"late starts", fmt::format("{}, the worst by {}", count_text(schedule, "late"),
                                               time_cell(schedule, "worst_late_ns"))});
}

std::string figures_text(const json& report, const json& row) {
  std::vector<Row> rows{{"scenario", text_field(row, "scenario")}};
  const json& throughput = field(row, "throughput");
  std::string rate = rate_text(number(throughput, "items_per_s"));
  if (const auto ci = interval_field(throughput))
    rate += fmt::format(" (CI {}–{})", rate_text(ci->first), rate_text(ci->second));
  rows.push_back({"throughput", rate});
  if (field(row, "schedule").is_object()) add_schedule(rows, row);
  if (const auto bytes = number_field(field(row, "memory"), "hwm_bytes"))
    rows.push_back({"peak memory", bytes_text(std::llround(*bytes))});
  for (const json& quality : list_field(report, "quality"))
    if (const auto value = number_field(quality, "after"))
      rows.push_back(
          {fmt::format("{} ({})", text_field(quality, "metric"), count_text(quality, "samples")),
           fmt::format("{:.4g}", *value)});
  return table(rows);
}

std::string peak_text(const json& peak) {
  if (!peak.is_object()) return {};
  std::vector<Row> rows{{"rate", "queries", "over", "allowed", "p99", "backlog", ""}};
  const json& trials = list_field(peak, "trials");
  constexpr size_t kShown = 8;
  const size_t first = trials.size() > kShown ? trials.size() - kShown : 0;
  for (size_t i = first; i < trials.size(); ++i) {
    const json& trial = trials[i];
    rows.push_back({rate_text(number(trial, "rate_per_s")), count_text(trial, "queries"),
                    count_text(trial, "over"),
                    number_field(trial, "allowed") ? count_text(trial, "allowed") : "-",
                    time_cell(trial, "latency_ns"), count_text(trial, "max_backlog"),
                    text_field(trial, "verdict")});
  }
  std::string text = fmt::format("\n  the search for the peak: {} trials ({})", trials.size(),
                                 text_field(peak, "stop"));
  if (first > 0) text += fmt::format(", the last {}", kShown);
  return text + "\n" + table(rows);
}

// Nothing was met and nothing missed.
bool is_undecided(const json& peak) {
  const json& trials = list_field(peak, "trials");
  return !trials.empty() && std::all_of(trials.begin(), trials.end(), [](const json& trial) {
    return text_field(trial, "verdict") == "undecided";
  });
}

std::vector<std::string> hints(const json& report, const json& row) {
  std::vector<std::string> found;
  const json& schedule = field(row, "schedule");
  if (is_overloaded(row))
    found.push_back(fmt::format(
        "the queue was never empty again: latencies grow with the length of the run, this rate is "
        "above capacity; try --rate {:.3g}, or more --streams",
        number(schedule, "capacity_qps") / 2));
  if (number(schedule, "left_waiting") > 0)
    found.push_back(
        fmt::format("{} left waiting when the time ran out: the latencies are lower "
                    "bounds; give a longer --max-time or fewer --iterations",
                    count_text(schedule, "left_waiting") + " queries were"));
  const std::string stop = text_field(field(row, "peak"), "stop");
  if (stop == "max_time")
    found.emplace_back("the search ran out of time; give it more with --max-time");
  if (is_undecided(field(row, "peak")))
    found.emplace_back(
        "every rate stayed undecided: queries behind one stall say no more than one; give it more "
        "time (--max-time), more --iterations or a quieter machine");
  if (stop == "never_met")
    found.emplace_back("even the lowest rate misses the limit: the model itself is too slow");
  if (field(field(field(row, "phases"), "warmup"), "converged") == false)
    found.emplace_back("warm-up did not settle: the times may still be moving");
  if (const std::string hint = engine_hint(report); !hint.empty()) found.push_back(hint);
  for (const json& each : list_field(field(row, "latency"), "percentiles"))
    if (!number_field(each, "value")) {
      found.push_back(fmt::format("p{:g} is withheld: {}", 100 * number(each, "p"),
                                  text_field(each, "reason")));
      break;
    }
  if (found.size() > 3) found.resize(3);
  return found;
}

std::string conduct_text(const json& report, const json& row) {
  const std::string what = text_field(row, "scenario") == "multi" ? "stream" : "worker";
  std::string text =
      fmt::format("\n  {}, {} of {}", text_field(row, "engine"), plural(row, "streams", what),
                  plural(field(row, "threads"), "per_worker", "thread"));
  if (field(row, "lockstep") == true) text += " in lockstep";
  const json& schedule = field(row, "schedule");
  if (number(schedule, "max_batch") > 1)
    text += fmt::format(", batches of up to {}", count_text(schedule, "max_batch"));
  if (number(schedule, "max_queue_delay_ns") > 0)
    text += fmt::format(" after {} at most", time_cell(schedule, "max_queue_delay_ns"));
  if (const json& inputs = list_field(report, "inputs"); !inputs.empty())
    text +=
        fmt::format(", {} {} inputs", count_text(inputs[0], "count"),
                    text_field(inputs[0], "source").starts_with("random") ? "random" : "distinct");
  const json& samples = field(row, "samples");
  text += fmt::format(", {} samples ({})", count_text(samples, "n"),
                      text_field(samples, "stop_reason"));
  if (number(samples, "n_processes") > 1)
    text += fmt::format(" of {} processes", count_text(samples, "n_processes"));
  const json& phases = field(row, "phases");
  const json& warm = field(phases, "warmup");
  return text + fmt::format("\n  load {}, prepare {}, first inference {}, warm-up {} in {}\n",
                            time_cell(phases, "load_ns"), time_cell(phases, "compile_ns"),
                            time_cell(phases, "first_inference_ns"), count_text(warm, "iterations"),
                            time_cell(warm, "time_ns"));
}

}  // namespace

bool is_load_row(const json& row) {
  const std::string scenario = text_field(row, "scenario");
  return !scenario.empty() && scenario != "single";
}

bool is_overloaded(const json& row) {
  return text_field(row, "scenario") == "server" &&
         field(field(row, "schedule"), "caught_up") == false &&
         number(field(row, "schedule"), "max_backlog") > 0;
}

std::string load_text(const json& report, const Console& console) {
  const json& row = list_field(report, "cases").at(0);
  std::string text = headline(report, row, console);
  if (number_field(field(row, "latency"), "median"))
    text += figures_text(report, row) + "\n" + latencies_text(row);
  text += peak_text(field(row, "peak"));
  text += frames_text(row);
  if (const std::string gates = gates_table(report, console); !gates.empty()) text += "\n" + gates;
  text += conduct_text(report, row);
  for (const std::string& hint : hints(report, row)) text += console.dim("  hint: " + hint) + "\n";
  return text;
}

}  // namespace lathe
