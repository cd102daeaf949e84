// lathe run: a model's outputs on data, as .npz.
#include <fmt/format.h>

#include "calibration/npz.h"
#include "command_run.h"
#include "heavy/commands.h"
#include "heavy/make_engine.h"
#include "heavy/make_remote_engine.h"
#include "heavy/model_data.h"
#include "heavy/threads.h"
#include "ir/error.h"
#include "model_facts.h"
#include "names/engines.h"
#include "os/glob.h"
#include "os/quantity.h"
#include "run/interpreter.h"

namespace lathe {
namespace {

// Inner values that --values names, in the order of the graph.
std::vector<ValueId> wanted_values(const Graph& graph, const std::vector<std::string>& globs) {
  std::vector<ValueId> found;
  for (const std::string& text : globs) {
    const Glob glob(text);
    const size_t before = found.size();
    for (const NodeId id : graph.order())
      for (const ValueId output : graph.node(id).outputs)
        if (output.valid() && glob.matches(graph.value(output).name) && !graph.is_output(output))
          found.push_back(output);
    if (found.size() == before)
      throw bad_usage("usage.values", "no value matches '" + escape_untrusted(text) + "'",
                      "--values", "lathe inspect -v lists the nodes");
  }
  return found;
}

// Samples of one value, stacked on a new first axis; one sample stays as it is.
Tensor stacked(const std::vector<Tensor>& parts, const std::string& name) {
  if (parts.size() == 1) return parts[0];
  std::vector<std::byte> bytes;
  std::vector<std::string> strings;
  const bool of_strings = parts[0].dtype() == DType::kString;
  for (const Tensor& part : parts) {
    if (part.shape() != parts[0].shape() || part.dtype() != parts[0].dtype())
      throw bad_input("run.shapes_differ",
                      fmt::format("the samples' outputs differ in shape: {} and {}",
                                  shape_text(parts[0].shape()), shape_text(part.shape())),
                      "output " + escape_untrusted(name), "run the samples one by one");
    bytes.insert(bytes.end(), part.bytes().begin(), part.bytes().end());
    if (of_strings) strings.insert(strings.end(), part.strings().begin(), part.strings().end());
  }
  Shape shape = parts[0].shape();
  shape.insert(shape.begin(), static_cast<int64_t>(parts.size()));
  if (of_strings) return Tensor::from_strings(std::move(shape), std::move(strings));
  return Tensor::from_bytes(parts[0].dtype(), std::move(shape), std::move(bytes));
}

// The interpreter, which knows inner values and runs several samples at once, or an engine.
class RunModel {
 public:
  RunModel(const RunOptionsCli& options, const RunnableModel& runnable, const Profile& profile,
           int threads)
      : threads_(threads) {
    std::string name = options.engine;
    const bool is_native = runnable.plan || !options.common.remote.empty();
    if (name == kAutoEngine) name = is_native ? kNativeEngine : kInterpreterEngine;
    if (!options.common.remote.empty()) require_native_there(name);
    if (name == kInterpreterEngine && !runnable.plan) {
      interpreter_ = std::make_unique<Interpreter>(runnable.model.graph);
      return;
    }
    if (!options.values.empty())
      throw bad_usage(
          "usage.values", "this engine does not show inner values", "--values",
          runnable.plan ? "run the model that the plan was made from" : "add --engine interpreter");
    graph_ = runnable.model.graph;
    engine_ =
        make_engine(name, options.model, runnable.model, runnable.plan, profile, options.common);
  }

  const Graph& graph() const { return interpreter_ ? interpreter_->graph() : graph_; }
  int samples_at_once() const { return interpreter_ ? threads_ : 1; }
  std::vector<RuntimeValue> run(const std::vector<RuntimeValue>& inputs,
                                const RunOptions& hooks) const {
    return interpreter_ ? interpreter_->run(inputs, hooks) : engine_->run(inputs);
  }

 private:
  int threads_;
  Graph graph_;
  std::unique_ptr<Interpreter> interpreter_;
  std::unique_ptr<Engine> engine_;
};

/// A model of free batch takes an array as it is.
void warn_of_rows(const PlanFile& plan, const std::string& data, size_t samples, Console& console) {
  if (!plan.metadata.lost_batch || samples < 2) return;
  if (!data.ends_with(".npy") && !data.ends_with(".npz")) return;
  console.warn("plan.batch",
               "the model takes all rows of an array at once, this plan one at a time: other "
               "results where rows depend on each other",
               fmt::format("lathe compile --input-shape NAME={}x… makes a plan for all", samples));
}

}  // namespace

int run_run(const RunOptionsCli& options, Console& console) {
  const CommonOptions& common = options.common;
  require_output(common, "outputs", "OUT.npz");
  check_files(common, {common.output}, {options.model, options.data});
  CommandRun run = begin_run("run", common, console);
  const int threads = use_threads(common);
  warn_of_crowding("usage.threads", threads, console);
  const RunnableModel runnable = open_runnable(options.model, common, console);
  const Model& model = runnable.model;
  run.report.model = model_facts(options.model, model);
  // Its outputs are those of the arrays as they are, as an application would feed them.
  const DataSet data =
      open_data_for(options.data, model, options.samples, common, console, FreeBatch::kOneFeed);
  if (runnable.plan) warn_of_rows(*runnable.plan, options.data, data.size(), console);
  const RunModel computed(options, runnable, run.profile, threads);
  const Graph& graph = computed.graph();
  const std::vector<ValueId> inner = wanted_values(graph, options.values);
  if (common.dry_run)
    return finish_run(run, fmt::format("would run {} samples; nothing was written\n", data.size()));

  const SampleSource source = sample_source(data);
  std::vector<std::map<std::string, Tensor>> results(source.count);
  for_each_sample(
      graph, source, sample_run(computed.samples_at_once(), console, "running", source.count),
      [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
        RunOptions hooks;
        hooks.on_value = [&](ValueId id, RuntimeValue& value) {
          const bool writable = value.is_tensor() || value.kind == RuntimeValue::Kind::kStrings;
          if (writable && std::find(inner.begin(), inner.end(), id) != inner.end())
            results[sample].emplace(graph.value(id).name, to_tensor(value));
        };
        std::vector<RuntimeValue> found = computed.run(inputs, hooks);
        for (size_t i = 0; i < found.size(); ++i)
          results[sample].insert_or_assign(graph.value(graph.outputs()[i]).name,
                                           to_tensor(found[i]));
        return found;
      });

  std::vector<std::pair<std::string, Tensor>> arrays;
  std::vector<ValueId> written = graph.outputs();
  written.insert(written.end(), inner.begin(), inner.end());
  for (const ValueId id : written) {
    const std::string& name = graph.value(id).name;
    std::vector<Tensor> parts;
    for (const auto& result : results)
      if (const auto it = result.find(name); it != result.end()) parts.push_back(it->second);
    if (!parts.empty()) arrays.emplace_back(name, stacked(parts, name));
  }
  const std::string bytes = npz_bytes(arrays);
  publish_artifact(run, "outputs", common.output, bytes, common.force);
  std::string text =
      fmt::format("{} samples run, {} arrays in {} ({})\n", source.count, arrays.size(),
                  common.output, bytes_text(static_cast<int64_t>(bytes.size())));
  for (const auto& [name, tensor] : arrays)
    text += fmt::format("  {}  {} {}\n", escape_untrusted(name), dtype_name(tensor.dtype()),
                        shape_text(tensor.shape()));
  return finish_run(run, text);
}

}  // namespace lathe
