#include "heavy/bench/sweep_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "comparison/baseline.h"
#include "comparison/family.h"
#include "gates/choose_case.h"
#include "heavy/bench/gates.h"
#include "heavy/bench/rows.h"
#include "os/glob.h"
#include "os/host.h"
#include "report/report.h"
#include "run/metrics.h"

namespace lathe {
namespace {

using nlohmann::json;

bool same_but_batch(const BenchCase& a, const BenchCase& b) {
  return a.model == b.model && a.engine == b.engine && a.threads == b.threads;
}

std::optional<double> observed(const SweepCase& one, const char* metric) {
  const auto at = one.gates.inputs.candidate.find(metric);
  return at == one.gates.inputs.candidate.end() ? std::nullopt : at->second.value;
}

std::string quoted(const std::string& text) {
  const bool plain = text.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789_-./=,:+@%") == std::string::npos;
  if (plain && !text.empty()) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string command_of(const BenchCase& one, const BenchOptions& options) {
  std::string command = "lathe bench " + quoted(one.model);
  if (one.batch) command += fmt::format(" --batch {}", *one.batch);
  if (one.threads > 0) command += fmt::format(" --threads {}", one.threads);
  command += " --engine " + one.engine;
  if (!options.against.empty()) command += " --against " + quoted(options.against);
  if (!options.data.empty()) command += " --data " + quoted(options.data);
  for (const std::string& shape : options.common.input_shapes)
    command += " --input-shape " + quoted(shape);
  for (const std::string& flag : load_flags(options)) command.append(" ").append(quoted(flag));
  return command;
}

void find_front(Sweep& sweep) {
  std::vector<Costs> costs;
  for (const SweepCase& one : sweep.cases) {
    if (one.failure || one.row.is_null()) {
      costs.push_back(Costs(3));
      continue;
    }
    // A case that answers as fast and is larger, or less accurate, is beaten; accuracy is better
    // when larger.
    const std::optional<double> accuracy = observed(one, "accuracy");
    costs.push_back({observed(one, "median"), observed(one, "size"),
                     accuracy ? std::optional(-*accuracy) : std::nullopt});
  }
  sweep.front = pareto_front(costs);
  for (size_t i = 0; i < sweep.cases.size(); ++i)
    if (!sweep.cases[i].row.is_null())
      sweep.cases[i].row["pareto"] = {{"latency_bytes_quality", static_cast<bool>(sweep.front[i])}};
}

// Time of one item; nullopt where the rate of arrivals says how many there were.
std::optional<double> item_ns(const SweepCase& one) {
  if (!one.pooled || one.scenario == "server") return std::nullopt;
  if (one.scenario != "single") return 1e9 / std::max(one.items_per_s, 1e-9);
  return one.pooled->summary.median.value / static_cast<double>(*one.plan.batch);
}

void find_optimal(Sweep& sweep) {
  std::vector<bool> used(sweep.cases.size(), false);
  for (size_t i = 0; i < sweep.cases.size(); ++i) {
    if (used[i] || !sweep.cases[i].plan.batch) continue;
    const BenchCase& first = sweep.cases[i].plan;
    std::vector<BatchTime> times;
    for (size_t j = i; j < sweep.cases.size(); ++j) {
      const SweepCase& one = sweep.cases[j];
      if (!same_but_batch(first, one.plan)) continue;
      used[j] = true;
      if (const auto ns = item_ns(one))
        times.push_back({*one.plan.batch, *ns * static_cast<double>(*one.plan.batch)});
    }
    const std::optional<int64_t> best = optimal_batch(times);
    if (!best || times.size() < 2) continue;
    for (const SweepCase& one : sweep.cases)
      if (same_but_batch(first, one.plan) && one.plan.batch == best && item_ns(one)) {
        const std::string model = one.plan.id.substr(0, one.plan.id.find('/'));
        const int threads = one.plan.threads > 0 ? one.plan.threads : usable_cpus();
        sweep.optimal.push_back({fmt::format("{}, {}, {} thread{}", model, one.plan.engine, threads,
                                             threads == 1 ? "" : "s"),
                                 one.plan.id, *best, *item_ns(one)});
      }
  }
}

ComparisonVerdict verdict_named(const json& row) {
  const json verdict = row.value("verdict", json());
  for (const ComparisonVerdict each :
       {ComparisonVerdict::kRegressed, ComparisonVerdict::kPass, ComparisonVerdict::kImproved})
    if (verdict == comparison_verdict_name(each)) return each;
  return ComparisonVerdict::kInconclusive;
}

// Whether someone asks that this case is not slower than the other side.
bool is_gated(const SweepCase& one, const BenchRequest& request) {
  if (request.tolerance_is_gate) return true;
  return std::any_of(request.gates.begin(), request.gates.end(), [&](const Gate& gate) {
    if (gate.metric != "speedup" && !(gate.relative && gate.unit == GateUnit::kNanoseconds))
      return false;
    return Glob(gate.cases.empty() ? "*" : gate.cases).matches(one.plan.id);
  });
}

FamilyOptions family_options(const BenchOptions& options) {
  return {0.95, 10'000, options.common.seed};
}

std::optional<double> number(const json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_number()) return std::nullopt;
  return it->get<double>();
}

std::optional<Interval> interval(const json& object) {
  const json ci95 = object.value("ci95", json());
  if (!ci95.is_array() || ci95.size() != 2) return std::nullopt;
  return Interval{ci95[0].get<double>(), ci95[1].get<double>()};
}

// What gates may see of a stored case: its sizes and its times, which were taken another day.
Observations stored_observations(const json& row) {
  Observations seen;
  const auto add = [&seen](const char* metric, const json& object, const char* key) {
    seen[metric] = {number(object, key), std::nullopt, "the baseline does not tell"};
  };
  add("size", row, "size_bytes");
  add("weights", row, "weights_bytes");
  const json memory = row.value("memory", json::object());
  add("arena", memory, "arena_planned_bytes");
  add("peak_memory", memory, "hwm_bytes");
  const json latency = row.value("latency", json::object());
  for (const char* key : {"min", "mean", "max"}) add(key, latency, key);
  const json median = latency.value("median", json::object());
  if (median.is_object())
    seen["median"] = seen["p50"] = {number(median, "value"), interval(median), "not stored"};
  for (const json& each : latency.value("percentiles", json::array()))
    if (const auto p = number(each, "p"))
      seen[fmt::format("p{:g}", 100 * *p)] = {number(each, "value"), interval(each),
                                              each.value("reason", "not stored")};
  return seen;
}

// The drop from a stored accuracy, when both are of one metric over as many items.
void compare_accuracy(const json& stored, SweepCase& one) {
  const json there = stored.value("quality", json::object());
  const json here = one.row.value("quality", json::object());
  Observed drop{std::nullopt, std::nullopt, "the baseline has no accuracy of the same metric"};
  const auto before = number(there, "value");
  const auto after = number(here, "value");
  const auto metric = metric_from_name(here.value("metric", ""));
  if (before && after && metric && there.value("metric", "") == metric_name(*metric)) {
    if (there.value("n", json()) == here.value("n", json()))
      drop = {metric_drop(*metric, *before, *after), std::nullopt, {}};
    else
      drop.reason = "the baseline's accuracy is of another number of samples";
  }
  one.gates.inputs.candidate["accuracy_drop"] = drop;
}

ComparedSpeed speed_of(const SweepCase& one) {
  ComparedSpeed speed;
  const json ratio = one.comparison.value("ratio", json::object());
  speed.ratio = number(ratio, "value");
  speed.interval = interval(ratio);
  speed.verdict = verdict_named(one.comparison);
  speed.effective_tolerance = one.comparison.value("effective_delta", 0.0);
  const json note = one.comparison.value("note", json());
  if (note.is_string()) speed.note = note.get<std::string>();
  return speed;
}

}  // namespace

void rank_cases(Sweep& sweep) {
  find_front(sweep);
  find_optimal(sweep);
}

json judge_against(Sweep& sweep, const BenchOptions& options, const BenchRequest& request) {
  json cases = json::array();
  std::vector<FamilyCase> members;
  const bool any_gated = std::any_of(sweep.cases.begin(), sweep.cases.end(),
                                     [&](const SweepCase& one) { return is_gated(one, request); });
  for (const SweepCase& one : sweep.cases) {
    if (one.comparison.is_null()) continue;
    FamilyCase& member = members.emplace_back();
    member.id = one.plan.id;
    member.verdict = verdict_named(one.comparison);
    member.p_regressed = one.comparison.value("p_regressed", 1.0);
    member.p_improved = one.comparison.value("p_improved", 1.0);
    // Nobody asks anything of any of them: then all are read alike.
    member.gated = !any_gated || is_gated(one, request);
    for (const json& process : one.processes)
      member.log_ratios.push_back(process.at("child").at("log_ratios").get<std::vector<double>>());
    std::erase_if(member.log_ratios, [](const auto& series) { return series.empty(); });
  }
  if (members.empty()) return nullptr;
  const Family family = judge_family(members, nullptr, family_options(options));
  json baseline = json::object();
  size_t at = 0;
  for (SweepCase& one : sweep.cases) {
    if (one.comparison.is_null()) continue;
    const FamilyMember& member = family.members[at++];
    one.comparison["verdict"] = comparison_verdict_name(member.verdict);
    one.comparison["p_value"] = member.p_regressed;
    if (!member.note.empty()) one.comparison["note"] = member.note;
    baseline = one.processes[0].at("comparison").at("baseline");
    cases.push_back(one.comparison);
  }
  json out{{"mode", "interleaved"},
           {"baseline", std::move(baseline)},
           {"delta_min_effect", request.tolerance},
           {"alpha", 0.05},
           {"looks", request.looks},
           {"seed", options.common.seed},
           {"missing", json::array()},
           {"extra", json::array()},
           {"cases", std::move(cases)}};
  for (const SweepCase& one : sweep.cases)
    if (one.failure) out["missing"].push_back(one.plan.id);
  out["geomean"] = nullptr;
  if (family.geometric_mean)
    out["geomean"] = {{"ratio", family.geometric_mean->ratio},
                      {"ci95", interval_json(family.geometric_mean->interval)},
                      {"cases", family.geometric_mean->cases}};
  else
    out["geomean_reason"] = "too few pairs";
  return out;
}

json judge_baseline(Sweep& sweep, const json& report, const json& baseline,
                    const BenchOptions& options, const BenchRequest& request) {
  CrossRunOptions cross;
  cross.tolerance = request.tolerance;
  cross.seed = options.common.seed;
  cross.allow_mismatch = options.allow_host_mismatch;
  const CrossRun run = compare_with_baseline(report, baseline, options.baseline, cross);
  json section = cross_run_json(run, cross);
  std::vector<FamilyCase> members;
  std::vector<SweepCase*> compared;
  for (const CrossRunCase& each : run.cases)
    for (SweepCase& one : sweep.cases)
      if (one.plan.id == each.id && !one.failure && !one.row.is_null()) {
        FamilyCase& member = members.emplace_back();
        member.id = each.id;
        member.verdict = each.verdict;
        const double p = each.p_value.value_or(1) / 2;
        member.p_regressed = each.ratio.value_or(1) > 1 ? p : 1;
        member.p_improved = each.ratio.value_or(1) < 1 ? p : 1;
        compared.push_back(&one);
      }
  const Family family = judge_family(members, nullptr, family_options(options));
  for (json& row : section["cases"])
    for (size_t i = 0; i < compared.size(); ++i) {
      SweepCase& one = *compared[i];
      if (row["id"] != one.plan.id) continue;
      row["verdict"] = comparison_verdict_name(family.members[i].verdict);
      if (!family.members[i].note.empty()) row["note"] = family.members[i].note;
      one.comparison = row;
      const ComparedSpeed speed = speed_of(one);
      const json reason = row["ratio"].value("value_reason", json());
      one.gates.inputs.time_ratio = Observed{
          speed.ratio, speed.interval, reason.is_string() ? reason.get<std::string>() : speed.note};
      for (const json& stored : baseline.at("cases"))
        if (stored.value("id", json()) == one.plan.id) {
          one.gates.inputs.against = stored_observations(stored);
          compare_accuracy(stored, one);
        }
    }
  sweep.missing = run.missing;
  sweep.baseline_warnings = run.warnings;
  return section;
}

void judge_gates(Sweep& sweep, const BenchOptions& options, const BenchRequest& request) {
  std::vector<GateCase> cases;
  std::vector<size_t> positions;
  for (size_t i = 0; i < sweep.cases.size(); ++i)
    if (!sweep.cases[i].row.is_null()) {
      cases.push_back(sweep.cases[i].gates);
      positions.push_back(i);
    }
  if (!sweep.interruption) {
    sweep.gates = evaluate_gates(request.gates, cases);
    for (const SweepCase& one : sweep.cases)
      if (request.tolerance_is_gate && !one.comparison.is_null())
        sweep.gates.push_back(tolerance_gate(one.plan.id, request.tolerance, speed_of(one)));
    for (const std::string& id : sweep.missing) {
      GateResult missing = tolerance_gate(id, request.tolerance, {});
      missing.verdict = GateVerdict::kFail;
      missing.reason = "the baseline has this case, this run has not";
      sweep.gates.push_back(std::move(missing));
    }
  }
  if (!request.recommendation) return;
  const Recommendation& wanted = *request.recommendation;
  if (const auto best = recommend_case(cases, wanted.gates, wanted.metric, wanted.maximize)) {
    sweep.recommended = positions[*best];
    sweep.recommended_command = command_of(sweep.cases[positions[*best]].plan, options);
  }
}

}  // namespace lathe
