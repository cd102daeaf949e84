#include <doctest/doctest.h>

#include "ir/error.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

DType type_of(OpKind kind, std::vector<DType> inputs, size_t index = 0,
              Attributes attributes = {}) {
  Node node;
  node.kind = kind;
  node.attributes = std::move(attributes);
  for (size_t i = 0; i < inputs.size(); ++i)
    node.inputs.push_back(inputs[i] == DType::kUndefined ? ValueId{}
                                                         : ValueId{static_cast<int32_t>(i)});
  const TypeRule rule = op_row(kind).type;
  return rule != nullptr ? rule(node, inputs, index) : inputs.at(0);
}

Attributes with(std::string name, Attribute value) {
  Attributes attributes;
  attributes.set(std::move(name), std::move(value));
  return attributes;
}

constexpr DType kNone = DType::kUndefined;
constexpr DType kFloat = DType::kFloat32;
constexpr DType kF16 = DType::kFloat16;
constexpr DType kU8 = DType::kUInt8;
constexpr DType kI8 = DType::kInt8;

TEST_CASE("every kind has its row") {
  for (int i = 0; i < kOpKindCount; ++i) {
    const auto kind = static_cast<OpKind>(i);
    const OpRow& row = op_row(kind);
    CAPTURE(op_name(kind));
    CHECK(row.kind == kind);
    CHECK((row.max_inputs < 0 || row.min_inputs <= row.max_inputs));
    CHECK((row.weight_input < 0 || row.max_inputs < 0 || row.weight_input < row.max_inputs));
    CHECK((row.bias_input < 0 || row.max_inputs < 0 || row.bias_input < row.max_inputs));
    // A product with a weight that nobody counts would make the whole count wrong in silence.
    CHECK((row.weight_input < 0 || row.macs != nullptr));
    CHECK_FALSE((row.random && row.keeps_quantization));
    CHECK((!row.fusable || row.elementwise));
    CHECK((row.parameters[0].name != nullptr || row.parameters[1].name == nullptr));
  }
  CHECK_THROWS_AS(op_row(static_cast<OpKind>(kOpKindCount)), InternalError);
}

TEST_CASE("a node's parameters are its attributes, or the usual ones") {
  Node node;
  node.kind = OpKind::kHardSigmoid;
  node.attributes = with("beta", 0.25F);
  CHECK(parameter_of(node, 0) == 0.2F);
  CHECK(parameter_of(node, 1) == 0.25F);
  node.kind = OpKind::kTanh;
  CHECK(parameter_of(node, 1) == 0);
}

