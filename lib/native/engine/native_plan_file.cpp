#include "engine/native_plan_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>

#include "ir/error.h"
#include "ir/shape_hint.h"
#include "onnx/read_model.h"
#include "onnx/write_model.h"
#include "run/threads.h"

namespace lathe {
namespace {

bool is_free(const Value& input) {
  const auto& dims = input.type.dims;
  return input.type.is_tensor() && dims && !dims->empty() && !dims->front().known();
}

std::vector<std::string> partition_files(const std::vector<Graph>& partitions) {
  std::vector<std::string> files;
  for (const Graph& partition : partitions) {
    Model model;
    model.graph = partition;
    files.push_back(write_onnx(model).model_bytes);
  }
  return files;
}

/// A batch that shows what small ones hide: the first five rows, `N > 4`, N / 4. The largest, as
/// far as a plan of the network can be that large.
constexpr std::array<int64_t, 5> kFarBatches{1'000'003, 100'003, 10'007, 1'009, 101};

struct FarPlan {
  int64_t batch = 0;
  LoweredGraph lowered;
};

FarPlan far_plan(const std::function<LoweredGraph(int64_t)>& lowered) {
  for (auto batch = kFarBatches.begin();; ++batch) {
    try {
      return {*batch, lowered(*batch)};
    } catch (const Error& error) {
      if (error.code() != ExitCode::kLimit || *batch == kFarBatches.back()) throw;
    }
  }
}

/// Where plans of neighbouring batches lie on a line, the first of them that does so: batch 1, or
/// its continuation from batches 2 to 4. A batch far away lies on it, too.
bool free_batch(const Graph& graph, const SpecializeGraph& specialize, const LowerOptions& options,
                PlanFile& file) {
  const auto lowered = [&](int64_t batch) {
    LoweredGraph made = lower_graph(specialize(shapes_at_batch(graph, batch)), options);
    // Once in memory for all.
    if (made.plan.constants == file.plan.constants) made.plan.constants = file.plan.constants;
    return made;
  };
  LoweredGraph two = lowered(2);
  // Shapes that are known for batch 1 only: the model itself goes wrong with more.
  if (two.plan.slots.size() > file.plan.slots.size()) return false;
  const LoweredGraph three = lowered(3);
  const std::vector<std::string> partitions = partition_files(two.partitions);
  const bool from_one =
      partitions == file.partitions && is_on_line(file.plan, two.plan, three.plan, 2);
  if (!from_one) {
    // Fallback partitions that know their batch are other files.
    if (partitions != partition_files(three.partitions)) return false;
    const LoweredGraph four = lowered(4);
    if (partitions != partition_files(four.partitions) ||
        !is_on_line(two.plan, three.plan, four.plan, 2))
      return false;
  }
  const FarPlan far = far_plan(lowered);
  if (partitions != partition_files(far.lowered.partitions) ||
      !is_on_line(two.plan, three.plan, far.lowered.plan, far.batch - 2))
    return false;
  if (!from_one) {
    file.plan = plan_before(two.plan, three.plan);
    file.partitions = partitions;
  }
  file.batch_two = batch_numbers(two.plan);
  return true;
}

/// Lowering may end in values of other names.
void name_ports(const Graph& graph, PlanFile& file) {
  for (size_t i = 0; i < graph.inputs().size(); ++i)
    file.metadata.inputs[i].name = graph.value(graph.inputs()[i]).name;
  for (size_t i = 0; i < graph.outputs().size(); ++i)
    file.metadata.outputs[i].name = graph.value(graph.outputs()[i]).name;
}

}  // namespace

std::vector<Shape> shapes_at_batch(const Graph& graph, int64_t batch) {
  std::vector<Shape> shapes;
  for (const ValueId id : graph.inputs()) {
    const Value& input = graph.value(id);
    if (!input.type.is_tensor() || !input.type.dims)
      throw bad_input("native.input", "a native plan takes tensors of known rank",
                      "input " + escape_untrusted(input.name));
    Shape shape;
    for (const Dim& dim : *input.type.dims) {
      if (!dim.known() && !shape.empty())
        throw bad_input(
            "native.shape",
            fmt::format("dimension {} is not known, and only the first may be free", shape.size()),
            "input " + escape_untrusted(input.name), input_shape_hint(input));
      shape.push_back(dim.known() ? dim.size : batch);
    }
    shapes.push_back(std::move(shape));
  }
  return shapes;
}

std::vector<Graph> partitions_of(const PlanFile& file) {
  std::vector<Graph> partitions;
  for (const std::string& bytes : file.partitions)
    partitions.push_back(
        read_onnx({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}, {}).graph);
  return partitions;
}

NativePlanFile make_plan_file(const Graph& graph, const SpecializeGraph& specialize,
                              const LowerOptions& options) {
  NativePlanFile made;
  const auto& inputs = graph.inputs();
  const bool was_free = std::any_of(inputs.begin(), inputs.end(),
                                    [&](ValueId id) { return is_free(graph.value(id)); });
  LoweredGraph one = lower_graph(specialize(shapes_at_batch(graph, 1)), options);
  // Shape inference leaves no shape of an input where shapes contradict each other.
  for (const PlanValue& input : one.plan.inputs)
    if (!input.view.valid())
      throw bad_input(
          "native.batch",
          fmt::format("the model's shapes contradict each other{}", was_free ? " at batch 1" : ""),
          {}, was_free ? "fix another batch: --input-shape NAME=8x…" : "");
  made.file.plan = std::move(one.plan);
  made.file.partitions = partition_files(one.partitions);
  if (!was_free) {
    made.batch_fixed = true;
    made.reason = "the model's inputs are fixed";
  } else {
    made.batch_fixed = true;
    made.reason = "plans of other batches have other steps";
    try {
      made.batch_fixed = !free_batch(graph, specialize, options, made.file);
    } catch (const Error& error) {
      if (error.code() != ExitCode::kBadInput) throw;
      made.reason = "the model cannot take any: " + error.text().message;
    }
    if (!made.batch_fixed) made.reason.clear();
    made.file.metadata.lost_batch = made.batch_fixed;
  }
  describe_ports(made.file);
  name_ports(graph, made.file);
  return made;
}

std::string ops_left(const PlanFile& file) {
  std::map<std::string, int64_t> left;
  for (const Graph& partition : partitions_of(file))
    for (const NodeId id : partition.node_ids())
      ++left[std::string(partition.node(id).type_name())];
  std::string ops;
  for (const auto& [op, count] : left)
    ops += fmt::format("{}{} {}", ops.empty() ? "" : ", ", count, escape_untrusted(op));
  return ops;
}

LowerShapes plans_of(std::shared_ptr<const PlanFile> file) {
  return [file = std::move(file)](const std::vector<Shape>& shapes) {
    const std::vector<PlanPort>& ports = file->metadata.inputs;
    if (shapes.size() != ports.size())
      throw bad_input("native.inputs", fmt::format("the plan has {} inputs", ports.size()));
    int64_t batch = 1;
    if (!file->batch_two.empty())
      for (size_t i = 0; i < ports.size(); ++i)
        if (!ports[i].shape.empty() && shapes[i].size() == ports[i].shape.size() &&
            shapes[i][0] != ports[i].shape[0])
          batch = shapes[i][0] / std::max<int64_t>(ports[i].shape[0], 1);
    LoweredGraph lowered;
    lowered.plan = plan_for_batch(*file, batch);
    for (size_t i = 0; i < ports.size(); ++i) {
      const PlanValue& input = lowered.plan.inputs[i];
      if (!input.view.valid()) continue;
      const Shape& wanted = lowered.plan.views[static_cast<size_t>(input.view.index)].shape;
      if (shapes[i] != wanted)
        throw bad_input("native.input",
                        fmt::format("the plan takes {} here, not {}", shape_text(wanted),
                                    shape_text(shapes[i])),
                        "input " + escape_untrusted(ports[i].name),
                        file->batch_two.empty() ? "its batch is fixed" : "only its batch is free");
    }
    lowered.partitions = partitions_of(*file);
    return lowered;
  };
}

void add_packed_weights(PlanFile& file) {
  LoweredGraph lowered;
  lowered.plan = file.plan;
  lowered.partitions = partitions_of(file);
  ProgramOptions options;
  options.threads = thread_count();
  options.packed = std::make_shared<PackedWeights>();
  const NativeEngine::Prepared prepared(std::move(lowered), options);
  file.packing_key = packing_key(options);
  file.packed = options.packed->arrays();
}

}  // namespace lathe
