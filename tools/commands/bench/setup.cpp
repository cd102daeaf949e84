#include "commands/bench/bench_run.h"

#include <malloc.h>

#include <algorithm>
#include <filesystem>

#include "commands/bench/batch.h"
#include "commands/bench/quality.h"
#include "commands/bench/report.h"
#include "heavy/make_engine.h"
#include "heavy/model_data.h"
#include "ir/error.h"
#include "names/engines.h"
#include "os/signals.h"

namespace lathe {
namespace {

// Samples that runs take in turn.
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

std::vector<Shape> shapes_of(const std::vector<Tensor>& sample) {
  std::vector<Shape> shapes;
  for (const Tensor& tensor : sample) shapes.push_back(tensor.shape());
  return shapes;
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

// One model's engine as accuracy sees it. The interpreter runs samples in parallel; other engines,
// whose artifact may hold for one batch size, get one of their own when they measure another.
struct QualityEngine {
  std::unique_ptr<Interpreter> interpreter;
  std::unique_ptr<Engine> engine;
  QualityModel model;
};

QualityEngine quality_engine(BenchSubject& subject, const BenchCase& setting,
                             const Profile& profile, const BenchOptions& options) {
  QualityEngine made;
  made.model.graph = &subject.model.graph;
  if (subject.engine->name() == kInterpreterEngine) {
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
    made.engine = make_engine(setting.engine, subject.path, subject.model, subject.plan, profile,
                              options.common, options.code);
  made.model.run = [&engine = made.engine ? *made.engine : *subject.engine](
                       const std::vector<RuntimeValue>& inputs) { return engine.run(inputs); };
  return made;
}

}  // namespace

void load_case(const BenchRequest& request, const BenchOptions& options, const Profile& profile,
               Console& console, Report& report, BenchRun& run) {
  const CommonOptions& common = options.common;
  const BenchCase& setting = request.cases.front();
  const bool has_against = !options.against.empty();
  const auto load = [&](const std::string& path) {
    return load_subject(path, setting.engine, setting.batch, profile, options, console);
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
  plan_arena(first, shapes_of(pool[0]), profile);
  if (given) warn_of_constant_inputs(pool, first.model.graph, console);
  if (request.load.is_load() || is_emulated(setting.engine)) run.pool = pool;
  run_first(first, pool, true);
  throw_if_interrupted();
  if (!has_against) {
    run.candidate = std::move(first);
  } else if (request.is_self_check) {
    // Both are the same model: the one that is there stays.
    run.paddings.push_back(pad_heap(request.plan.second_heap_padding));
    run.candidate = load(setting.model);
    run_first(run.candidate, pool, false);
    run.against = std::move(first);
    if (request.plan.candidate_loads_first) std::swap(run.candidate, *run.against);
  } else {
    const Reading peak = first.peak;
    const Reading resident = first.resident;
    const Graph graph = std::move(first.model.graph);
    const std::string method = first.peak_method;
    first = {};
    malloc_trim(0);
    for (const bool is_candidate :
         {request.plan.candidate_loads_first, !request.plan.candidate_loads_first}) {
      const bool is_first = is_candidate == request.plan.candidate_loads_first;
      run.paddings.push_back(
          pad_heap(is_first ? request.plan.first_heap_padding : request.plan.second_heap_padding));
      if (is_candidate) {
        run.candidate = load(setting.model);
        run_first(run.candidate, reordered(pool, input_positions(graph, run.candidate.model.graph)),
                  false);
        if (!is_first)
          run.candidate.peak = run.candidate.resident = {
              std::nullopt, "the other model was loaded before, in this process"};
      } else {
        run.against = load(options.against);
        plan_arena(*run.against, shapes_of(pool[0]), profile);
        run_first(*run.against, pool, false);
      }
      throw_if_interrupted();
    }
    run.against->peak = peak;
    run.against->peak_method = method;
    run.against->resident = resident;
  }
  throw_if_interrupted();
  if (metrics.empty()) return;
  const QualityEngine candidate = quality_engine(run.candidate, setting, profile, options);
  std::optional<QualityEngine> against;
  if (run.against) against = quality_engine(*run.against, setting, profile, options);
  run.metrics = bench_quality(candidate.model, against ? &against->model : nullptr, data, metrics,
                              sample_run(run.threads, console, "accuracy", data.size()));
}

}  // namespace lathe
