#include "heavy/model_data.h"

#include <fmt/format.h>

#include "artifact/open_plan.h"
#include "artifact/plan_graph.h"
#include "ir/carry.h"
#include "ir/error.h"
#include "os/host.h"
#include "os/signals.h"
#include "run/compare.h"
#include "verify/seeded_inputs.h"

namespace lathe {

namespace {

Tensor zeros(DType dtype, const Dims& dims) {
  const Shape shape = shape_with_ones(dims);
  const auto bytes = static_cast<size_t>(dtype_bytes(dtype, element_count(shape)));
  return Tensor::from_bytes(dtype, shape, std::vector<std::byte>(bytes));
}

// The graph of a first call against the one of all calls, which starts from zeros or the first
// state: empty when both give the same on seeded inputs.
std::string first_step_difference(const Model& first, const Model& steady, uint64_t seed) {
  const Interpreter of_first(first.graph);
  const Interpreter of_all(steady.graph);
  const std::map<std::string, Tensor> initial = initial_state_of(steady);
  for (const std::vector<Tensor>& inputs : seeded_inputs(of_first, 10, seed)) {
    std::vector<RuntimeValue> given;
    for (const Tensor& input : inputs) given.push_back(to_runtime(input));
    std::vector<RuntimeValue> all = given;
    for (size_t i = inputs.size(); i < steady.graph.inputs().size(); ++i) {
      const Value& value = steady.graph.value(steady.graph.inputs()[i]);
      const auto it = initial.find(value.name);
      const Tensor start = it != initial.end()
                               ? it->second
                               : zeros(value.type.dtype, value.type.dims.value_or(Dims{}));
      all.push_back(to_runtime(start));
    }
    const std::vector<RuntimeValue> expected = of_first.run(given);
    const std::vector<RuntimeValue> found = of_all.run(all);
    for (size_t i = 0; i < expected.size(); ++i) {
      const ErrorSums sums = error_sums(expected[i].tensor, found[i].tensor);
      if (sums.unequal_non_finite > 0 || sums.relative_max_error() > 1e-5)
        return "output " + escape_untrusted(first.graph.value(first.graph.outputs()[i]).name);
    }
  }
  return {};
}

}  // namespace

Model open_model(const std::string& path, const CommonOptions& common, Console& console) {
  OpenedModel opened = open_model_file(path, common);
  if (opened.first_step) {
    std::string difference;
    try {
      difference = first_step_difference(*opened.first_step, opened.model, common.seed);
    } catch (const Error& error) {
      difference = error.what();
    }
    if (!difference.empty()) {
      console.detail("the first call is not like the others: " + difference);
      opened = open_model_file(path, common, false);
    }
  }
  print_notes(opened, console);
  return std::move(opened.model);
}

RunnableModel open_runnable(const std::string& path, const CommonOptions& common,
                            Console& console) {
  if (!is_plan_file(path)) return {open_model(path, common, console), nullptr};
  for (const auto* flag : {&common.input_shapes, &common.input_types, &common.input_values})
    if (!flag->empty())
      throw bad_usage("usage.plan", "a compiled plan has the inputs that it has", path,
                      "--input-shape is for lathe compile");
  RunnableModel opened;
  PlanFile file = open_plan_file(path);
  const std::string lost =
      keep_own_choices(file, file.metadata.fingerprint.empty() ? "" : host_facts().fingerprint,
                       common.threads > 0 ? common.threads : usable_cpus());
  if (!lost.empty())
    console.warn("plan.tuning", lost, "lathe compile --tune on this machine, with these --threads");
  opened.plan = std::make_shared<const PlanFile>(std::move(file));
  opened.model.graph = plan_graph(opened.plan);
  opened.model.producer_name = opened.plan->metadata.producer;
  return opened;
}

DataSet open_data_for(const std::string& data, const Model& model, int64_t samples,
                      const CommonOptions& common, Console& console, FreeBatch free_batch) {
  const Graph& graph = model.graph;
  std::vector<ModelInput> inputs;
  for (const ValueId id : graph.inputs()) {
    const Value& value = graph.value(id);
    if (!value.type.is_tensor() || !value.type.dims)
      throw bad_input("model.input", "this input is no tensor of known rank",
                      "input " + escape_untrusted(value.name));
    inputs.push_back({value.name, value.type.dtype, *value.type.dims});
  }
  DataOptions options;
  options.seed = common.seed;
  options.limit = samples;
  if (samples > 0) options.random_samples = samples;
  options.free_batch = free_batch;
  options.follow_links = common.follow_links;
  options.carry = carry_of(model);
  options.initial = initial_state_of(model);
  DataSet set = open_data_set(data, inputs, options);
  for (const std::string& warning : set.warnings()) console.warn("data", warning);
  return set;
}

SampleRunOptions sample_run(int threads, Console& console, const std::string& label, size_t count) {
  SampleRunOptions options;
  options.threads = threads;
  options.check = throw_if_interrupted;
  console.progress().start(label, static_cast<int64_t>(count), "samples");
  options.progress = [&console, count](size_t done) {
    console.progress().update(static_cast<int64_t>(done));
    if (done == count) console.progress().finish();
  };
  return options;
}

Metric choose_metric(const std::string& name, bool has_labels) {
  if (name.empty()) return has_labels ? Metric::kTop1 : Metric::kAgreement;
  const Metric metric = *metric_from_name(name);
  if (needs_labels(metric) && !has_labels)
    throw bad_usage("usage.labels", "metric '" + name + "' needs labels, and the data have none",
                    {}, "add \"labels\" to the data's spec, or use --metric agreement");
  return metric;
}

std::string metric_text(Metric metric, const std::optional<double>& value) {
  if (!value) return "-";
  if (metric == Metric::kSqnr) return fmt::format("{:.1f} dB", *value);
  if (metric == Metric::kMse || metric == Metric::kMae) return fmt::format("{:.3g}", *value);
  return fmt::format("{:.3f}", *value);
}

}  // namespace lathe
