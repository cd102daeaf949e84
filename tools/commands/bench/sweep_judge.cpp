#include "commands/bench/sweep_judge.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <set>

#include "commands/bench/gates.h"
#include "commands/bench/rows.h"
#include "commands/bench/soak.h"
#include "commands/bench/text_parts.h"
#include "comparison/baseline.h"
#include "comparison/family.h"
#include "gates/choose_case.h"
#include "os/glob.h"
#include "os/host.h"
#include "report/fields.h"
#include "report/report.h"
#include "run/metrics.h"

namespace lathe {
namespace {

using nlohmann::json;

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
  command += one.remote.empty() ? " --engine " + one.engine : " --remote " + quoted(one.remote);
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
    // A case that answers as fast and is larger, or less accurate, is beaten.
    const auto metric = metric_from_name(text_field(field(one.row, "quality"), "metric"));
    std::optional<double> accuracy = observed_metric(one, "accuracy");
    if (accuracy && (!metric || is_higher_better(*metric))) accuracy = -*accuracy;
    // Boards count: among several of them the instructions stand for time.
    std::optional<double> time = observed_metric(one, "median");
    if (!time) time = observed_metric(one, "instructions");
    costs.push_back({time, observed_metric(one, "size"), accuracy});
  }
  // Each machine has its own.
  sweep.front.assign(costs.size(), false);
  std::set<std::string> machines;
  for (const SweepCase& one : sweep.cases) machines.insert(one.plan.remote);
  for (const std::string& machine : machines) {
    std::vector<Costs> there = costs;
    for (size_t i = 0; i < there.size(); ++i)
      if (sweep.cases[i].plan.remote != machine) there[i] = Costs(3);
    const std::vector<bool> front = pareto_front(there);
    for (size_t i = 0; i < front.size(); ++i)
      if (sweep.cases[i].plan.remote == machine) sweep.front[i] = front[i];
  }
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
bool is_on_speed(const Gate& gate, const BenchCase& one) {
  if (gate.metric != "speedup" && !(gate.relative && gate.unit == GateUnit::kNanoseconds))
    return false;
  return Glob(gate.cases.empty() ? "*" : gate.cases).matches(one.id);
}

bool is_gated(const BenchCase& one, const BenchRequest& request) {
  if (request.tolerance_is_gate) return true;
  return std::any_of(request.gates.begin(), request.gates.end(),
                     [&](const Gate& gate) { return is_on_speed(gate, one); });
}

FamilyOptions family_options(const BenchOptions& options) {
  return {0.95, 10'000, options.common.seed};
}

// What gates may see of a stored case: its sizes and its times, which were taken another day.
Observations stored_observations(const json& row) {
  Observations seen;
  for (const Figure& figure : figures())
    seen[std::string(figure.metric)] = observed_at(row, figure.path, "the baseline does not tell");
  for (const char* metric : {"mean", "max", "p50"})
    seen[metric] =
        observed_at(row, fmt::format("latency/{}", metric), "the baseline does not tell");
  return seen;
}

// The drop from a stored accuracy, when both are of one metric over as many items.
void compare_accuracy(const json& stored, SweepCase& one) {
  const json there = stored.value("quality", json::object());
  const json here = one.row.value("quality", json::object());
  Observed drop{std::nullopt, std::nullopt, "the baseline has no accuracy of the same metric"};
  const auto before = number_field(there, "value");
  const auto after = number_field(here, "value");
  const auto metric = metric_from_name(here.value("metric", ""));
  if (before && after && metric && there.value("metric", "") == metric_name(*metric)) {
    if (there.value("n", json()) == here.value("n", json()))
      drop = {metric_drop(*metric, *before, *after), std::nullopt, {}};
    else
      drop.reason = "the baseline's accuracy is of another number of samples";
  }
  one.gates.inputs.candidate["accuracy_drop"] = drop;
}

// A profile's targets on accuracy stay undecided without labels: a distance from another model is
// another thing.
void leave_open_without_labels(std::vector<Gate>& gates, const json& row) {
  const auto metric = metric_from_name(text_field(field(row, "quality"), "metric"));
  for (Gate& gate : gates) {
    if (gate.source.empty() || gate.basis != GateBasis::kMeasured) continue;
    const bool is_drop = gate.metric == "accuracy_drop";
    if (gate.metric != "accuracy" && !is_drop) continue;
    if (metric && (needs_labels(*metric) || (is_drop && *metric == Metric::kAgreement))) continue;
    gate.basis = GateBasis::kNothing;
    gate.undecided = "needs --data with labels";
  }
}

void fail(GateResult& result, std::string reason) {
  result.verdict = GateVerdict::kFail;
  result.reason = std::move(reason);
}

ComparedSpeed speed_of(const SweepCase& one) {
  ComparedSpeed speed;
  const json ratio = one.comparison.value("ratio", json::object());
  speed.ratio = number_field(ratio, "value");
  speed.interval = interval_of(ratio);
  speed.verdict = verdict_named(one.comparison);
  speed.effective_tolerance = one.comparison.value("effective_delta", 0.0);
  speed.note = text_field(one.comparison, "note");
  if (speed.note.empty()) speed.note = text_field(ratio, "value_reason");
  return speed;
}

}  // namespace

void rank_cases(Sweep& sweep) {
  find_front(sweep);
  find_optimal(sweep);
}

size_t gated_cases(const BenchRequest& request) {
  const auto count = std::count_if(request.cases.begin(), request.cases.end(),
                                   [&](const BenchCase& one) { return is_gated(one, request); });
  return std::max<size_t>(1, static_cast<size_t>(count));
}

void widen_for_gates(SweepCase& one, const BenchOptions& options, const BenchRequest& request) {
  const size_t family = gated_cases(request);
  if (family < 2 || !one.compared || !is_gated(one.plan, request)) return;
  ComparisonOptions comparison;
  comparison.tolerance = request.tolerance;
  comparison.seed = options.common.seed;
  comparison.looks = request.looks;
  comparison.confidence = 1 - 0.05 / static_cast<double>(family);
  const Comparison wider = merge_comparison(one.ratios, comparison);
  one.gates.inputs.time_ratio = Observed{wider.ratio, wider.interval, wider.note};
}

bool is_speed_decided(const SweepCase& one, const BenchRequest& request) {
  return std::none_of(request.gates.begin(), request.gates.end(), [&](const Gate& gate) {
    return is_on_speed(gate, one.plan) &&
           evaluate_gate(gate, one.gates.inputs).verdict == GateVerdict::kInconclusive;
  });
}

json judge_against(Sweep& sweep, const BenchOptions& options, const BenchRequest& request) {
  json cases = json::array();
  std::vector<FamilyCase> members;
  const bool any_gated =
      std::any_of(sweep.cases.begin(), sweep.cases.end(),
                  [&](const SweepCase& one) { return is_gated(one.plan, request); });
  for (const SweepCase& one : sweep.cases) {
    if (one.comparison.is_null()) continue;
    FamilyCase& member = members.emplace_back();
    member.id = one.plan.id;
    member.verdict = verdict_named(one.comparison);
    member.p_regressed = one.comparison.value("p_regressed", 1.0);
    member.p_improved = one.comparison.value("p_improved", 1.0);
    // Nobody asks anything of any of them: then all are read alike.
    member.gated = !any_gated || is_gated(one.plan, request);
    for (const json& process : one.processes)
      if (const json& pairs = field(process.at("child"), "pairs");
          !field(pairs, "log_ratios").empty())
        member.log_ratios.push_back(pairs["log_ratios"].get<std::vector<double>>());
  }
  if (members.empty()) return nullptr;
  const Family family = judge_family(members, family_options(options));
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
  cross.confidence = 1 - 0.05 / static_cast<double>(gated_cases(request));
  const CrossRun run = compare_with_baseline(report, baseline, options.baseline, cross);
  json section = cross_run_json(run, cross);
  const bool any_gated =
      std::any_of(sweep.cases.begin(), sweep.cases.end(),
                  [&](const SweepCase& one) { return is_gated(one.plan, request); });
  std::vector<FamilyCase> members;
  std::vector<SweepCase*> compared;
  for (const CrossRunCase& each : run.cases)
    for (SweepCase& one : sweep.cases)
      if (one.plan.id == each.id && !one.failure && !one.row.is_null()) {
        FamilyCase& member = members.emplace_back();
        member.id = each.id;
        member.gated = !any_gated || is_gated(one.plan, request);
        member.verdict = each.verdict;
        const double p = each.p_value.value_or(1) / 2;
        member.p_regressed = each.ratio.value_or(1) > 1 ? p : 1;
        member.p_improved = each.ratio.value_or(1) < 1 ? p : 1;
        compared.push_back(&one);
      }
  const Family family = judge_family(members, family_options(options));
  for (json& row : section["cases"])
    for (size_t i = 0; i < compared.size(); ++i) {
      SweepCase& one = *compared[i];
      if (row["id"] != one.plan.id) continue;
      row["verdict"] = comparison_verdict_name(family.members[i].verdict);
      if (!family.members[i].note.empty()) row["note"] = family.members[i].note;
      one.comparison = row;
      const ComparedSpeed speed = speed_of(one);
      // What the comparison does not believe, no gate may.
      one.gates.inputs.time_ratio =
          row.contains("note") && speed.verdict == ComparisonVerdict::kInconclusive
              ? Observed{std::nullopt, std::nullopt, speed.note}
              : Observed{speed.ratio, speed.interval, speed.note};
      for (const json& stored : baseline.at("cases"))
        if (stored.value("id", json()) == one.plan.id) {
          one.gates.inputs.against = stored_observations(stored);
          compare_accuracy(stored, one);
        }
    }
  sweep.missing = run.missing;
  // Stored, and failed now: with --tolerance its own gate says so.
  for (const SweepCase& one : sweep.cases)
    if (one.failure && !one.failure->not_tried() && !request.tolerance_is_gate &&
        std::any_of(run.cases.begin(), run.cases.end(),
                    [&](const CrossRunCase& each) { return each.id == one.plan.id; }))
      sweep.missing.push_back(one.plan.id);
  sweep.baseline_warnings = run.warnings;
  return section;
}

void judge_gates(Sweep& sweep, const BenchOptions& options, const BenchRequest& request) {
  std::vector<GateCase> cases;
  std::vector<size_t> positions;
  for (size_t i = 0; i < sweep.cases.size(); ++i)
    if (!sweep.cases[i].row.is_null() &&
        !(sweep.cases[i].failure && sweep.cases[i].failure->not_tried())) {
      cases.push_back(sweep.cases[i].gates);
      positions.push_back(i);
    }
  if (!sweep.interruption) {
    std::vector<Gate> gates = request.gates;
    for (const size_t i : positions) leave_open_without_labels(gates, sweep.cases[i].row);
    sweep.gates = evaluate_gates(gates, cases);
    for (const SweepCase& one : sweep.cases)
      if (one.soak && !one.failure)
        for (GateResult& result : soak_gates(one.plan.id, *one.soak))
          sweep.gates.push_back(std::move(result));
    for (const SweepCase& one : sweep.cases) {
      if (!request.tolerance_is_gate || one.row.is_null()) continue;
      if (one.failure && one.failure->not_tried()) continue;
      GateResult result = tolerance_gate(one.plan.id, request.tolerance, speed_of(one));
      if (one.failure) fail(result, "the case failed: " + one.failure->message);
      sweep.gates.push_back(std::move(result));
    }
    for (const std::string& id : sweep.missing) {
      GateResult missing = tolerance_gate(id, request.tolerance, {});
      missing.gate.text = "--baseline";
      fail(missing, "the baseline has this case, this run has not");
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
