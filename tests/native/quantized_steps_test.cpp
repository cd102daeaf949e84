// Quantized graphs become integer steps, and those give what the graph says.
#include "native_run.h"
#include "quantized_graph.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::difference;
using test::ints;
using test::kOut;
using test::kPositive;
using test::kSigned;
using test::NativeRun;
using test::Quantization;
using test::QuantizedGraph;
using test::run_native;

namespace {

/// One step of the output's scale at most, and few elements at all: ties.
void check_steps(const QuantizedGraph& built, double scale,
                 const std::map<std::string, int>& steps) {
  // oneDNN's products are those of processors with AMX; they exist everywhere.
  for (const bool onednn : {false, true}) {
    CAPTURE(onednn);
    const NativeRun run = run_native(built.graph, built.inputs, onednn);
    const test::Difference found = difference(built.graph, built.inputs, run, scale);
    CHECK(found.largest <= 1.001);
    CHECK(found.share <= 0.002);
    CHECK(run.steps == steps);
  }
}

Attributes conv_attributes(std::vector<int64_t> pads, std::vector<int64_t> strides,
                           int64_t group = 1) {
  Attributes attributes = ints({{"pads", std::move(pads)}, {"strides", std::move(strides)}});
  attributes.set("group", group);
  return attributes;
}

}  // namespace

TEST_CASE("a convolution with bias and Relu is one product") {
  for (const int64_t channels : {3, 16, 37}) {
    CAPTURE(channels);
    QuantizedGraph g;
    const ValueId x = g.quantized_input({2, channels, 9, 11});
    const ValueId y = g.op(OpKind::kConv, {x, g.weight({21, channels, 3, 3}, 21), g.bias(21, 21)},
                           conv_attributes({1, 1, 1, 1}, {1, 2}));
    std::map<std::string, int> steps{{"convert", 2}, {"product", 1}};
    // Few channels: rows of the kernel are read at once, from an image in a frame of padding.
    if (channels < 5) {
      steps["fill"] = 1;
      steps["copy"] = 1;
    }
    check_steps(g.end({g.pair(g.relu(y), kPositive)}), kPositive.scale, steps);
  }
}

TEST_CASE("signed activations, groups, dilation and uneven padding") {
  QuantizedGraph g;
  const ValueId x = g.quantized_input({1, 12, 13, 10}, kSigned);
  Attributes attributes = conv_attributes({2, 0, 1, 3}, {2, 1}, 3);
  attributes.set("dilations", std::vector<int64_t>{2, 1});
  const ValueId y = g.op(OpKind::kConv, {x, g.weight({9, 4, 3, 3}), g.bias(9)}, attributes);
  check_steps(g.end({g.pair(y, kSigned)}), kSigned.scale, {{"convert", 2}, {"product", 1}});
}

TEST_CASE("depthwise convolutions") {
  for (const int64_t kernel : {3, 5}) {
    CAPTURE(kernel);
    QuantizedGraph g;
    const ValueId x = g.quantized_input({2, 40, 14, 9});
    const int64_t pad = kernel / 2;
    const ValueId y =
        g.op(OpKind::kConv, {x, g.weight({40, 1, kernel, kernel}, 40), g.bias(40, 40)},
             conv_attributes({pad, pad, pad, pad}, {2, 1}, 40));
    check_steps(g.end({g.pair(g.clip(y, 0, 6), kPositive)}), kPositive.scale,
                {{"convert", 2}, {"depthwise", 1}});
  }
}

TEST_CASE("a residual sum is computed by the second convolution") {
  QuantizedGraph g;
  const ValueId x = g.quantized_input({1, 16, 8, 8});
  const ValueId a =
      g.pair(g.relu(g.op(OpKind::kConv, {x, g.weight({16, 16, 1, 1}, 16)})), kPositive);
  const ValueId b = g.pair(
      g.op(OpKind::kConv, {a, g.weight({16, 16, 3, 3}, 16)}, conv_attributes({1, 1, 1, 1}, {1, 1})),
      kOut);
  const ValueId sum = g.pair(g.relu(g.op(OpKind::kAdd, {b, x})), kPositive);
  const ValueId end = g.pair(g.op(OpKind::kConv, {sum, g.weight({8, 16, 1, 1})}), kOut);
  check_steps(g.end({end}), kOut.scale, {{"convert", 2}, {"product", 3}});
}

