#include "commands/bench/sweep.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "command_run.h"
#include "commands/bench/gates.h"
#include "commands/bench/profile.h"
#include "commands/bench/report.h"
#include "commands/bench/resume.h"
#include "commands/bench/sweep_judge.h"
#include "commands/bench/text.h"
#include "comparison/baseline.h"
#include "ir/error.h"
#include "names/engines.h"
#include "os/host.h"
#include "os/signals.h"
#include "report/fields.h"

namespace lathe {
namespace {

using nlohmann::json;

// Memory ran out where a smaller batch had worked: that is what the sweep was to find.
bool is_found_limit(const SweepCase& one, const Sweep& sweep) {
  if (one.failure->not_tried()) return true;
  if (!one.failure->out_of_memory() || !one.plan.batch) return false;
  return std::any_of(sweep.cases.begin(), sweep.cases.end(), [&](const SweepCase& other) {
    return !other.failure && !other.row.is_null() && other.plan.model == one.plan.model &&
           other.plan.engine == one.plan.engine && other.plan.threads == one.plan.threads &&
           other.plan.batch && *other.plan.batch < *one.plan.batch;
  });
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
    failed_otherwise = failed_otherwise || !is_found_limit(one, sweep);
  }
  if (done > 0 && failed == done) return worse(code, failures);
  return failed_otherwise ? worse(code, ExitCode::kBatchFailed) : code;
}

void add_artifacts(Report& report, const json& process) {
  for (const json& row : process.value("artifacts", json::array()))
    report.artifacts.push_back(
        {row.at("kind").get<std::string>(), row.at("path").get<std::string>(),
         row.at("sha256").get<std::string>(), row.at("bytes").get<int64_t>()});
}

void fill_cases(Report& report, const Sweep& sweep) {
  report.cases = json::array();
  report.models = json::object();
  for (const SweepCase& one : sweep.cases) {
    if (one.row.is_null()) continue;
    report.cases.push_back(one.row);
    if (!one.against_row.is_null()) report.cases.push_back(one.against_row);
    if (one.processes.empty()) continue;
    report.models[one.plan.name] = one.processes[0].at("model");
    if (one.processes[0].contains("models"))
      for (const auto& [role, model] : one.processes[0].at("models").items())
        report.models[role] = model;
    add_artifacts(report, one.processes[0]);
    if (report.inputs.is_null()) report.inputs = one.processes[0].at("inputs");
  }
}

void fill_verdicts(Report& report, const Sweep& sweep, const BenchRequest& request) {
  for (const GateResult& result : sweep.gates) report.gates.push_back(gate_row(result));
  const std::string only = request.cases.size() == 1 ? request.cases[0].id : "";
  if (sweep.interruption)
    for (const Gate& gate : request.gates)
      report.gates.push_back(skipped_gate(gate, only, "interrupted"));
  json summary{{"cases", request.cases.size()},
               {"processes", request.processes},
               {"optimal_batches", json::array()}};
  size_t resumed = 0;
  size_t failed = 0;
  size_t left_out = 0;
  for (const SweepCase& one : sweep.cases) {
    resumed += one.resumed ? 1 : 0;
    if (one.failure) ++(one.failure->not_tried() ? left_out : failed);
  }
  summary["resumed"] = resumed;
  summary["failed"] = failed;
  summary["not_tried"] = left_out;
  for (const OptimalBatch& best : sweep.optimal)
    summary["optimal_batches"].push_back({{"case", best.case_id},
                                          {"what", best.what},
                                          {"batch", best.batch},
                                          {"ns_per_item", best.ns_per_item}});
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

// Said before time is spent: sizes may still be compared.
void warn_of_few_processes(const json& baseline, Console& console) {
  for (const json& row : list_field(baseline, "cases")) {
    const size_t count = list_field(field(row, "samples"), "process_medians_ns").size();
    if (is_emulated(text_field(row, "engine"))) continue;
    if (text_field(row, "id").starts_with("against/") || count >= kFewestCrossRunProcesses)
      continue;
    console.warn("bench.baseline_processes",
                 fmt::format("the baseline measured {} in {} processes; a verdict on its speed "
                             "needs {}",
                             text_field(row, "id"), count, kFewestCrossRunProcesses),
                 fmt::format("measure it with --processes {}", kFewestCrossRunProcesses));
    return;
  }
}

// The only case stands in the report as it does when this process measures it.
void complete_single(json& report, const SweepCase& one) {
  if (one.failure || one.processes.empty()) return;
  const json& first = one.processes[0];
  for (const char* key : {"model", "models", "phases", "quality", "memory"})
    if (first.contains(key)) report[key] = first.at(key);
  // A process in which the other model was loaded before does not tell the peak.
  for (const json& process : one.processes)
    if (number_field(field(report, "memory"), "hwm_bytes").value_or(0) <
        number_field(field(process, "memory"), "hwm_bytes").value_or(0))
      report["memory"] = process.at("memory");
  if (first.contains("noise") && report.contains("host")) report["host"]["noise"] = first["noise"];
  if (!one.quality.is_null()) report["quality"] = one.quality;
}

int list_cases(const BenchOptions& options, const BenchRequest& request, Console& console) {
  const ResumeFile resume(options.resume, ResumeUse::kRead);
  std::vector<std::vector<std::string>> rows{
      {"case", "scenario", "batch", "threads", "engine", ""}};
  CommandRun run = begin_run("bench", options.common, console);
  Report& report = run.report;
  report.cases = json::array();
  for (const BenchCase& one : request.cases) {
    std::string state;
    if (!options.resume.empty() && resume.find(resume_key(one, options, request)) != nullptr)
      state = "finished";
    rows.push_back({one.id, options.scenario, one.batch ? std::to_string(*one.batch) : "-",
                    std::to_string(one.threads > 0 ? one.threads : usable_cpus()), one.engine,
                    state});
    json row{
        {"id", one.id}, {"scenario", options.scenario}, {"engine", one.engine}, {"planned", true}};
    if (one.batch) row["batch"] = *one.batch;
    row["finished"] = !state.empty();
    report.cases.push_back(std::move(row));
  }
  const double seconds =
      static_cast<double>(request.max_ns) / 1e9 * static_cast<double>(request.cases.size());
  return finish_run(
      run, fmt::format("{} cases, {} process{} each, {:.0f} s of measuring at most; nothing "
                       "was run\n",
                       request.cases.size(), request.processes, request.processes == 1 ? "" : "es",
                       seconds) +
               table(rows));
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
  CommandRun run = begin_run("bench", common, console);
  Report& report = run.report;
  json baseline;
  if (request.cross_run)
    baseline = load_baseline(options.baseline, to_json(report), options.allow_host_mismatch);
  warn_of_few_processes(baseline, console);
  // Of one process the parent waits for what it measured so far.
  set_interrupt_grace(request.is_alone() ? 65 : 10);
  Sweep sweep = run_cases(options, request, console);
  if (sweep.interruption && request.is_alone() && sweep.done().empty()) throw *sweep.interruption;
  rank_cases(sweep);
  fill_cases(report, sweep);
  report.comparison = judge_against(sweep, options, request);
  if (request.cross_run && !sweep.interruption)
    report.comparison = judge_baseline(sweep, to_json(report), baseline, options, request);
  judge_gates(sweep, options, request);
  report.exit_code = exit_code_of(sweep);
  if (sweep.interruption) set_error(report, *sweep.interruption);
  fill_verdicts(report, sweep, request);
  for (const std::string& warning : sweep.baseline_warnings)
    console.warn("bench.baseline", warning, "the verdicts are worth little");
  if (sweep.cases.size() == 1)
    for (const json& warning : field(sweep.cases[0].row, "warnings"))
      console.warn(text_field(warning, "code"), text_field(warning, "message"),
                   text_field(warning, "hint"));
  json document = finished_report(run);
  const bool is_single =
      sweep.cases.size() == 1 && !sweep.cases[0].failure && !sweep.cases[0].processes.empty();
  if (is_single) complete_single(document, sweep.cases[0]);
  return finish_run(run, document, bench_text(document, console) + details_text(document, console));
}

}  // namespace lathe
