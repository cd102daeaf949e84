// DynamicQuantizeLinear and products of what it quantizes.
#include <algorithm>

#include "lower/lowering.h"

namespace lathe {
namespace {

/// Sums of more products could leave int32 on their way.
constexpr int64_t kMostDepth = 65793;

struct QuantizedView {
  ViewId integers, scale, zero_point;
};

/// Adds the step for a float value; `outputs` are its three results in the graph, if it has some.
QuantizedView quantized(Lowering& lowering, NodeId id, ValueId input, const std::string& name) {
  PlanBuilder& build = lowering.build;
  const ViewId from = lowering.dense(input);
  const Shape shape = build.view(from).shape;
  const QuantizedView to{build.add_dense(name, DType::kUInt8, shape),
                         build.add_dense(name + ".scale", DType::kFloat32, {}),
                         build.add_dense(name + ".zero_point", DType::kUInt8, {})};
  lowering.add_step({id}, DynamicQuantizeStep{from, to.integers, to.scale, to.zero_point});
  return to;
}

/// Constant weights, N x K in int8, and what must be added to each column's.
struct IntegerColumns {
  Tensor weights;
  Tensor shifts;  // undefined: nothing
  int64_t depth = 0;
  int64_t columns = 0;
};

std::optional<IntegerColumns> integer_columns(const Lowering& lowering, ValueId weights,
                                              ValueId zero_point) {
  const Tensor* matrix = lowering.graph.constant(weights);
  if (matrix == nullptr || matrix->rank() != 2 || matrix->numel() == 0 ||
      !is_eight_bits(matrix->dtype()))
    return std::nullopt;
  IntegerColumns result;
  result.depth = matrix->shape()[0];
  result.columns = matrix->shape()[1];
  std::vector<int64_t> zeros(1, 0);
  if (zero_point.valid()) {
    const auto given = lowering.constant_ints(zero_point);
    if (!given) return std::nullopt;
    zeros = *given;
  }
  if (zeros.size() == 1) zeros.resize(static_cast<size_t>(result.columns), zeros.front());
  if (static_cast<int64_t>(zeros.size()) != result.columns) return std::nullopt;
  const int64_t offset = matrix->dtype() == DType::kUInt8 ? 128 : 0;
  const std::vector<int64_t> values = matrix->to_int64();
  std::vector<int8_t> turned;
  std::vector<int32_t> shifts;
  for (int64_t c = 0; c < result.columns; ++c) {
    for (int64_t k = 0; k < result.depth; ++k)
      turned.push_back(
          static_cast<int8_t>(values[static_cast<size_t>(k * result.columns + c)] - offset));
    shifts.push_back(static_cast<int32_t>(offset - zeros[static_cast<size_t>(c)]));
  }
  result.weights = Tensor::of(Shape{result.columns, result.depth}, turned);
  if (std::any_of(shifts.begin(), shifts.end(), [](int32_t shift) { return shift != 0; }))
    result.shifts = Tensor::vector(shifts);
  return result;
}

/// One number, or one for each of the last dimension's columns and 1 elsewhere.
bool is_column_row(const std::optional<Shape>& shape, int64_t columns) {
  if (!shape) return false;
  const int64_t count = element_count(*shape);
  return count == 1 || (count == columns && shape->back() == columns);
}

/// Constant floats, `columns` of them.
Tensor column_floats(const Lowering& lowering, ValueId id, int64_t columns) {
  const Tensor given = constant_floats(lowering.graph, id);
  const auto values = given.values<float>();
  std::vector<float> all(values.begin(), values.end());
  if (all.size() == 1) all.resize(static_cast<size_t>(columns), all.front());
  return Tensor::vector(all);
}

bool is_constant_row(const Lowering& lowering, ValueId id, int64_t columns) {
  return id.valid() && is_constant_floats(lowering.graph, id) &&
         is_column_row(constant_floats(lowering.graph, id).shape(), columns);
}

/// Where the factor of a product comes from: `scale` is there when the product runs.
struct ProductScale {
  ValueId scale;                  // one or one a column
  ValueId factor;                 // constant: one or one a column; invalid: 1
  std::optional<NodeId> product;  // the Mul of both, if nobody else reads it
};

/// The scale is an array by now, or a constant.
bool is_there(const Lowering& lowering, ValueId id, int64_t columns) {
  return id.valid() && lowering.is_float(id) && is_column_row(lowering.shape(id), columns) &&
         (lowering.has_real(id) || is_constant_floats(lowering.graph, id));
}

std::optional<ProductScale> scale_from(const Lowering& lowering, ValueId id, int64_t columns) {
  const Graph& graph = lowering.graph;
  const NodeId producer = graph.value(id).producer;
  if (producer.valid() && graph.node(producer).kind == OpKind::kMul) {
    const Node& mul = graph.node(producer);
    for (const size_t side : {size_t{0}, size_t{1}}) {
      const ValueId scale = mul.input(side);
      const ValueId factor = mul.input(1 - side);
      if (!is_there(lowering, scale, columns) || !is_constant_row(lowering, factor, columns) ||
          !is_column_row(lowering.shape(id), columns))
        continue;
      ProductScale found{scale, factor, std::nullopt};
      if (graph.single_user(id)) found.product = producer;
      return found;
    }
  }
  if (is_there(lowering, id, columns)) return ProductScale{id, {}, std::nullopt};
  return std::nullopt;
}

/// MatMulInteger -> Cast -> Mul by a scale -> Add of a constant row.
struct FloatChain {
  std::vector<NodeId> nodes;
  ValueId output;
  ProductScale scale;
  ValueId bias;
};

ValueId other_input(const Node& node, ValueId one) {
  return node.input(node.input(0) == one ? 1 : 0);
}

std::optional<FloatChain> follow_sums(const Lowering& lowering, ValueId sums, int64_t columns) {
  const Graph& graph = lowering.graph;
  const auto keeps_shape = [&](NodeId node) {
    return lowering.shape(graph.node(node).outputs[0]) == lowering.shape(sums);
  };
  const auto cast = graph.single_user(sums);
  if (!cast || graph.node(*cast).kind != OpKind::kCast) return std::nullopt;
  const ValueId floats = graph.node(*cast).outputs[0];
  const auto mul = graph.single_user(floats);
  if (!lowering.is_float(floats) || !mul || graph.node(*mul).kind != OpKind::kMul ||
      !keeps_shape(*mul))
    return std::nullopt;
  const auto scale = scale_from(lowering, other_input(graph.node(*mul), floats), columns);
  if (!scale) return std::nullopt;
  FloatChain chain{{*cast, *mul}, graph.node(*mul).outputs[0], *scale, {}};
  if (scale->product) chain.nodes.push_back(*scale->product);
  const auto add = graph.single_user(chain.output);
  if (add && graph.node(*add).kind == OpKind::kAdd && keeps_shape(*add)) {
    const ValueId bias = other_input(graph.node(*add), chain.output);
    if (is_constant_row(lowering, bias, columns)) {
      chain.bias = bias;
      chain.output = graph.node(*add).outputs[0];
      chain.nodes.push_back(*add);
    }
  }
  return chain;
}

/// The inputs of the three ops by their roles; those that an op does not have are -1.
struct ProductInputs {
  int a, b, a_scale, b_scale, a_zero, b_zero, bias;
};

ProductInputs inputs_of(OpKind kind) {
  switch (kind) {
    case OpKind::kMatMulIntegerToFloat: return {0, 1, 2, 3, 4, 5, 6};
    case OpKind::kDynamicQuantizeMatMul: return {0, 1, -1, 2, -1, 3, 4};
    default: return {0, 1, -1, -1, 2, 3, -1};
  }
}

ValueId input_at(const Node& node, int index) {
  return index < 0 ? ValueId{} : node.input(static_cast<size_t>(index));
}

bool is_one_byte(const Lowering& lowering, ValueId id) {
  const auto shape = lowering.shape(id);
  return shape && element_count(*shape) == 1 &&
         lowering.graph.value(id).type.dtype == DType::kUInt8;
}

}  // namespace

bool lower_dynamic_quantize(Lowering& lowering, NodeId id) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  if (!lowering.is_float(node.input(0)) || !lowering.shape(node.input(0))) return false;
  const ValueId output = node.outputs[0];
  const QuantizedView to =
      quantized(lowering, id, node.input(0), output.valid() ? graph.value(output).name : node.name);
  const ViewId views[] = {to.integers, to.scale, to.zero_point};
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (node.outputs[i].valid()) lowering.set_real(node.outputs[i], views[i]);
  return true;
}

