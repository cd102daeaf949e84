#include "engine/native_plan_file.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>

#include "engine/native_island.h"
#include "evaluate/evaluate.h"
#include "ir/error.h"
#include "onnx/read_model.h"
#include "onnx/write_model.h"

namespace lathe {
namespace {

bool is_free(const Value& input) {
  const auto& dims = input.type.dims;
  return input.type.is_tensor() && dims && !dims->empty() && !dims->front().known();
}

std::vector<Shape> shapes_at(const Graph& graph, int64_t batch) {
  std::vector<Shape> shapes;
  for (const ValueId id : graph.inputs()) {
    const Value& input = graph.value(id);
    if (!input.type.is_tensor() || !input.type.dims)
      throw bad_input("native.input", "a native plan takes tensors of known rank",
                      "input " + escape_untrusted(input.name));
    Shape shape;
    for (const Dim& dim : *input.type.dims) {
      if (!dim.known() && !shape.empty())
        throw bad_input("native.shape",
                        fmt::format("dimension {} is not known, and only the first may be free",
                                    shape.size()),
                        "input " + escape_untrusted(input.name),
                        "fix it: --input-shape NAME=1x3x224x224");
      shape.push_back(dim.known() ? dim.size : batch);
    }
    shapes.push_back(std::move(shape));
  }
  return shapes;
}

std::vector<std::string> island_files(const std::vector<Graph>& islands) {
  std::vector<std::string> files;
  for (const Graph& island : islands) {
    Model model;
    model.graph = island;
    files.push_back(write_onnx(model).model_bytes);
  }
  return files;
}

/// Where plans of neighbouring batches lie on a line, the first of them that does so: batch 1, or
/// its continuation from batches 2 to 4.
bool free_batch(const Graph& graph, const SpecializeGraph& specialize, PlanFile& file) {
  const auto lowered = [&](int64_t batch) { return lower_graph(specialize(shapes_at(graph, batch))); };
  LoweredGraph two = lowered(2);
  const LoweredGraph three = lowered(3);
  const std::vector<std::string> islands = island_files(two.islands);
  if (islands == file.islands && is_affine(file.plan, two.plan, three.plan)) {
    file.batch_two = batch_numbers(two.plan);
    return true;
  }
  // Islands that know their batch are other files.
  if (islands != island_files(three.islands)) return false;
  const LoweredGraph four = lowered(4);
  if (islands != island_files(four.islands) || !is_affine(two.plan, three.plan, four.plan))
    return false;
  file.plan = plan_before(two.plan, three.plan);
  file.batch_two = batch_numbers(two.plan);
  file.islands = islands;
  return true;
}

}  // namespace

NativePlanFile make_plan_file(const Graph& graph, const SpecializeGraph& specialize) {
  NativePlanFile made;
  LoweredGraph one = lower_graph(specialize(shapes_at(graph, 1)));
  made.file.plan = std::move(one.plan);
  made.file.islands = island_files(one.islands);
  const auto& inputs = graph.inputs();
  if (std::none_of(inputs.begin(), inputs.end(),
                   [&](ValueId id) { return is_free(graph.value(id)); })) {
    made.batch_fixed = true;
    made.reason = "the model's inputs are fixed";
  } else if (!free_batch(graph, specialize, made.file)) {
    made.batch_fixed = true;
    made.reason = "plans of other batches have other steps";
  }
  describe_ports(made.file);
  return made;
}

struct PlanFileProgram::Prepared {
  explicit Prepared(const PlanFile& file, NativePlan plan) : slots(plan.slots.size()) {
    const auto bind = [&](const IslandStep& step, const BindContext& context) {
      const std::string& bytes = file.islands.at(static_cast<size_t>(step.island));
      const Model model = read_onnx({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}, {});
      return bind_island(step, model.graph, context, slots);
    };
    ProgramOptions options;
    options.threads = at::get_num_threads();
    program = std::make_unique<Program>(std::move(plan), options, bind);
  }
  std::vector<RuntimeValue> slots;
  std::unique_ptr<Program> program;
};

std::vector<at::Tensor> PlanFileProgram::run(const std::vector<at::Tensor>& inputs) {
  int64_t batch = 1;
  const std::vector<PlanPort>& ports = file_.metadata.inputs;
  if (!file_.batch_two.empty())
    for (size_t i = 0; i < ports.size() && i < inputs.size(); ++i)
      if (!ports[i].shape.empty() && inputs[i].dim() > 0 && inputs[i].size(0) != ports[i].shape[0])
        batch = inputs[i].size(0) / std::max<int64_t>(ports[i].shape[0], 1);
  std::shared_ptr<Prepared>& prepared = prepared_[batch];
  if (!prepared) prepared = std::make_shared<Prepared>(file_, plan_for_batch(file_, batch));
  const NativePlan& plan = prepared->program->plan();
  if (inputs.size() != plan.inputs.size())
    throw bad_input("native.inputs", fmt::format("the plan has {} inputs", plan.inputs.size()));
  std::vector<at::Tensor> held;
  std::vector<const void*> in;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const IslandValue& value = plan.inputs[i];
    if (value.slot >= 0) {
      prepared->slots[static_cast<size_t>(value.slot)] = {inputs[i], ports[i].dtype};
      in.push_back(nullptr);
      continue;
    }
    const PlanView& view = plan.views[static_cast<size_t>(value.view.index)];
    if (inputs[i].sizes().vec() != view.shape || inputs[i].scalar_type() != storage_type(view.dtype))
      throw bad_input("native.input",
                      fmt::format("the plan takes {} {} here", dtype_name(view.dtype),
                                  shape_text(view.shape)),
                      "input " + escape_untrusted(view.name));
    held.push_back(inputs[i].contiguous());
    in.push_back(held.back().data_ptr());
  }
  std::vector<at::Tensor> outputs;
  std::vector<void*> out;
  for (const IslandValue& value : plan.outputs) {
    outputs.emplace_back();
    if (value.slot < 0) {
      const PlanView& view = plan.views[static_cast<size_t>(value.view.index)];
      outputs.back() = at::empty(view.shape, storage_type(view.dtype));
    }
    out.push_back(value.slot < 0 ? outputs.back().data_ptr() : nullptr);
  }
  prepared->program->run(in, out);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (plan.outputs[i].slot >= 0)
      outputs[i] = prepared->slots[static_cast<size_t>(plan.outputs[i].slot)].tensor;
  return outputs;
}

}  // namespace lathe
