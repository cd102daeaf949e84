#include "train/not_finite.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <limits>

#include "ir/error.h"
#include "train/gradient_path.h"

namespace lathe {
namespace {

bool is_bad(const at::Tensor& tensor) {
  return tensor.is_floating_point() && !at::isfinite(tensor).all().item<bool>();
}

GradientPath path_to_parameters(const TrainableGraph& graph) {
  std::vector<ValueId> constants;
  for (const Parameter& parameter : graph.parameters()) constants.push_back(parameter.value);
  return trace_gradients(graph.graph(), graph.outputs(), constants);
}

std::string last_stop(const TrainableGraph& graph, const GradientPath& path) {
  const Node& node = graph.graph().node(path.stops.back());
  return fmt::format("node {} ({})", escape_untrusted(node.name),
                     escape_untrusted(node.type_name()));
}

}  // namespace

// Runs the graph even for a bad input: nodes may want to hear of other processes.
FirstBad first_not_finite(TrainableGraph& graph, const Batch& batch) {
  FirstBad first{std::numeric_limits<int64_t>::max() - 1,
                 "every node is finite, the loss itself is not"};
  int64_t order = 0;
  ForwardOptions forward;
  forward.on_value = [&](const std::string& node, const at::Tensor& value) {
    ++order;
    if (order < first.order && is_bad(value))
      first = {order, "first NaN or infinity at node " + escape_untrusted(node)};
  };
  graph.forward(batch.inputs, forward);
  for (const at::Tensor& input : batch.inputs)
    if (is_bad(input)) return {0, "the input already holds NaN or infinity"};
  return first;
}

Error no_gradient(const TrainableGraph& graph) {
  const GradientPath path = path_to_parameters(graph);
  return bad_input("train.no_gradient", "the loss gives no parameter a gradient",
                   path.stops.empty() ? "" : last_stop(graph, path),
                   "an op without derivative stands between them: train on a value before it");
}

std::string untrained_parameters(const TrainableGraph& graph) {
  const GradientPath path = path_to_parameters(graph);
  if (path.stops.empty() || path.unreached.empty()) return {};
  if (path.unreached.size() == graph.parameters().size()) throw no_gradient(graph);
  return fmt::format("{} of {} parameters are not trained: {} has no derivative",
                     path.unreached.size(), graph.parameters().size(), last_stop(graph, path));
}

}  // namespace lathe
