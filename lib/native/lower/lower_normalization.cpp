// Softmax, LayerNormalization, InstanceNormalization and reductions of floats.
#include <algorithm>
#include <numeric>

#include "lower/lowering.h"

namespace lathe {
namespace {

bool is_plain(const Lowering& lowering, const Node& node) {
  const auto from = lowering.shape(node.input(0));
  return from && lowering.is_float(node.input(0)) && lowering.shape(node.outputs[0]) &&
         element_count(*from) > 0;
}

}  // namespace

bool lower_softmax(Lowering& lowering, NodeId id) {
  const Node& node = lowering.graph.node(id);
  if (!is_plain(lowering, node)) return false;
  const Shape shape = *lowering.shape(node.outputs[0]);
  if (shape.empty()) return false;
  const size_t axis = normal_axis(node.attributes.int_or("axis", -1), shape.size());
  // The axis comes last.
  std::vector<int64_t> order = plain_order(shape.size());
  std::rotate(order.begin() + static_cast<std::ptrdiff_t>(axis),
              order.begin() + static_cast<std::ptrdiff_t>(axis) + 1, order.end());
  PlanBuilder& build = lowering.build;
  const ViewId from = lowering.dense_of(build.transposed(lowering.real(node.input(0)), order));
  const ViewId to = lowering.add_output(node.outputs[0], shape, order);
  lowering.add_step(
      {id}, SoftmaxStep{from, build.transposed(to, order), node.kind == OpKind::kLogSoftmax});
  return true;
}

bool lower_layer_norm(Lowering& lowering, NodeId id) {
  const Node& node = lowering.graph.node(id);
  if (!is_plain(lowering, node) || node.output(1).valid() || node.output(2).valid()) return false;
  const Shape shape = *lowering.shape(node.outputs[0]);
  LayerNormStep step;
  step.epsilon = node.attributes.float_or("epsilon", 1e-5F);
  const bool instance = node.kind == OpKind::kInstanceNormalization;
  int64_t length = 1;
  if (instance) {
    if (shape.size() < 3) return false;
    step.axes = -1;
    length = shape[1];
  } else {
    const size_t axis = normal_axis(node.attributes.int_or("axis", -1), shape.size());
    step.axes = static_cast<int64_t>(shape.size() - axis);
    for (size_t i = axis; i < shape.size(); ++i) length *= shape[i];
  }
  for (const size_t i : {size_t{1}, size_t{2}}) {
    if (!node.input(i).valid()) continue;
    const auto factors = lowering.shape(node.input(i));
    if (!factors || element_count(*factors) != length || !lowering.is_float(node.input(i)))
      return false;
  }
  if (node.input(1).valid()) step.scale = lowering.dense(node.input(1));
  if (node.input(2).valid()) step.bias = lowering.dense(node.input(2));
  if (instance) {
    // In the layout that the input has.
    ViewId from = lowering.real(node.input(0));
    if (!is_dense(lowering.build.view(from))) from = lowering.dense_pixels_of(from);
    step.input = from;
    step.output = lowering.add_output(node.outputs[0], shape,
                                      is_dense(lowering.build.view(from))
                                          ? plain_order(shape.size())
                                          : channels_last_order(shape.size()));
  } else {
    step.input = lowering.dense(node.input(0));
    step.output = lowering.add_output(node.outputs[0], shape, plain_order(shape.size()));
  }
  lowering.add_step({id}, std::move(step));
  return true;
}

bool lower_reduce(Lowering& lowering, NodeId id) {
  using Kind = ReduceStep::Kind;
  const Node& node = lowering.graph.node(id);
  if (!is_plain(lowering, node)) return false;
  ReduceStep step;
  switch (node.kind) {
    case OpKind::kReduceSum: step.kind = Kind::kSum; break;
    case OpKind::kReduceMean: step.kind = Kind::kMean; break;
    case OpKind::kReduceMax: step.kind = Kind::kMax; break;
    case OpKind::kReduceMin: step.kind = Kind::kMin; break;
    case OpKind::kReduceProd: step.kind = Kind::kProd; break;
    case OpKind::kReduceSumSquare:
    case OpKind::kReduceL2: step.kind = Kind::kSumSquare; break;
    default: return false;
  }
  const Shape from = *lowering.shape(node.input(0));
  if (from.size() > 8) return false;
  std::vector<int64_t> axes;
  if (node.input(1).valid()) {
    const auto given = lowering.constant_ints(node.input(1));
    if (!given) return false;
    axes = *given;
  }
  if (axes.empty()) {
    if (node.attributes.int_or("noop_with_empty_axes", 0) != 0) return false;
    axes.resize(from.size());
    std::iota(axes.begin(), axes.end(), int64_t{0});
  }
  Shape kept = from;
  for (int64_t& axis : axes) {
    axis = static_cast<int64_t>(normal_axis(axis, from.size()));
    kept[static_cast<size_t>(axis)] = 1;
  }
  if (step.kind == Kind::kMean && lower_integer_mean(lowering, id, axes)) return true;
  step.axes = axes;
  step.input = lowering.real(node.input(0));
  PlanBuilder& build = lowering.build;
  step.output = build.add_array(lowering.graph.value(node.outputs[0]).name, DType::kFloat32, kept,
                                memory_order(build.view(step.input)));
  const Shape shape = *lowering.shape(node.outputs[0]);
  if (shape != kept && !build.reshaped(step.output, shape).valid())
    step.output = build.add_dense(build.view(step.output).name, DType::kFloat32, kept);
  ViewId result = step.output;
  lowering.add_step({id}, std::move(step));
  if (node.kind == OpKind::kReduceL2) {
    const PlanView sums = build.view(result);
    ElementwiseProgramStep root;
    root.inputs = {result};
    root.program = {{ElementwiseKind::kSqrt}};
    root.output = build.add_array(sums.name, DType::kFloat32, kept, memory_order(sums));
    result = root.output;
    lowering.add_step({id}, std::move(root));
  }
  lowering.set_real(node.outputs[0], shape == kept ? result : build.reshaped(result, shape));
  return true;
}

}  // namespace lathe