TEST_CASE("element types") {
  SUBCASE("as input 0 unless said otherwise") {
    CHECK(type_of(OpKind::kRelu, {kF16}) == kF16);
    CHECK(type_of(OpKind::kPow, {kFloat, DType::kInt64}) == kFloat);
    CHECK(type_of(OpKind::kWhere, {DType::kBool, kF16, kF16}) == kF16);
    CHECK(type_of(OpKind::kOneHot, {DType::kInt64, DType::kInt64, kFloat}) == kFloat);
    CHECK(type_of(OpKind::kOpaque, {kFloat}) == kNone);
  }
  SUBCASE("fixed") {
    CHECK(type_of(OpKind::kLess, {kFloat, kFloat}) == DType::kBool);
    CHECK(type_of(OpKind::kIsNaN, {kFloat}) == DType::kBool);
    CHECK(type_of(OpKind::kArgMax, {kFloat}) == DType::kInt64);
    CHECK(type_of(OpKind::kShape, {kFloat}) == DType::kInt64);
    CHECK(type_of(OpKind::kConvInteger, {kU8, kI8}) == DType::kInt32);
    CHECK(type_of(OpKind::kTopK, {kF16, DType::kInt64}, 0) == kF16);
    CHECK(type_of(OpKind::kTopK, {kF16, DType::kInt64}, 1) == DType::kInt64);
    CHECK(type_of(OpKind::kDropout, {kF16}, 1) == DType::kBool);
    CHECK(type_of(OpKind::kMaxPool, {kFloat}, 1) == DType::kInt64);
  }
  SUBCASE("from attributes") {
    CHECK(type_of(OpKind::kCast, {kFloat}, 0, with("to", int64_t{10})) == kF16);
    CHECK(type_of(OpKind::kBernoulli, {kFloat}) == kFloat);
    CHECK(type_of(OpKind::kBernoulli, {kFloat}, 0, with("dtype", int64_t{9})) == DType::kBool);
    CHECK(type_of(OpKind::kMultinomial, {kFloat}) == DType::kInt32);
    CHECK(type_of(OpKind::kHannWindow, {DType::kInt64}, 0, with("output_datatype", int64_t{11})) ==
          DType::kFloat64);
    CHECK(type_of(OpKind::kConstantOfShape, {DType::kInt64}) == kFloat);
    CHECK(type_of(OpKind::kConstantOfShape, {DType::kInt64}, 0,
                  with("value", Tensor::vector<int64_t>({7}))) == DType::kInt64);
    CHECK(type_of(OpKind::kLayerNormalization, {kF16, kF16}, 1) == kFloat);
    CHECK_THROWS_AS(type_of(OpKind::kCast, {kFloat}, 0, with("to", int64_t{99})), Error);
    CHECK_THROWS_AS(type_of(OpKind::kCast, {kFloat}, 0, with("to", int64_t{-1})), Error);
  }
  SUBCASE("quantization") {
    CHECK(type_of(OpKind::kQuantizeLinear, {kFloat, kFloat}) == kU8);
    CHECK(type_of(OpKind::kQuantizeLinear, {kFloat, kFloat, kI8}) == kI8);
    CHECK(type_of(OpKind::kQuantizeLinear, {kFloat, kFloat}, 0, with("output_dtype", int64_t{5})) ==
          DType::kInt16);
    CHECK(type_of(OpKind::kDequantizeLinear, {kU8, kF16, kU8}) == kF16);
    CHECK(type_of(OpKind::kDynamicQuantizeLinear, {kFloat}, 1) == kFloat);
    CHECK(type_of(OpKind::kDynamicQuantizeLinear, {kFloat}, 2) == kU8);
    CHECK(type_of(OpKind::kQLinearConv, {kU8, kFloat, kU8, kI8, kFloat, kI8, kFloat, kI8}) == kI8);
    CHECK(type_of(OpKind::kQGemm, {kU8, kFloat, kU8, kI8, kFloat, kI8}) == kFloat);
    CHECK(type_of(OpKind::kQGemm, {kU8, kFloat, kU8, kI8, kFloat, kI8, kNone, kFloat, kU8}) == kU8);
    CHECK(type_of(OpKind::kQLinearConcat, {kFloat, kI8, kU8, kFloat, kU8}) == kI8);
  }
}

TEST_CASE("the weight's axis of output channels") {
  Graph graph;
  const ValueId x = graph.add_input("x", tensor_type(kFloat, dims_of({2, 3})));
  const ValueId w = graph.add_constant("w", Tensor::of<float>({3, 4}, std::vector<float>(12)));
  const ValueId v = graph.add_constant("v", Tensor::vector<float>({1, 2, 3}));
  const auto axis = [&](OpKind kind, ValueId weight, Attributes attributes = {}) {
    const ValueId out = graph.add_op(kind, {x, weight}, "y", std::move(attributes));
    return weight_channel_axis(graph, graph.node(graph.value(out).producer));
  };
  CHECK(axis(OpKind::kGemm, w) == 1);
  CHECK(axis(OpKind::kGemm, w, with("transB", int64_t{1})) == 0);
  CHECK(axis(OpKind::kMatMul, w) == 1);
  CHECK(axis(OpKind::kMatMul, v) == -1);
  CHECK(axis(OpKind::kConv, w) == 0);
  CHECK(axis(OpKind::kConvTranspose, w) == 1);
  CHECK(axis(OpKind::kAdd, w) == -1);
}

TEST_CASE("what keeps quantization") {
  for (const OpKind kind : {OpKind::kReshape, OpKind::kTranspose, OpKind::kFlatten, OpKind::kSplit,
                            OpKind::kMaxPool, OpKind::kSlice, OpKind::kGather, OpKind::kTile})
    CHECK(op_row(kind).keeps_quantization);
  for (const OpKind kind : {OpKind::kConcat, OpKind::kPad, OpKind::kRelu, OpKind::kAveragePool,
                            OpKind::kResize, OpKind::kConv})
    CHECK_FALSE(op_row(kind).keeps_quantization);
}

}  // namespace
}  // namespace lathe
