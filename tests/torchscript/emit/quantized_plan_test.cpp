#include "torchscript/emit/quantized_plan.h"

#include "quantized_graph.h"

#include <doctest/doctest.h>

namespace lathe {

using test::ints;
using test::Quantization;
using test::QuantizedGraph;

namespace {

constexpr Quantization kResult{0.0407F, 120};

QuantizedPlan plan_of(const QuantizedGraph& built,
                      QuantizedEngine engine = QuantizedEngine::kOnednn) {
  return plan_quantized_ops(built.graph, engine);
}

/// The reason why the only exception runs in float; "" when there is none.
std::string reason_of(const QuantizedGraph& built) {
  const QuantizedPlan plan = plan_of(built);
  CHECK(plan.groups.empty());
  return plan.in_float.size() == 1 ? plan.in_float[0].reason : "";
}

ValueId conv(QuantizedGraph& b, ValueId x, ValueId weight) {
  return b.op(OpKind::kConv, {x, weight});
}

}  // namespace

TEST_CASE("a network's plan: groups, borders, packed weights, exceptions") {
  QuantizedGraph b;
  const ValueId x = b.quantized_input({1, 4, 6, 6});
  const ValueId y = b.pair(
      b.relu(b.op(OpKind::kConv, {x, b.weight({4, 4, 1, 1}, 4), b.bias(4, 4)})), {0.0313F, 0});
  const ValueId z = b.pair(b.op(OpKind::kAdd, {x, y}), kResult);
  const ValueId mean = b.op(OpKind::kGlobalAveragePool, {z});
  b.end({mean});
  const QuantizedPlan plan = plan_of(b);
  REQUIRE(plan.groups.size() == 2);
  CHECK(plan.groups[0].op == QuantizedOp::kConv);
  CHECK(plan.groups[0].activation.valid());
  CHECK(plan.groups[0].output == ScaleZeroPoint{0.0313F, 0});
  CHECK(plan.groups[1].op == QuantizedOp::kAdd);
  CHECK(plan.quantize.size() == 1);
  CHECK(plan.dequantize.size() == 3);
  CHECK(plan.packed.size() == 2);
  CHECK(plan_text(b.graph, plan) ==
        "1 conv, 1 add; in float: GlobalAveragePool_11 (GlobalAveragePool): its output is not "
        "quantized");
}

TEST_CASE("int8 activations are shifted to quint8") {
  QuantizedGraph b;
  const Quantization in{0.0517F, -3, DType::kInt8};
  b.end({b.pair(conv(b, b.quantized_input({1, 4, 6, 6}, in), b.weight({4, 4, 1, 1}, 4)),
                {0.0313F, 5, DType::kInt8})});
  const QuantizedPlan plan = plan_of(b);
  REQUIRE(plan.groups.size() == 1);
  CHECK(plan.groups[0].output.zero_point == 133);
  CHECK(plan.quantize.at(0).params.zero_point == 125);
}

TEST_CASE("a graph without Q/DQ has an empty plan") {
  QuantizedGraph b;
  const ValueId w = b.graph.add_constant("", Tensor::of<float>({4, 4, 1, 1}, test::noise(16, 1)));
  b.end({b.relu(conv(b, b.input({1, 4, 6, 6}), w))});
  const QuantizedPlan plan = plan_of(b);
  CHECK(plan.groups.empty());
  CHECK(plan.in_float.empty());
  CHECK(plan.quantize.empty());
  CHECK(plan_text(b.graph, plan) == "nothing quantized");
}

TEST_CASE("what stays in float says why") {
  const Shape image = {1, 4, 6, 6};
  const Shape kernel = {4, 4, 1, 1};
  {
    QuantizedGraph b;
    b.end({conv(b, b.quantized_input(image), b.weight(kernel, 4))});
    CHECK(reason_of(b) == "its output is not quantized");
  }
  {
    QuantizedGraph b;
    const ValueId y = conv(b, b.quantized_input(image), b.weight(kernel, 4));
    b.end({b.pair(y, kResult), y});
    CHECK(reason_of(b) == "its output is not quantized");
  }
  {
    QuantizedGraph b;
    b.end({b.pair(conv(b, b.input(image), b.weight(kernel, 4)), kResult)});
    CHECK(reason_of(b) == "its input is not quantized");
  }
  {
    QuantizedGraph b;
    b.end({b.pair(conv(b, b.quantized_input(image), b.weight(kernel, 4, 0, DType::kInt8, 3)),
                  kResult)});
    CHECK(reason_of(b) == "its weight is not symmetric");
  }
  {
    QuantizedGraph b;
    b.end({b.pair(conv(b, b.quantized_input(image), b.weight(kernel, 4, 1)), kResult)});
    CHECK(reason_of(b) == "its weight's scales are not one per output channel");
  }
  {
    QuantizedGraph b;
    b.end({b.pair(b.relu(b.quantized_input(image)), kResult)});
    CHECK(reason_of(b) == "LibTorch's kernel keeps its input's scale, here the output has its own");
  }
  {
    QuantizedGraph b;
    b.end({b.pair(b.op(OpKind::kTanh, {b.quantized_input(image)}), kResult)});
    CHECK(reason_of(b) == "LibTorch has no quantized form of it");
  }
  {
    QuantizedGraph b;
    b.end({b.pair(
        b.op(OpKind::kConvTranspose, {b.quantized_input(image), b.weight({4, 6, 3, 3}, 6, 1)}),
        kResult)});
    CHECK(reason_of(b) == "transposed kernels take one scale a weight");
  }
}

TEST_CASE("what only moves stays quantized without being asked") {
  QuantizedGraph b;
  const ValueId x = b.quantized_input({1, 4, 6, 6});
  const ValueId turned = b.op(OpKind::kTranspose, {x}, ints({{"perm", {0, 1, 3, 2}}}));
  const ValueId again = b.pair(turned, kResult);  // another scale
  const ValueId y = b.pair(conv(b, turned, b.weight({4, 4, 1, 1}, 4)), kResult);
  b.end({b.pair(b.op(OpKind::kAdd, {y, again}), kResult), b.op(OpKind::kExp, {turned})});
  const QuantizedPlan plan = plan_of(b);
  REQUIRE(plan.groups.size() == 3);
  CHECK(plan.groups[0].op == QuantizedOp::kMove);
  CHECK_FALSE(plan.groups[0].quantize.valid());
  CHECK(plan.quantize.size() == 2);
  CHECK(plan.in_float.size() == 1);  // Exp
}

TEST_CASE("integers that somebody else reads stay as the graph has them") {
  QuantizedGraph b;
  const Quantization q;
  const ValueId integers = b.quantize(b.input({1, 4, 6, 6}), q);
  b.end({b.pair(conv(b, b.dequantize(integers, q), b.weight({4, 4, 1, 1}, 4)), kResult), integers});
  const QuantizedPlan plan = plan_of(b);
  CHECK(plan.groups.empty());
  CHECK(plan.quantize.size() == 1);  // only the output's
  QuantizedGraph other;
  const ValueId read = other.quantize(other.input({1, 4, 6, 6}), q);
  const ValueId x = other.dequantize(read, {0.1F, 128});
  other.end({other.pair(conv(other, x, other.weight({4, 4, 1, 1}, 4)), kResult)});
  CHECK(plan_of(other).groups.empty());
}

TEST_CASE("engines have names") {
  CHECK(engine_name(QuantizedEngine::kOnednn) == "onednn");
  CHECK(quantized_engine_from_name("qnnpack") == QuantizedEngine::kQnnpack);
  CHECK_FALSE(quantized_engine_from_name("fbgemm"));
}

}  // namespace lathe
