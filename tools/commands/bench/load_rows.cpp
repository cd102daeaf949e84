#include "commands/bench/load_rows.h"

#include <nlohmann/json.hpp>

#include "commands/bench/rows.h"
#include "report/fields.h"
#include "report/report.h"

namespace lathe {
namespace {

using nlohmann::json;

json schedule_json(const BenchLoad& load) {
  const OpenLoopResult& open = *load.open;
  json out{{"issued", open.issued},
           {"completed", open.completed},
           {"left_waiting", open.left_waiting},
           {"queued", open.queued},
           {"late", open.late_starts},
           {"worst_late_ns", open.worst_late_ns},
           {"max_backlog", open.max_backlog},
           {"caught_up", open.caught_up},
           {"achieved_qps", open.throughput_per_s},
           {"capacity_qps", load.capacity_per_s},
           {"busy_share", open.busy_share},
           {"time_ns", open.time_ns},
           {"max_batch", load.batch.max_batch},
           {"max_queue_delay_ns", load.batch.max_delay_ns},
           {"stop", load_stop_name(open.stop)},
           {"backlog", json::array()}};
  if (load.plan.scenario == Scenario::kServer) out["arrival"] = arrival_name(load.plan.arrival);
  const char* no_slo = "no --slo";
  put_or_reason(out, "over_slo", open.over_slo, no_slo);
  put_or_reason(out, "goodput_qps", open.goodput_per_s, no_slo);
  for (const BacklogPoint& point : open.backlog)
    out["backlog"].push_back({{"time_ns", point.time_ns}, {"waiting", point.waiting}});
  return out;
}

json peak_json(const Peak& peak, const LoadPlan& plan) {
  json out{{"stop", peak_stop_name(peak.stop)},
           {"percentile", PeakSearchOptions{}.percentile},
           {"slo_ns", *plan.slo_ns},
           {"trials", json::array()}};
  put_or_reason(out, "rate_per_s", peak.rate_per_s, "no rate that was tried keeps the --slo");
  put_or_reason(out, "failed_rate_per_s", peak.failed_rate_per_s, "no rate that was tried failed");
  for (const PeakTrial& trial : peak.trials) {
    json row{{"rate_per_s", trial.rate_per_s}, {"look", trial.look},
             {"queries", trial.queries},       {"over", trial.over},
             {"clustering", trial.clustering}, {"max_backlog", trial.max_backlog},
             {"caught_up", trial.caught_up},   {"goodput_qps", trial.goodput_per_s},
             {"time_ns", trial.time_ns},       {"verdict", trial_verdict_name(trial.verdict)}};
    put_or_reason(row, "allowed", trial.allowed, "too few queries");
    put_or_reason(row, "latency_ns", trial.latency_ns, "too few queries");
    out["trials"].push_back(std::move(row));
  }
  return out;
}

json samples_json(const BenchLoad& load) {
  json out{{"raw_ref", nullptr}, {"raw_ref_reason", "samples are not stored"}};
  if (load.open) {
    out["time_ns"] = load.open->time_ns;
    out["stop_reason"] = load_stop_name(load.open->stop);
  } else if (load.streams) {
    out["time_ns"] = load.streams->time_ns;
    out["stop_reason"] = stop_reason_name(load.streams->stop_reason);
  }
  return out;
}

}  // namespace

void put_load(json& row, const BenchLoad& load) {
  const char* interruption = "interrupted";
  row["scenario"] = scenario_name(load.plan.scenario);
  row["streams"] = load.plan.streams;
  row["threads"]["per_worker"] = load.threads_each;
  row["phases"].erase("warmup_reason");
  row["phases"]["warmup"] = warm_up_json(load.warm_up);
  put_or_reason(row, "target_qps", load.rate_per_s, "only the server scenario has a rate");
  put_or_reason(row, "slo_ns", load.plan.slo_ns, "no --slo");
  if (load.plan.scenario == Scenario::kMulti) row["lockstep"] = load.plan.lockstep;
  if (load.peak) row["peak"] = peak_json(*load.peak, load.plan);
  if (load.open)
    row["schedule"] = schedule_json(load);
  else
    put_or_reason(row, "schedule", std::optional<json>(),
                  load.streams ? "closed loops have no schedule" : interruption);
  if (load.joint) row["joint_latency"] = latency_json(*load.joint);
  if (!load.latency) {
    row["samples"] = {{"n", 0}, {"stop_reason", interruption}};
    row["throughput"] = nullptr;
    row["throughput_reason"] = interruption;
    row["latency"] = {{"median", nullptr}, {"median_reason", interruption}};
    return;
  }
  row["samples"] = samples_json(load);
  row["throughput"] = throughput_json(load.throughput);
  // Of the executions: a queue that fills and empties says nothing of the machine.
  if (load.service) {
    row["stability"] =
        stability_json(*load.service, StopReason::kIterations, two_modes(load.service_ns));
    if (load.open) row["service"] = latency_json(*load.service);
  }
}

Estimate merged_load_rate(const std::vector<json>& processes, size_t row) {
  std::vector<double> rates;
  for (const json& process : processes)
    rates.push_back(process.at("cases").at(row).at("throughput").at("items_per_s").get<double>());
  Estimate rate = positive_mean(summarize(rates));
  if (rates.size() == 1)
    if (const auto own = interval_field(processes[0].at("cases").at(row).at("throughput")))
      rate.ci95 = Interval{own->first, own->second};
  return rate;
}

size_t left_waiting(const std::vector<json>& processes, size_t row) {
  size_t waiting = 0;
  for (const json& process : processes)
    if (const json& schedule = process.at("cases").at(row).at("schedule"); schedule.is_object())
      waiting += schedule.at("left_waiting").get<size_t>();
  return waiting;
}

}  // namespace lathe
