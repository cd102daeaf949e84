// QDQ graphs become integer arithmetic: no operator between converts back to real numbers.
#include "quantized_graph.h"
#include "tflite/round_trip.h"

#include <doctest/doctest.h>

namespace lathe::test {
namespace {

constexpr Quantization kOne{0.05F, 120, DType::kUInt8};
constexpr Quantization kTwo{0.3F, -7, DType::kInt8};
constexpr Quantization kShares{1.0F / 256, -128, DType::kInt8};

using Counts = std::map<std::string, int64_t>;

// In at the front, out at the end.
Counts between(Counts inner) {
  ++inner["QUANTIZE"];
  ++inner["DEQUANTIZE"];
  return inner;
}

void check(QuantizedGraph& made, const Counts& operators, double tolerance = 2e-6) {
  const RoundTrip trip = round_trip(made.graph);
  CHECK(trip.file.operators == operators);
  CHECK(trip.file.in_floats.empty());
  CHECK(round_trip_error(made.graph, trip) < tolerance);
}

TEST_CASE("convolutions, with unlike types at both ends, in integers") {
  for (const bool depthwise : {false, true}) {
    CAPTURE(depthwise);
    QuantizedGraph q;
    const ValueId x = q.quantized_input({1, 4, 7, 6}, kOne);
    Attributes attributes = ints({{"pads", {1, 1, 1, 1}}, {"strides", {2, 2}}});
    if (depthwise) attributes.set("group", int64_t{4});
    const ValueId w = q.weight({4, depthwise ? 1 : 4, 3, 3}, 4);
    const ValueId y = q.op(OpKind::kConv, {x, w, q.bias(4, 4)}, attributes);
    q.end({q.pair(q.relu(y), kTwo)});
    check(q, between({{depthwise ? "DEPTHWISE_CONV_2D" : "CONV_2D", 1}, {"PAD", 1}}), 1e-6);
  }
}

TEST_CASE("bounds that no activation has are those of the integers") {
  QuantizedGraph q;
  const ValueId x = q.quantized_input({1, 4, 5, 5}, kOne);
  const ValueId y = q.op(OpKind::kConv, {x, q.weight({4, 4, 1, 1}, 1), q.bias(4, 1)});
  q.end({q.pair(q.clip(y, -0.9F, 1.5F), {0.05F, 3, DType::kInt8})});
  check(q, between({{"CONV_2D", 1}, {"MAXIMUM", 1}, {"MINIMUM", 1}}));
}

TEST_CASE("weights of uint8, layers behind flattened images") {
  QuantizedGraph q;
  const ValueId x = q.quantized_input({1, 3, 5, 4}, kOne);
  const ValueId c = q.pair(q.op(OpKind::kConv, {x, q.weight({4, 3, 3, 3}, 1), q.bias(4, 1)}), kTwo);
  const ValueId f = q.pair(q.op(OpKind::kFlatten, {c}), kTwo);
  Attributes attributes;
  attributes.set("transB", int64_t{1});
  const ValueId w = q.weight({5, 24}, 1, 0, DType::kUInt8, 128);
  const ValueId y = q.op(OpKind::kGemm, {f, w}, attributes);
  q.end({q.pair(y, kOne)});
  check(q, between({{"CONV_2D", 1}, {"RESHAPE", 1}, {"FULLY_CONNECTED", 1}}));
}

TEST_CASE("what moves integers keeps their scale") {
  QuantizedGraph q;
  const ValueId x = q.quantized_input({1, 4, 6, 6}, kOne);
  const ValueId c = q.pair(q.op(OpKind::kConv, {x, q.weight({4, 4, 1, 1}, 1), q.bias(4, 1)}), kTwo);
  const Attributes halves = ints({{"kernel_shape", {2, 2}}, {"strides", {2, 2}}});
  const ValueId p = q.op(OpKind::kMaxPool, {c}, halves);
  Attributes axis;
  axis.set("axis", int64_t{1});
  const ValueId e = q.pair(q.op(OpKind::kAveragePool, {c}, halves), kTwo);
  const ValueId both = q.pair(q.op(OpKind::kConcat, {p, e}, axis), kTwo);
  q.end({both});
  check(q, between({{"CONV_2D", 1},
                    {"MAX_POOL_2D", 1},
                    {"AVERAGE_POOL_2D", 1},
                    {"CONCATENATION", 1}}));
}

TEST_CASE("an average over all pixels takes the scale that is wanted") {
  QuantizedGraph q;
  const ValueId x = q.quantized_input({1, 4, 5, 5}, kOne);
  const ValueId c = q.pair(q.op(OpKind::kConv, {x, q.weight({4, 4, 1, 1}, 1), q.bias(4, 1)}), kTwo);
  q.end({q.pair(q.op(OpKind::kGlobalAveragePool, {c}), kOne)});
  check(q, between({{"CONV_2D", 1}, {"MEAN", 1}}));
}

TEST_CASE("sums, products, functions and shares in integers") {
  QuantizedGraph q;
  const ValueId x = q.quantized_input({2, 6}, kOne);
  const ValueId z = q.quantized_input({2, 6}, kTwo);
  const ValueId sum = q.pair(q.relu(q.op(OpKind::kAdd, {x, z})), kTwo);
  const ValueId product = q.pair(q.op(OpKind::kMul, {sum, x}), kTwo);
  const ValueId gate = q.pair(q.op(OpKind::kSigmoid, {product}), kShares);
  q.end({q.pair(q.op(OpKind::kSoftmax, {gate}), kShares)});
  check(q, {{"QUANTIZE", 2},
            {"ADD", 1},
            {"MUL", 1},
            {"LOGISTIC", 1},
            {"SOFTMAX", 1},
            {"DEQUANTIZE", 1}});
}

TEST_CASE("what has no integer form is computed in real numbers, and named") {
  QuantizedGraph q;
  const ValueId x = q.quantized_input({2, 6}, kOne);
  q.end({q.pair(q.op(OpKind::kExp, {x}), kTwo)});
  const RoundTrip trip = round_trip(q.graph);
  CHECK(trip.file.operators == Counts{{"QUANTIZE", 2}, {"DEQUANTIZE", 2}, {"EXP", 1}});
  CHECK(trip.file.in_floats == std::vector<std::string>{"Exp_2"});
  CHECK(round_trip_error(q.graph, trip) < 1e-6);
}

}  // namespace
}  // namespace lathe::test
