// A load scenario for people.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "commands/bench/deployed.h"
#include "commands/bench/text_parts.h"
#include "os/quantity.h"
#include "report/fields.h"

namespace lathe {
namespace {

using nlohmann::json;
using Row = std::vector<std::string>;

double number(const json& object, const char* key) { return number_field(object, key).value_or(0); }

std::string time_text(const json& row, std::string_view path) {
  return cell(path, duration_text)(row);
}

// What the scenario was run for, in a few words; empty where nothing is known.
std::string outcome(const json& row) {
  const std::string slo = time_text(row, "slo_ns");
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
  std::vector<std::string> parts{verdict_text(report, console)};
  if (is_overloaded(row)) parts.push_back(console.bad("OVERLOADED"));
  if (const std::string found = outcome(row); !found.empty()) parts.push_back(console.bold(found));
  if (number_of(at_path(row, "latency/median")))
    parts.push_back("median " + time_text(row, "latency/median") + ", p99 " +
                    time_text(row, "latency/p99"));
  return joined(parts) + "\n\n";
}

// In columns: what a query waits for in all, and what an execution of it takes or, in lockstep, a
// round of all streams.
std::string latencies_text(const json& row) {
  const json& joint = field(row, "joint_latency");
  const json& second = joint.is_object() ? joint : field(row, "service");
  std::vector<Row> rows{{"", "latency"}};
  if (second.is_object()) rows[0].push_back(joint.is_object() ? "of a round" : "execution");
  for (const char* figure : {"median", "p90", "p95", "p99", "p99.9", "max"}) {
    rows.push_back({figure, time_text(field(row, "latency"), figure)});
    if (second.is_object()) rows.back().push_back(time_text(second, figure));
  }
  return table(rows);
}

void add_schedule(std::vector<Row>& rows, const json& row) {
  const json& schedule = field(row, "schedule");
  if (const auto rate = number_field(row, "target_qps"))
    rows.push_back({"rate", rate_cell(*rate) + ", " + text_field(schedule, "arrival")});
  rows.push_back(
      {"served", fmt::format("{} of {} in {}", count_text(schedule, "completed"),
                             count_text(schedule, "issued"), time_text(schedule, "time_ns"))});
  rows.push_back({"capacity", rate_cell(number(schedule, "capacity_qps")) + " without a queue"});
  const char* end = text_field(row, "scenario") == "offline" ? "all at once"
                    : field(schedule, "caught_up") == true   ? "caught up"
                                                             : "never caught up";
  rows.push_back(
      {"backlog", fmt::format("{} at worst, {}", count_text(schedule, "max_backlog"), end)});
  if (const auto goodput = number_field(schedule, "goodput_qps"))
    rows.push_back({"goodput", fmt::format("{}, {} over the limit", rate_cell(*goodput),
                                           count_text(schedule, "over_slo"))});
  rows.push_back({"busy", percent_text(number(schedule, "busy_share")) + " of the workers' time"});
  if (number(schedule, "late") > 0)
    rows.push_back({"late starts", fmt::format("{}, the worst by {}", count_text(schedule, "late"),
                                               time_text(schedule, "worst_late_ns"))});
}

std::string figures_text(const json& report, const json& row) {
  std::vector<Row> rows{{"scenario", text_field(row, "scenario")}};
  const json& throughput = field(row, "throughput");
  std::string rate = rate_cell(number(throughput, "items_per_s"));
  if (const auto ci = interval_field(throughput))
    rate += fmt::format(" (CI {}–{})", rate_cell(ci->first), rate_cell(ci->second));
  rows.push_back({"throughput", rate});
  if (field(row, "schedule").is_object()) add_schedule(rows, row);
  if (const auto bytes = number_field(field(row, "memory"), "hwm_bytes"))
    rows.push_back({"peak memory", bytes_cell(*bytes)});
  for (const json& quality : list_field(report, "quality"))
    if (const auto value = number_field(quality, "after"))
      rows.push_back(
          {fmt::format("{} ({})", text_field(quality, "metric"), count_text(quality, "samples")),
           fmt::format("{:.4g}", *value)});
  return table(rows);
}

std::string peak_text(const json& peak) {
  if (!peak.is_object()) return {};
  std::vector<const json*> trials = rows_of(list_field(peak, "trials"));
  constexpr size_t kShown = 8;
  std::string text = fmt::format("\n  the search for the peak: {} trials ({})", trials.size(),
                                 text_field(peak, "stop"));
  if (trials.size() > kShown) {
    text += fmt::format(", the last {}", kShown);
    trials.erase(trials.begin(), trials.end() - kShown);
  }
  return text + "\n" +
         columns_table(trials, {{"rate", cell("rate_per_s", rate_cell)},
                                {"queries", cell("queries", count_cell)},
                                {"over", cell("over", count_cell)},
                                {"allowed", cell("allowed", count_cell)},
                                {"p99", cell("latency_ns", duration_text)},
                                {"backlog", cell("max_backlog", count_cell)},
                                {"", cell("verdict")}});
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
  for (std::string& hint : case_hints(report, row)) found.push_back(std::move(hint));
  return found;
}

std::string conduct_text(const json& report, const json& row) {
  const std::string what = text_field(row, "scenario") == "multi" ? "stream" : "worker";
  std::string text =
      fmt::format("\n  {}, {} of {}", text_field(row, "engine"), plural(row, "streams", what),
                  plural(row, "threads/per_worker", "thread"));
  if (field(row, "lockstep") == true) text += " in lockstep";
  const json& schedule = field(row, "schedule");
  if (number(schedule, "max_batch") > 1)
    text += fmt::format(", batches of up to {}", count_text(schedule, "max_batch"));
  if (number(schedule, "max_queue_delay_ns") > 0)
    text += fmt::format(" after {} at most", time_text(schedule, "max_queue_delay_ns"));
  const json& samples = field(row, "samples");
  text += fmt::format("{}, {} samples ({})", inputs_text(report), count_text(samples, "n"),
                      text_field(samples, "stop_reason"));
  if (number(samples, "n_processes") > 1)
    text += fmt::format(" of {} processes", count_text(samples, "n_processes"));
  text += "\n  " + phases_text(row);
  if (const std::string deployed = deployed_text(row); !deployed.empty()) text += "\n  " + deployed;
  return text + "\n";
}

}  // namespace

std::string load_text(const json& report, const Console& console) {
  const json& row = list_field(report, "cases").at(0);
  std::string text = headline(report, row, console);
  if (number_of(at_path(row, "latency/median")))
    text += figures_text(report, row) + "\n" + latencies_text(row);
  text += peak_text(field(row, "peak")) + frames_text(row);
  if (const std::string gates = gates_table(report, console); !gates.empty()) text += "\n" + gates;
  return text + conduct_text(report, row) + hints_text(hints(report, row), console);
}

}  // namespace lathe
