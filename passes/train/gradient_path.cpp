#include "train/gradient_path.h"

#include <algorithm>
#include <set>

#include "ir/error.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

using K = OpKind;

bool is_float(const Graph& graph, ValueId id) {
  const DType dtype = graph.value(id).type.dtype;
  return dtype == DType::kUndefined || is_floating(dtype);
}

template <class Visit>
void for_each_read(const Node& node, Visit visit) {
  for (const ValueId input : node.inputs)
    if (input.valid()) visit(input);
  for (const Subgraph& subgraph : node.subgraphs)
    for (const ValueId capture : subgraph.captures) visit(capture);
}

// Values from which a gradient of `outputs` comes back.
std::set<ValueId> reached_backwards(const Graph& graph, const std::vector<NodeId>& order,
                                    std::span<const ValueId> outputs) {
  std::set<ValueId> reached(outputs.begin(), outputs.end());
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const Node& node = graph.node(*it);
    const bool wanted = std::any_of(node.outputs.begin(), node.outputs.end(),
                                    [&](ValueId id) { return reached.contains(id); });
    if (!wanted || !is_differentiable(node)) continue;
    for_each_read(node, [&](ValueId input) {
      if (is_float(graph, input)) reached.insert(input);
    });
  }
  return reached;
}

// Values computed from `sources` in any way but by asking for their shape.
std::set<ValueId> computed_from(const Graph& graph, const std::vector<NodeId>& order,
                                const std::vector<ValueId>& sources) {
  std::set<ValueId> found(sources.begin(), sources.end());
  for (const NodeId id : order) {
    const Node& node = graph.node(id);
    if (node.kind == K::kShape || node.kind == K::kSize) continue;
    bool depends = false;
    for_each_read(node, [&](ValueId input) { depends = depends || found.contains(input); });
    if (!depends) continue;
    for (const ValueId output : node.outputs)
      if (output.valid()) found.insert(output);
  }
  return found;
}

}  // namespace

bool is_differentiable(OpKind kind) { return op_row(kind).derivative != Derivative::kNone; }

bool is_differentiable(const Node& node) {
  if (!is_differentiable(node.kind)) return false;
  if (node.kind == K::kCast) {
    const int64_t to = node.attributes.int_or("to", 0);
    return to > 0 && to < kDTypeCount && is_floating(static_cast<DType>(to));
  }
  if (node.kind == K::kScatterElements || node.kind == K::kScatterND) {
    const std::string reduction = node.attributes.string_or("reduction", "none");
    return reduction == "none" || reduction == "add";
  }
  return true;
}

GradientPath trace_gradients(const Graph& graph, std::span<const ValueId> outputs,
                             std::span<const ValueId> parameters) {
  const std::vector<NodeId> order = graph.order();
  const std::set<ValueId> reached = reached_backwards(graph, order, outputs);
  GradientPath path;
  for (const ValueId parameter : parameters)
    if (!reached.contains(parameter)) path.unreached.push_back(parameter);
  if (path.unreached.empty()) return path;
  const std::set<ValueId> lost = computed_from(graph, order, path.unreached);
  for (const NodeId id : order) {
    const Node& node = graph.node(id);
    if (is_differentiable(node)) continue;
    const bool wanted = std::any_of(node.outputs.begin(), node.outputs.end(),
                                    [&](ValueId output) { return reached.contains(output); });
    bool depends = false;
    for_each_read(node, [&](ValueId input) { depends = depends || lost.contains(input); });
    if (wanted && depends) path.stops.push_back(id);
  }
  return path;
}

}  // namespace lathe
