#include "heavy/bench_sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "bench/choose_case.h"
#include "bench/clock.h"
#include "bench/family.h"
#include "bench/random.h"
#include "heavy/bench_report.h"
#include "heavy/bench_resume.h"
#include "heavy/bench_rows.h"
#include "ir/error.h"
#include "model_facts.h"
#include "os/host.h"
#include "os/signals.h"
#include "profiles/profile.h"

namespace lathe {
namespace {

using nlohmann::json;

using ModelAndEngine = std::pair<std::string, std::string>;
ModelAndEngine key_of(const BenchCase& one) { return {one.model, one.engine}; }

bool same_but_batch(const BenchCase& a, const BenchCase& b) {
  return key_of(a) == key_of(b) && a.threads == b.threads;
}

// A batch that ran out of memory says enough of the larger ones.
std::optional<CaseFailure> backed_off(const SweepCase& one, const std::vector<SweepCase>& cases) {
  for (const SweepCase& other : cases)
    if (other.failure && other.failure->out_of_memory() && other.plan.batch && one.plan.batch &&
        *one.plan.batch > *other.plan.batch && same_but_batch(one.plan, other.plan))
      return CaseFailure{ExitCode::kLimit, 0, "bench.backed_off",
                         fmt::format("not tried: batch {} ran out of memory", *other.plan.batch)};
  return std::nullopt;
}

ComparisonOptions comparison_options(const BenchOptions& options, const BenchRequest& request) {
  ComparisonOptions comparison;
  comparison.tolerance = request.tolerance;
  comparison.seed = options.common.seed;
  comparison.processes = static_cast<size_t>(options.processes);
  return comparison;
}

class SweepRun {
 public:
  SweepRun(const BenchOptions& options, const BenchRequest& request, Console& console)
      : options_(options), request_(request), console_(console), resume_(options.resume) {
    for (const BenchCase& plan : request.cases) {
      SweepCase& one = sweep_.cases.emplace_back();
      one.plan = plan;
    }
  }

  Sweep run() {
    take_finished();
    int64_t left = 0;
    for (const SweepCase& one : sweep_.cases) left += is_done(one) ? 0 : options_.processes;
    console_.progress().start("measuring", left, "runs");
    try {
      for (int64_t round = 0; round < options_.processes; ++round) run_round(round);
    } catch (const Error& error) {
      if (!interrupted()) throw;
      sweep_.interruption = error;
    }
    console_.progress().finish();
    for (SweepCase& one : sweep_.cases)
      if (is_done(one)) share_quality(one, quality_[key_of(one.plan)]);
    return std::move(sweep_);
  }

 private:
  bool is_done(const SweepCase& one) const { return !one.row.is_null(); }

  void take_finished() {
    if (options_.resume.empty()) return;
    for (SweepCase& one : sweep_.cases) {
      try {
        keys_[one.plan.id] = resume_key(one.plan, options_, request_);
      } catch (const Error& error) {
        if (error.code() != ExitCode::kBadInput) throw;
        fail(one, {error.code(), 0, error.id(), error.text().message});
        continue;
      }
      const json* stored = resume_.find(keys_[one.plan.id]);
      if (stored == nullptr) continue;
      one.processes = stored->get<std::vector<json>>();
      one.resumed = true;
      finish(one);
    }
  }