bool lower_integer_matmul(Lowering& lowering, NodeId id) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  const ProductInputs at = inputs_of(node.kind);
  const ValueId a = input_at(node, at.a);
  const ValueId a_zero = input_at(node, at.a_zero);
  const bool quantizes = node.kind == OpKind::kDynamicQuantizeMatMul;
  const auto shape = lowering.shape(a);
  const auto result = lowering.shape(node.outputs[0]);
  if (!shape || shape->size() < 2 || !result ||
      graph.value(a).type.dtype != (quantizes ? DType::kFloat32 : DType::kUInt8) ||
      (a_zero.valid() && !is_one_byte(lowering, a_zero)))
    return false;
  const auto weights = integer_columns(lowering, input_at(node, at.b), input_at(node, at.b_zero));
  if (!weights || weights->depth != shape->back() || weights->depth > kMostDepth) return false;
  Shape expected = *shape;
  expected.back() = weights->columns;
  if (*result != expected) return false;

  // What becomes of the sums, before anything is added to the plan.
  std::optional<FloatChain> chain;
  if (node.kind == OpKind::kMatMulInteger) {
    chain = follow_sums(lowering, node.outputs[0], weights->columns);
  } else {
    const ValueId scale = input_at(node, at.a_scale);
    const ValueId factor = input_at(node, at.b_scale);
    const ValueId bias = input_at(node, at.bias);
    if ((!quantizes && !is_there(lowering, scale, 1)) ||
        !is_constant_row(lowering, factor, weights->columns) ||
        (bias.valid() && !is_constant_row(lowering, bias, weights->columns)))
      return false;
    chain = FloatChain{{}, node.outputs[0], {scale, factor, std::nullopt}, bias};
  }

  PlanBuilder& build = lowering.build;
  IntegerMatMulStep step;
  if (quantizes) {
    const QuantizedView view = quantized(lowering, id, a, node.name + ".input");
    step.input = view.integers;
    step.scale = view.scale;
    step.zero_point = view.zero_point;
  } else {
    step.input = lowering.dense(a);
    if (a_zero.valid()) step.zero_point = lowering.dense(a_zero);
    if (chain) step.scale = lowering.dense(chain->scale.scale);
  }
  const std::string& name = node.name;
  step.weights = build.add_constant(name + ".weights", weights->weights);
  if (weights->shifts.defined())
    step.shifts = build.add_constant(name + ".shifts", weights->shifts);
  const auto add_row = [&](ValueId value, const char* what) {
    return build.add_constant(name + what, column_floats(lowering, value, weights->columns));
  };
  std::vector<NodeId> nodes{id};
  ValueId output = node.outputs[0];
  if (chain) {
    if (chain->scale.factor.valid()) step.factor = add_row(chain->scale.factor, ".factor");
    if (chain->bias.valid()) step.bias = add_row(chain->bias, ".bias");
    nodes.insert(nodes.end(), chain->nodes.begin(), chain->nodes.end());
    output = chain->output;
  }
  step.output = lowering.add_output(output, expected, plain_order(expected.size()), {},
                                    chain ? DType::kFloat32 : DType::kInt32);
  lowering.add_step(nodes, std::move(step));
  return true;
}

}  // namespace lathe
