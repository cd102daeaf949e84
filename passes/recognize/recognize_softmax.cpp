#include "recognize/kept_reduction.h"
#include "recognize/recognition_passes.h"
#include "recognize/scalar_product.h"
#include "recognize/written_out.h"

namespace lathe {
namespace {

// A reduction of `of` that broadcasts to it again.
std::optional<Reduction> kept(const Graph& graph, ValueId value, ValueId of, OpKind kind) {
  std::vector<NodeId> inner;
  auto reduction = reduction_of(graph, value);
  if (!reduction) reduction = reduction_of(graph, before_restoring(graph, value, inner));
  if (!reduction || reduction->kind != kind || reduction->of != of || reduction->scale != 1.0 ||
      reduction->axes.size() != 1 || !are_last_axes(graph, of, reduction->axes) ||
      !is_kept(graph, value, of, reduction->axes))
    return {};
  reduction->inner.insert(reduction->inner.end(), inner.begin(), inner.end());
  return reduction;
}

bool recognize_softmax_at(Graph& graph, NodeId id) {
  const Node& root = graph.node(id);
  if (root.kind != OpKind::kDiv && root.kind != OpKind::kMul) return false;
  const ScalarProduct product = scalar_product(graph, root.outputs[0]);
  if (product.scale != 1.0 || product.factors.size() != 1 || product.divisors.size() != 1)
    return false;
  const ValueId power = product.factors[0];
  const NodeId exp = graph.value(power).producer;
  if (!exp.valid() || graph.node(exp).kind != OpKind::kExp) return false;
  const NodeId sub = graph.value(graph.node(exp).inputs[0]).producer;
  if (!sub.valid() || graph.node(sub).kind != OpKind::kSub) return false;
  const ValueId x = graph.node(sub).inputs[0];
  if (!keeps_shape(graph, x, root.outputs[0])) return false;
  const auto sum = kept(graph, product.divisors[0], power, OpKind::kReduceSum);
  const auto largest = kept(graph, graph.node(sub).inputs[1], x, OpKind::kReduceMax);
  if (!sum || !largest) return false;
  WrittenOut softmax{id, {exp, sub}, OpKind::kSoftmax, {x}, {}};
  for (const auto* more : {&product.inner, &sum->inner, &largest->inner})
    softmax.inner.insert(softmax.inner.end(), more->begin(), more->end());
  softmax.attributes.set("axis", int64_t{-1});
  return replace_written_out(graph, softmax);
}

}  // namespace

int recognize_softmax(Graph& graph) { return for_each_live_node(graph, recognize_softmax_at); }

}  // namespace lathe