  // Each round runs every case once, in an order of its own: what changes with the time of day
  // falls on all of them.
  void run_round(int64_t round) {
    std::vector<size_t> order(sweep_.cases.size());
    std::iota(order.begin(), order.end(), size_t{0});
    BenchRandom random(options_.common.seed + 0x5EED + static_cast<uint64_t>(round));
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    for (const size_t i : order) {
      SweepCase& one = sweep_.cases[i];
      if (is_done(one)) continue;
      throw_if_interrupted();
      if (const auto failure = backed_off(one, sweep_.cases)) {
        fail(one, *failure);
        continue;
      }
      console_.progress().update(runs_, one.plan.id);
      const bool wants_quality = !quality_.contains(key_of(one.plan));
      ChildOutcome outcome = run_case(child_command(one.plan, options_, request_, wants_quality));
      console_.progress().update(++runs_, one.plan.id);
      if (outcome.failure) {
        fail(one, *outcome.failure);
        continue;
      }
      forward_warnings(outcome.report);
      one.processes.push_back(trimmed_report(outcome.report));
      if (wants_quality) quality_[key_of(one.plan)] = outcome.report.at("quality");
      if (static_cast<int64_t>(one.processes.size()) < options_.processes) continue;
      finish(one);
      resume_.keep(keys_[one.plan.id], one);
    }
  }

  void finish(SweepCase& one) {
    merge_case(one, comparison_options(options_, request_), options_.resume);
    if (!one.quality.is_null()) quality_.emplace(key_of(one.plan), one.quality);
  }

  void fail(SweepCase& one, const CaseFailure& failure) {
    one.failure = failure;
    merge_case(one, comparison_options(options_, request_), {});
    if (failure.id != "bench.backed_off")
      console_.warn("bench.case_failed",
                    one.plan.id + ": " + escape_untrusted(failure.message, 300));
  }

  // Those that are no case's own, once each.
  void forward_warnings(const json& report) {
    for (const json& warning : report.value("warnings", json::array())) {
      const std::string code = warning.value("code", "");
      const std::string message = warning.value("message", "");
      const bool of_the_case =
          code == "bench.drift" || code == "bench.bimodal" || code == "bench.contention";
      if (!of_the_case && warned_.insert(code + message).second)
        console_.warn(code, message, warning.value("hint", ""));
    }
  }

  const BenchOptions& options_;
  const BenchRequest& request_;
  Console& console_;
  ResumeFile resume_;
  Sweep sweep_;
  std::map<std::string, std::string> keys_;
  std::map<ModelAndEngine, json> quality_;
  std::set<std::string> warned_;
  int64_t runs_ = 0;
};

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
      if (one.pooled) times.push_back({*one.plan.batch, one.pooled->summary.median.value});
    }
    const std::optional<int64_t> best = optimal_batch(times);
    if (!best || times.size() < 2) continue;
    for (const SweepCase& one : sweep.cases)
      if (same_but_batch(first, one.plan) && one.plan.batch == best && one.pooled) {
        const std::string model = one.plan.id.substr(0, one.plan.id.find('/'));
        const int threads = one.plan.threads > 0 ? one.plan.threads : usable_cpus();
        sweep.optimal.push_back({fmt::format("{}, {}, {} thread{}", model, one.plan.engine, threads,
                                             threads == 1 ? "" : "s"),
                                 one.plan.id, *best,
                                 one.pooled->summary.median.value / static_cast<double>(*best)});
      }
  }
}

void judge(Sweep& sweep, const BenchRequest& request, const BenchOptions& options) {
  std::vector<GateCase> cases;
  std::vector<size_t> positions;
  for (size_t i = 0; i < sweep.cases.size(); ++i)
    if (!sweep.cases[i].row.is_null()) {
      cases.push_back(sweep.cases[i].gates);
      positions.push_back(i);
    }
  if (!sweep.interruption) sweep.gates = evaluate_gates(request.gates, cases);
  if (!request.recommendation) return;
  const Recommendation& wanted = *request.recommendation;
  if (const auto best = recommend_case(cases, wanted.gates, wanted.metric, wanted.maximize)) {
    sweep.recommended = positions[*best];
    sweep.recommended_command = command_of(sweep.cases[positions[*best]].plan, options);
  }
}

