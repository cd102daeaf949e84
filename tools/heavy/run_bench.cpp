// lathe bench: how fast, how large, how accurate; compared with another model and gated.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "bench/clock.h"
#include "heavy/bench_batch.h"
#include "heavy/bench_child.h"
#include "heavy/bench_gates.h"
#include "heavy/bench_quality.h"
#include "heavy/bench_report.h"
#include "heavy/bench_request.h"
#include "heavy/bench_run.h"
#include "heavy/bench_self_check.h"
#include "heavy/bench_sweep.h"
#include "heavy/bench_text.h"
#include "heavy/commands.h"
#include "heavy/make_engine.h"
#include "heavy/model_data.h"
#include "heavy/run_doctor.h"
#include "heavy/threads.h"
#include "ir/error.h"
#include "model_facts.h"
#include "os/pressure.h"
#include "os/signals.h"
#include "profiles/profile.h"
#include "run/denormals.h"

namespace lathe {
namespace {

constexpr size_t kPoolSamples = 8;
// Spread over the data, so that sorted data do not give one class only.
std::vector<std::vector<Tensor>> draw_pool(const DataSet& data) {
  const size_t count = std::min(kPoolSamples, data.size());
  std::vector<std::vector<Tensor>> pool;
  for (size_t i = 0; i < count; ++i) pool.push_back(data.sample(i * data.size() / count));
  return pool;
}

std::vector<std::vector<Tensor>> reordered(const std::vector<std::vector<Tensor>>& pool,
                                           const std::vector<size_t>& positions) {
  std::vector<std::vector<Tensor>> out;
  for (const std::vector<Tensor>& sample : pool) {
    std::vector<Tensor>& row = out.emplace_back();
    for (const size_t position : positions) row.push_back(sample[position]);
  }
  return out;
}

void warn_of_constant_inputs(const std::vector<std::vector<Tensor>>& pool, const Graph& graph,
                             Console& console) {
  for (size_t i = 0; i < pool[0].size(); ++i) {
    const std::span<const std::byte> bytes = pool[0][i].bytes();
    const auto size = static_cast<size_t>(dtype_bits(pool[0][i].dtype()) / 8);
    if (size == 0 || bytes.size() < 16 * size) continue;
    // Equal to itself shifted by one element: all elements are the same.
    if (std::equal(bytes.begin() + static_cast<std::ptrdiff_t>(size), bytes.end(), bytes.begin()))
      console.warn("bench.constant_input",
                   "input " + escape_untrusted(graph.value(graph.inputs()[i]).name) +
                       " has the same value everywhere: sparse and data-dependent ops may run "
                       "faster than on real data");
  }
}

BenchInputs describe_inputs(const BenchOptions& options, const DataSet& data, size_t pool) {
  BenchInputs inputs;
  inputs.random = options.data.empty() || options.data == "random";
  inputs.source = inputs.random
                      ? "random"
                      : escape_untrusted(std::filesystem::path(options.data).filename().string());
  inputs.pool = pool;
  if (!data.carry().empty()) inputs.source += " (carried state is zero)";
  return inputs;
}

void measure(const BenchRequest& request, const BenchOptions& options, Console& console,
             BenchRun& run) {
  SessionOptions session;
  session.max_ns = request.max_ns;
  session.tolerance = request.tolerance;
  session.enough_samples = samples_for_gates(request.gates, session.enough_samples);
  session.seed = options.common.seed;
  if (options.iterations > 0) session.iterations = static_cast<size_t>(options.iterations);
  Progress& progress = console.progress();
  progress.start("measuring", 0, "iterations");
  progress.pause();
  int64_t done = 0;
  Conduct conduct;
  // Asked between iterations only, never inside of a timed one.
  conduct.interrupted = [&] {
    progress.resume();
    progress.update(done);
    progress.pause();
    return interrupted();
  };
  const auto runnable = [&done](const BenchSubject& subject) {
    return [&engine = *subject.engine, &done](size_t iteration) {
      engine.execute(iteration);
      ++done;
    };
  };
  const Runnable candidate = runnable(run.candidate);
  const Runnable against = run.against ? Runnable(runnable(*run.against)) : Runnable();
  const auto ticks = cpu_ticks();
  const auto pressure = cpu_pressure_us();
  const int64_t start = now_ns();
  // An iteration that is under way at SIGINT is finished before the partial report is written.
  const double slowest = static_cast<double>(std::max(
      run.candidate.first_inference_ns, run.against ? run.against->first_inference_ns : 0));
  set_interrupt_grace(2 + static_cast<unsigned>(std::min(60.0, 12 * slowest / 1e9)));
  run.session = run_session(candidate, run.against ? &against : nullptr,
                            static_cast<double>(run.inputs.items), session, conduct,
                            [&](std::string_view phase) {
                              console.detail(std::string(phase));
                              progress.start(phase, 0, "iterations");
                            });
  progress.resume();
  progress.finish();
  const auto ticks_after = cpu_ticks();
  if (ticks && ticks_after) run.disturbance.steal = steal_share(*ticks, *ticks_after);
  const auto pressure_after = cpu_pressure_us();
  const int64_t elapsed = now_ns() - start;
  if (pressure && pressure_after && elapsed > 0)
    run.disturbance.pressure =
        static_cast<double>(*pressure_after - *pressure) * 1e3 / static_cast<double>(elapsed);
  if (run.session.candidate)
    run.findings = stability_findings(run.session.candidate->samples.latency_ns,
                                      run.session.candidate->summary, run.disturbance);
  run.interrupted = run.session.interrupted;
}

void warn_of_build(const Report& report, int threads, Console& console) {
  if (!report.tool.sanitizers.empty())
    console.warn("bench.build", "this lathe is built with sanitizers: times mean nothing");
  else if (report.tool.build_type == "debug")
    console.warn("bench.build", "this lathe is a debug build: times mean little");
  if (threads > usable_cpus())
    console.warn("bench.threads",
                 fmt::format("{} threads share {} usable CPUs", threads, usable_cpus()));
}

// One model's engine as accuracy sees it. The interpreter runs samples in parallel; other engines,
// whose artifact may hold for one batch size, get one of their own when they measure another.
struct QualityEngine {
  std::unique_ptr<Interpreter> interpreter;
  std::unique_ptr<Engine> engine;
  QualityModel model;
};

QualityEngine quality_engine(BenchSubject& subject, const BenchCase& setting,
                             const Profile& profile, const CommonOptions& common) {
  QualityEngine made;
  made.model.graph = &subject.model.graph;
  if (subject.engine->name() == "interpreter") {
    made.interpreter = std::make_unique<Interpreter>(subject.model.graph);
    made.model.parallel = true;
    made.model.run = [&interpreter = *made.interpreter](const std::vector<RuntimeValue>& inputs) {
      RunOptions hooks;
      hooks.check = throw_if_interrupted;
      return interpreter.run(inputs, hooks);
    };
    return made;
  }
  if (subject.batched)
    made.engine = make_engine(setting.engine, subject.path, subject.model, profile, common);
  made.model.run = [&engine = made.engine ? *made.engine : *subject.engine](
                       const std::vector<RuntimeValue>& inputs) { return engine.run(inputs); };
  return made;
}

// Loads the candidate and, with --against, both so that each one's memory peak is its own and
// neither pays for what the process sets up at its first inference.
void load_all(const BenchRequest& request, const BenchOptions& options, const Profile& profile,
              Console& console, Report& report, BenchRun& run) {
  const CommonOptions& common = options.common;
  const BenchCase& setting = request.cases.front();
  const bool has_against = !options.against.empty();
  const auto load = [&](const std::string& path) {
    return load_subject(path, setting.engine, setting.batch, profile, common, console);
  };
  BenchSubject first = load(has_against ? options.against : setting.model);
  const bool given = !options.data.empty();
  const DataSet data =
      open_data_for(given ? options.data : "random", first.model,
                    given ? options.samples : static_cast<int64_t>(kPoolSamples), common, console);
  std::vector<Metric> metrics;
  if (request.wants_quality)
    metrics = bench_metrics(options.metric, request.gates, data.has_labels(), has_against);
  std::vector<std::vector<Tensor>> pool = draw_pool(data);
  if (setting.batch) pool = stack_samples(pool, first.model.graph, *setting.batch);
  run.inputs = describe_inputs(options, data, pool.size());
  run.inputs.items = items_of(pool[0], first.graph());
  report.inputs = input_rows(first.model.graph, pool, run.inputs, common.seed);
  if (given) warn_of_constant_inputs(pool, first.model.graph, console);
  run_first(first, pool, true);
  throw_if_interrupted();
  if (!has_against) {
    run.candidate = std::move(first);
  } else {
    const Reading peak = first.peak;
    const Graph graph = std::move(first.model.graph);
    const std::string method = first.peak_method;
    first = {};
    malloc_trim(0);
    run.candidate = load(setting.model);
    run_first(run.candidate, reordered(pool, input_positions(graph, run.candidate.model.graph)),
              false);
    throw_if_interrupted();
    run.against = load(options.against);
    run_first(*run.against, pool, false);
    run.against->peak = peak;
    run.against->peak_method = method;
  }
  throw_if_interrupted();
  if (metrics.empty()) return;
  const QualityEngine candidate = quality_engine(run.candidate, setting, profile, common);
  std::optional<QualityEngine> against;
  if (run.against) against = quality_engine(*run.against, setting, profile, common);
  run.metrics = bench_quality(candidate.model, against ? &against->model : nullptr, data, metrics,
                              sample_run(run.threads, console, "accuracy", data.size()));
}

// What a signal left of the run; nullopt when none came.
std::optional<Error> signal_error() {
  try {
    throw_if_interrupted();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

}  // namespace

int run_bench(const BenchOptions& given, Console& console) {
  if (given.doctor) return run_doctor(given, console);
  if (given.self_check || !given.self_check_child.empty()) return run_self_check(given, console);
  const BenchRequest request = read_request(given);
  if (request.is_sweep) return run_sweep(given, request, console);
  BenchOptions options = given;
  CommonOptions& common = options.common;
  common.threads = request.cases.front().threads;
  const int64_t start = now_ns();
  const Profile profile = load_profile(common.profile);
  BenchRun run;
  run.threads_asked = common.threads;
  run.threads = use_threads(common);
  const bool flush = options.denormals == "flush";
  if (!flush_denormals(flush) && flush)
    throw Error(ExitCode::kEnvironment, "bench.denormals",
                {"this processor cannot flush denormal numbers", "--denormals", {}});
  Report report = start_report("bench", common);
  report.device_profile = {
      {"name", profile.name}, {"version", profile.version}, {"hash", profile.hash}};
  warn_of_build(report, run.threads, console);
  load_all(request, options, profile, console, report, run);
  measure(request, options, console, run);
  for (const StabilityFinding& finding : run.findings)
    console.warn(finding.code, finding.message, finding.hint);
  if (!run.interrupted && !request.is_child) {
    const GateCase one = gate_case(run);
    run.gates = evaluate_gates(request.gates, std::span(&one, 1));
  }

  console.print(bench_text(run, console));
  report.exit_code = gates_exit_code(run.gates);
  const auto skip = [&](const Gate& gate, const std::string& reason) {
    report.gates.push_back({escape_untrusted(gate.text), gate.metric, "single",
                            std::string(gate_comparison_text(gate.comparison)), gate.limit,
                            std::nullopt, std::nullopt, "skipped", reason});
  };
  if (const auto error = signal_error(); run.interrupted && error) {
    set_error(report, *error);
    for (const Gate& gate : request.gates) skip(gate, "interrupted");
  }
  fill_report(report, run, options);
  for (const auto& [gate, reason] : request.skipped) {
    skip(gate, reason);
    console.warn("gate.skipped", escape_untrusted(gate.text) + ": " + reason);
  }
  if (request.is_child) report.details = {{"child", child_section(run)}};
  for (const Console::Warning& warning : console.warnings())
    report.warnings.push_back({warning.code, warning.message, warning.hint});
  report.run.duration_ns = now_ns() - start;
  console.deliver(to_json(report), common);
  return static_cast<int>(report.exit_code);
}

}  // namespace lathe