TEST_CASE("what stands between two quantizations is a table in the product") {
  QuantizedGraph g;
  const ValueId x = g.quantized_input({1, 16, 8, 8});
  const ValueId y =
      g.pair(g.op(OpKind::kConv, {x, g.weight({24, 16, 1, 1}, 24), g.bias(24, 24)}), kOut);
  const ValueId gate = g.pair(g.op(OpKind::kSigmoid, {y}), {1.0F / 256, 0, DType::kUInt8});
  const ValueId silu = g.pair(g.op(OpKind::kMul, {y, gate}), {0.05F, 6, DType::kUInt8});
  const ValueId end = g.pair(g.op(OpKind::kConv, {silu, g.weight({8, 24, 1, 1})}), kOut);
  check_steps(g.end({end}), kOut.scale, {{"convert", 2}, {"product", 2}});
}

TEST_CASE("a table of its own where the product's result is read otherwise, too") {
  QuantizedGraph g;
  const ValueId x = g.quantized_input({1, 16, 8, 8});
  const ValueId silu =
      g.pair(g.op(OpKind::kMul, {x, g.op(OpKind::kSigmoid, {x})}), {0.05F, 6, DType::kUInt8});
  const ValueId other = g.quantized_input({1, 16, 8, 8}, kSigned);
  const ValueId sum = g.pair(g.op(OpKind::kAdd, {g.op(OpKind::kAdd, {silu, other}), x}), kOut);
  check_steps(g.end({sum}), kOut.scale, {{"convert", 3}, {"lookup", 1}, {"elementwise", 1}});
}

TEST_CASE("linear layers") {
  QuantizedGraph g;
  const ValueId x = g.quantized_input({5, 50});
  Attributes turned;
  turned.set("transB", int64_t{1});
  const ValueId y = g.pair(
      g.relu(g.op(OpKind::kGemm, {x, g.weight({30, 50}, 30), g.bias(30, 30)}, turned)), kPositive);
  const ValueId z = g.op(OpKind::kMatMul, {y, g.weight({30, 7}, 7, 1)});
  check_steps(g.end({g.pair(z, kOut)}), kOut.scale, {{"convert", 2}, {"product", 2}});
}

TEST_CASE("pools, moves and concatenation stay integers") {
  QuantizedGraph g;
  const ValueId x = g.quantized_input({1, 8, 12, 12});
  Attributes pool = ints({{"kernel_shape", {2, 2}}, {"strides", {2, 2}}});
  const ValueId most = g.pair(g.op(OpKind::kMaxPool, {x}, pool), {0.0517F, 128, DType::kUInt8});
  const ValueId mean = g.pair(g.op(OpKind::kAveragePool, {x}, pool), kOut);
  Attributes axis;
  axis.set("axis", int64_t{1});
  const ValueId both = g.pair(g.op(OpKind::kConcat, {most, mean}, axis), kOut);
  const ValueId end = g.pair(g.op(OpKind::kConv, {both, g.weight({8, 16, 1, 1})}), kOut);
  const NativeRun run = run_native(g.end({end}).graph, g.inputs);
  const test::Difference found = difference(g.graph, g.inputs, run, kOut.scale);
  CHECK(found.largest <= 1.001);
  CHECK(found.share <= 0.01);
  CHECK(run.steps.at("pool") == 2);
  CHECK(run.steps.at("product") == 1);
  CHECK(run.steps.count("elementwise") == 0);
  CHECK(run.steps.count("fallback") == 0);
}

}  // namespace lathe