// Verdicts corrected for how many cases were compared; a geometric mean over them.
json comparison_section(Sweep& sweep, const BenchOptions& options, const BenchRequest& request) {
  json cases = json::array();
  std::vector<FamilyCase> members;
  for (SweepCase& one : sweep.cases) {
    if (one.comparison.is_null()) continue;
    FamilyCase& member = members.emplace_back();
    member.id = one.plan.id;
    const std::string verdict = one.comparison.at("verdict").get<std::string>();
    for (const ComparisonVerdict each :
         {ComparisonVerdict::kRegressed, ComparisonVerdict::kPass, ComparisonVerdict::kImproved})
      if (verdict == comparison_verdict_name(each)) member.verdict = each;
    member.p_regressed = one.comparison.value("p_regressed", 1.0);
    member.p_improved = one.comparison.value("p_improved", 1.0);
    for (const json& process : one.processes)
      member.log_ratios.push_back(process.at("child").at("log_ratios").get<std::vector<double>>());
    std::erase_if(member.log_ratios, [](const auto& series) { return series.empty(); });
  }
  if (members.empty()) return nullptr;
  const Family family = judge_family(members, nullptr, {0.95, 10'000, options.common.seed});
  size_t at = 0;
  for (SweepCase& one : sweep.cases) {
    if (one.comparison.is_null()) continue;
    const FamilyMember& member = family.members[at++];
    one.comparison["verdict"] = comparison_verdict_name(member.verdict);
    one.comparison["p_value"] = member.p_regressed;
    if (!member.note.empty()) one.comparison["note"] = member.note;
    cases.push_back(one.comparison);
  }
  json baseline = json::object();
  for (const SweepCase& one : sweep.cases)
    if (!one.comparison.is_null()) baseline = one.processes[0].at("comparison").at("baseline");
  json out{{"mode", "interleaved"},
           {"baseline", std::move(baseline)},
           {"delta_min_effect", request.tolerance},
           {"alpha", 0.05},
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
  return out;
}

ExitCode exit_code_of(const Sweep& sweep) {
  ExitCode code = gates_exit_code(sweep.gates);
  size_t done = 0;
  size_t failed = 0;
  ExitCode failures = ExitCode::kDone;
  bool failed_otherwise = false;
  for (const SweepCase& one : sweep.cases) {
    done += one.row.is_null() ? 0 : 1;
    if (!one.failure) continue;
    ++failed;
    failures = worse(failures, one.failure->code);
    failed_otherwise = failed_otherwise || one.failure->code != ExitCode::kLimit;
  }
  if (done > 0 && failed == done) return worse(code, failures);
  return failed_otherwise ? worse(code, ExitCode::kBatchFailed) : code;
}

void fill_sweep(Report& report, Sweep& sweep, const BenchOptions& options,
                const BenchRequest& request) {
  report.comparison = comparison_section(sweep, options, request);
  report.cases = json::array();
  report.models = json::object();
  for (const SweepCase& one : sweep.cases) {
    if (one.row.is_null()) continue;
    report.cases.push_back(one.row);
    if (!one.against_row.is_null()) report.cases.push_back(one.against_row);
    if (one.processes.empty()) continue;
    const std::string name = one.plan.id.substr(0, one.plan.id.find('/'));
    report.models[name] = one.processes[0].at("model");
    if (one.processes[0].contains("models"))
      for (const auto& [role, model] : one.processes[0].at("models").items())
        report.models[role] = model;
    if (report.inputs.is_null()) report.inputs = one.processes[0].at("inputs");
  }
  for (const GateResult& result : sweep.gates) report.gates.push_back(gate_row(result));
  const auto skip = [&](const Gate& gate, const std::string& reason) {
    report.gates.push_back({escape_untrusted(gate.text),
                            gate.metric,
                            {},
                            std::string(gate_comparison_text(gate.comparison)),
                            gate.limit,
                            std::nullopt,
                            std::nullopt,
                            "skipped",
                            reason});
  };
  if (sweep.interruption)
    for (const Gate& gate : request.gates) skip(gate, "interrupted");
  for (const auto& [gate, reason] : request.skipped) skip(gate, reason);

  json summary{{"cases", request.cases.size()},
               {"processes", options.processes},
               {"optimal_batches", json::array()}};
  size_t resumed = 0;
  size_t failed = 0;
  for (const SweepCase& one : sweep.cases) {
    resumed += one.resumed ? 1 : 0;
    failed += one.failure ? 1 : 0;
  }
  summary["resumed"] = resumed;
  summary["failed"] = failed;
  for (const OptimalBatch& best : sweep.optimal)
    summary["optimal_batches"].push_back(
        {{"case", best.case_id}, {"batch", best.batch}, {"ns_per_item", best.ns_per_item}});
  if (request.recommendation) {
    std::optional<std::string> id;
    if (sweep.recommended) id = sweep.cases[*sweep.recommended].plan.id;
    json& recommended = summary["recommended"];
    put_or_reason(recommended, "case", id, "no case passes every --recommend expression");
    recommended["metric"] = request.recommendation->metric;
    if (sweep.recommended) recommended["command"] = sweep.recommended_command;
  }
  report.details = {{"sweep", std::move(summary)}};
}

int list_cases(const BenchOptions& options, const BenchRequest& request, Console& console) {
  const ResumeFile resume(options.resume);
  std::vector<std::vector<std::string>> rows{{"case", "batch", "threads", "engine", ""}};
  Report report = start_report("bench", options.common);
  report.cases = json::array();
  for (const BenchCase& one : request.cases) {
    std::string state;
    if (!options.resume.empty() && resume.find(resume_key(one, options, request)) != nullptr)
      state = "finished";
    rows.push_back({one.id, one.batch ? std::to_string(*one.batch) : "-",
                    std::to_string(one.threads > 0 ? one.threads : usable_cpus()), one.engine,
                    state});
    json row{{"id", one.id}, {"scenario", "single"}, {"engine", one.engine}, {"planned", true}};
    if (one.batch) row["batch"] = *one.batch;
    row["finished"] = !state.empty();
    report.cases.push_back(std::move(row));
  }
  const double seconds =
      static_cast<double>(request.max_ns) / 1e9 * static_cast<double>(request.cases.size());
  console.print(fmt::format("{} cases, {} process{} each, {:.0f} s of measuring at most; nothing "
                            "was run\n",
                            request.cases.size(), options.processes,
                            options.processes == 1 ? "" : "es", seconds) +
                table(rows));
  console.deliver(to_json(report), options.common);
  return 0;
}

}  // namespace

std::vector<const SweepCase*> Sweep::done() const {
  std::vector<const SweepCase*> found;
  for (const SweepCase& one : cases)
    if (!one.row.is_null()) found.push_back(&one);
  return found;
}

int run_sweep(const BenchOptions& options, const BenchRequest& request, Console& console) {
  const CommonOptions& common = options.common;
  if (common.dry_run) return list_cases(options, request, console);
  const int64_t start = now_ns();
  const Profile profile = load_profile(common.profile);
  Report report = start_report("bench", common);
  report.device_profile = {
      {"name", profile.name}, {"version", profile.version}, {"hash", profile.hash}};
  set_interrupt_grace(10);
  Sweep sweep = SweepRun(options, request, console).run();
  find_front(sweep);
  find_optimal(sweep);
  judge(sweep, request, options);
  report.exit_code = exit_code_of(sweep);
  if (sweep.interruption) set_error(report, *sweep.interruption);
  fill_sweep(report, sweep, options, request);
  for (const auto& [gate, reason] : request.skipped)
    console.warn("gate.skipped", escape_untrusted(gate.text) + ": " + reason);
  console.print(sweep_text(sweep, request, console));
  for (const Console::Warning& warning : console.warnings())
    report.warnings.push_back({warning.code, warning.message, warning.hint});
  report.run.duration_ns = now_ns() - start;
  console.deliver(to_json(report), common);
  return static_cast<int>(report.exit_code);
}

}  // namespace lathe
