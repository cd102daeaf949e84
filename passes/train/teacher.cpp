#include "train/teacher.h"

#include <fmt/format.h>

#include <utility>

#include "evaluate/evaluate.h"
#include "ir/error.h"
#include "passes/passes.h"

namespace lathe {
namespace {

Graph only(Graph graph, const std::vector<TaughtValue>& values) {
  std::vector<ValueId> outputs;
  for (const TaughtValue& value : values) outputs.push_back(value.value);
  graph.set_outputs(outputs);
  eliminate_dead_nodes(graph);
  return graph;
}

}  // namespace

at::Tensor batch_first(const at::Tensor& given, const TaughtValue& place) {
  if (given.dim() == 0) return given.reshape({1});
  const at::Tensor output = place.order.empty() ? given : given.permute(place.order);
  if (place.class_axis < 0 || place.class_axis == place.batch_axis)
    return output.movedim(place.batch_axis, 0);
  return output.movedim({place.batch_axis, place.class_axis}, {0, 1});
}

Teacher::Teacher(const Graph& graph, std::vector<TaughtValue> values, bool free,
                 std::vector<int64_t> input_axes)
    : values_(std::move(values)),
      free_(free),
      input_axes_(std::move(input_axes)),
      interpreter_(only(graph, values_)) {}

std::vector<at::Tensor> Teacher::run(const std::vector<at::Tensor>& inputs,
                                     const std::function<void()>& check) const {
  const Graph& graph = interpreter_.graph();
  std::vector<RuntimeValue> given;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const DType dtype = graph.value(graph.inputs()[i]).type.dtype;
    given.emplace_back(inputs.at(i).detach().to(storage_type(dtype)), dtype);
  }
  RunOptions options;
  options.check = check;
  std::vector<at::Tensor> outputs;
  for (const RuntimeValue& output : interpreter_.run(std::move(given), options))
    outputs.push_back(output.tensor->to(at::kFloat));
  return outputs;
}

std::vector<at::Tensor> Teacher::outputs(const std::vector<at::Tensor>& inputs, int64_t samples,
                                         const std::function<void()>& check) const {
  std::vector<std::vector<at::Tensor>> parts(values_.size());
  const int64_t runs = free_ ? 1 : samples;
  for (int64_t run_index = 0; run_index < runs; ++run_index) {
    std::vector<at::Tensor> part;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const int64_t axis = i < input_axes_.size() ? input_axes_[i] : 0;
      if (axis < 0 || runs == 1) {
        part.push_back(inputs[i]);
        continue;
      }
      const int64_t rows = inputs[i].size(axis) / runs;
      part.push_back(inputs[i].narrow(axis, run_index * rows, rows).contiguous());
    }
    const std::vector<at::Tensor> outputs = run(part, check);
    for (size_t i = 0; i < values_.size(); ++i)
      parts[i].push_back(batch_first(outputs[i], values_[i]));
  }
  std::vector<at::Tensor> joined;
  for (const std::vector<at::Tensor>& all : parts)
    joined.push_back(all.size() == 1 ? all[0] : at::cat(all));
  return joined;
}

}  // namespace lathe
