// Gemm and MatMul: integer products with constant weights, float products of anything.
#include <algorithm>

#include "lower/integer_product_step.h"
#include "lower/lowering.h"

namespace lathe {
namespace {

/// An Add of a constant vector behind a MatMul.
struct BiasAdd {
  NodeId node;
  ValueId bias;
};

std::optional<BiasAdd> bias_behind(const Lowering& lowering, ValueId product, int64_t columns) {
  const Graph& graph = lowering.graph;
  const auto user = graph.single_user(product);
  if (!user || graph.node(*user).kind != OpKind::kAdd) return std::nullopt;
  const Node& add = graph.node(*user);
  const ValueId other = add.input(add.input(0) == product ? 1 : 0);
  if (other == product || !is_constant_floats(graph, other)) return std::nullopt;
  const Tensor values = constant_floats(lowering.graph, other);
  if (values.numel() != columns || values.rank() == 0 || values.shape().back() != columns ||
      lowering.shape(add.outputs[0]) != lowering.shape(product))
    return std::nullopt;
  return BiasAdd{*user, other};
}

bool is_plain_gemm(const Node& node) {
  return node.attributes.int_or("transA", 0) == 0 && node.attributes.float_or("alpha", 1) == 1 &&
         (!node.input(2).valid() || node.attributes.float_or("beta", 1) == 1);
}

bool lower_integer(Lowering& lowering, NodeId id) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  const bool gemm = node.kind == OpKind::kGemm;
  if ((gemm && !is_plain_gemm(node)) || lowering.stays_float(id)) return false;
  const auto shape = lowering.shape(node.input(0));
  if (!shape || shape->size() < 2 || !lowering.has_integers(node.input(0))) return false;
  const bool turned = gemm && node.attributes.int_or("transB", 0) != 0;
  auto weights = integer_weights(graph, node, 1, turned ? 0 : 1, !turned);
  if (!weights || weights->taps != 1 || weights->depth != shape->back()) return false;
  ValueId value = node.outputs[0];
  ValueId bias_value = gemm ? node.input(2) : ValueId{};
  std::vector<NodeId> also;
  if (!gemm) {
    if (const auto add = bias_behind(lowering, value, weights->columns)) {
      bias_value = add->bias;
      value = graph.node(add->node).outputs[0];
      also.push_back(add->node);
    }
  }
  const auto bias = bias_floats(lowering, bias_value, weights->columns);
  if (!bias) return false;
  IntegerProduct product;
  // Rows of a matrix: without gaps, and where products may read behind the last.
  ViewId input = lowering.dense_of(lowering.integers(node.input(0)));
  if (lowering.build.block_of(input).place != BlockPlace::kArena) return false;
  product.input = input;
  product.axis = ChannelAxis::kLast;
  product.bias = *bias;
  product.weights = std::move(*weights);
  return add_integer_product(lowering, id, value, std::move(product), false, std::move(also));
}

/// The last two dimensions swapped.
ViewId turned_matrix(Lowering& lowering, ViewId id) {
  std::vector<int64_t> order = plain_order(lowering.build.view(id).shape.size());
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return lowering.build.transposed(id, order);
}

/// One of the two innermost dimensions is walked in steps of one and the other without overlap.
ViewId matrix_of(Lowering& lowering, ViewId id) {
  const PlanView& view = lowering.build.view(id);
  const size_t rank = view.shape.size();
  const int64_t rows = view.strides[rank - 2];
  const int64_t columns = view.strides[rank - 1];
  const bool by_row = columns == 1 && rows >= view.shape[rank - 1];
  const bool by_column = rows == 1 && columns >= view.shape[rank - 2];
  const bool plain = std::all_of(view.strides.begin(), view.strides.end(),
                                 [](int64_t stride) { return stride > 0; });
  return (by_row || by_column) && plain ? id : lowering.dense_of(id);
}

bool lower_float(Lowering& lowering, NodeId id) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  const bool gemm = node.kind == OpKind::kGemm;
  const auto a_shape = lowering.shape(node.input(0));
  const auto b_shape = lowering.shape(node.input(1));
  if (!a_shape || !b_shape || a_shape->size() < 2 || b_shape->size() < 2) return false;
  if (element_count(*a_shape) == 0 || element_count(*b_shape) == 0) return false;
  FloatMatMulStep step;
  step.bfloat16 = lowering.options.bfloat16;
  ValueId value = node.outputs[0];
  std::vector<NodeId> nodes{id};
  ViewId a = lowering.real_input(id, 0);
  ViewId b = lowering.real(node.input(1));
  ValueId bias;
  const int64_t columns = lowering.shape(value)->back();
  if (gemm) {
    step.alpha = node.attributes.float_or("alpha", 1);
    if (node.input(2).valid()) {
      const Tensor values = constant_floats(lowering.graph, node.input(2));
      if (step.alpha != 1 || node.attributes.float_or("beta", 1) != 1 || !values.defined() ||
          values.numel() != columns || values.rank() == 0 || values.shape().back() != columns)
        return false;
      bias = node.input(2);
    }
    if (node.attributes.int_or("transA", 0) != 0) a = turned_matrix(lowering, a);
    if (node.attributes.int_or("transB", 0) != 0) b = turned_matrix(lowering, b);
  } else if (const auto add = bias_behind(lowering, value, columns)) {
    bias = add->bias;
    nodes.push_back(add->node);
    value = graph.node(add->node).outputs[0];
  }
  if (bias.valid()) {
    const ViewId all = lowering.real(bias);
    step.bias = lowering.build.reshaped(all, {columns});
  }
  const auto user = graph.single_user(value);
  if (user && graph.node(*user).input(0) == value) {
    const auto activation = activation_form(graph, graph.node(*user));
    if (activation && float_tail(*activation, step.tail)) {
      nodes.push_back(*user);
      value = graph.node(*user).outputs[0];
    }
  }
  const Shape shape = *lowering.shape(value);
  PlanBuilder& build = lowering.build;
  step.a = matrix_of(lowering, a);
  step.b = matrix_of(lowering, b);
  step.output = lowering.add_output(value, shape, plain_order(shape.size()));
  // All rows of all matrices share one constant matrix: one product.
  if (b_shape->size() == 2 && a_shape->size() > 2) {
    const int64_t rows = element_count(shape) / std::max<int64_t>(columns, 1);
    step.a = build.reshaped(lowering.dense_of(step.a), {rows, a_shape->back()});
    step.output = build.reshaped(step.output, {rows, columns});
  }
  lowering.add_step(nodes, std::move(step));
  return true;
}

}  // namespace

bool lower_matrix_product(Lowering& lowering, NodeId id) {
  const Node& node = lowering.graph.node(id);
  if (!lowering.is_float(node.outputs[0]) || !lowering.shape(node.outputs[0])) return false;
  return lower_integer(lowering, id) || lower_float(lowering, id);
}

}  // namespace lathe
