// Corners of the lowering, each of which once went wrong.
#include "native_run.h"
#include "quantized_graph.h"
#include "run/run_text.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::difference;
using test::graph_from;
using test::ints;
using test::kOut;
using test::kSigned;
using test::NativeRun;
using test::Quantization;
using test::QuantizedGraph;
using test::run_native;

namespace {

Tensor noise_of(const Shape& shape, uint32_t seed) {
  return Tensor::of<float>(shape, test::noise(element_count(shape), seed));
}

std::string numbers(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += (i ? "," : "") + std::to_string(0.01 * i - 0.3);
  return text;
}

/// Of ONNX text with noise for inputs.
NativeRun check_text(const std::string& body, int opset = 17) {
  const Graph graph = graph_from(body, opset);
  std::vector<Tensor> inputs;
  for (const ValueId id : graph.inputs())
    inputs.push_back(
        noise_of(*static_shape(*graph.value(id).type.dims), static_cast<uint32_t>(inputs.size())));
  NativeRun run = run_native(graph, inputs);
  CHECK(difference(graph, inputs, run, 1).largest <= 1e-5);
  return run;
}

NativeRun check_quantized(const QuantizedGraph& built, double scale) {
  NativeRun run = run_native(built.graph, built.inputs);
  const test::Difference found = difference(built.graph, built.inputs, run, scale);
  CHECK(found.largest <= 1.001);
  CHECK(found.share <= 0.02);
  return run;
}

/// Every second column of `x` (rank 4), from the first on.
ValueId every_second_column(QuantizedGraph& g, ValueId x, int64_t end) {
  const auto number = [&](int64_t n) {
    return g.graph.add_constant("", Tensor::vector<int64_t>({n}));
  };
  return g.op(OpKind::kSlice, {x, number(0), number(end), number(3), number(2)});
}

}  // namespace

TEST_CASE("a convolution that is summed and an output, too") {
  check_text(R"(g (float[2,8,1,1] x, float[8,8,1,1] unused) => (float[2,8,1,1] c, float[2,8,1,1] s)
    <float[8,8,1,1] w = {)" +
             numbers(64) + R"(}> { y = Tanh(x)  c = Conv(y, w)  z = Sigmoid(y)  s = Add(c, z) })");
}

TEST_CASE("a summand that is dequantized by other parameters") {
  QuantizedGraph g;
  const ValueId x = g.quantized_input({1, 16, 6, 6});
  const ValueId q = g.quantize(g.op(OpKind::kConv, {x, g.weight({16, 16, 1, 1}, 16)}), kOut);
  const ValueId y = g.dequantize(q, {0.23F, 90, DType::kUInt8});
  check_quantized(g.end({g.pair(g.op(OpKind::kAdd, {y, x}), {0.2F, 100, DType::kUInt8})}), 0.2);
}

TEST_CASE("part of a small array goes into a concatenation, the rest is read elsewhere") {
  QuantizedGraph g;
  const ValueId x = g.pair(g.relu(g.input({1, 4, 1, 4})), {0.05F, 3, DType::kUInt8});
  Attributes axis = ints({});
  axis.set("axis", int64_t{3});
  Node split;
  split.kind = OpKind::kSplit;
  split.inputs = {x, g.graph.add_constant("", Tensor::vector<int64_t>({2, 2}))};
  split.outputs = {g.graph.add_value("left"), g.graph.add_value("right")};
  split.attributes = axis;
  const ValueId left = split.outputs[0];
  const ValueId right = split.outputs[1];
  g.graph.add_node(split);
  const ValueId other = g.pair(g.input({1, 4, 1, 2}), {0.05F, 3, DType::kUInt8});
  Attributes channels;
  channels.set("axis", int64_t{1});
  const ValueId both = g.op(OpKind::kConcat, {left, other}, channels);
  const ValueId late = g.op(OpKind::kConv, {right, g.weight({3, 4, 1, 1}, 3)});
  const ValueId end = g.op(OpKind::kConv, {both, g.weight({3, 8, 1, 1}, 3)});
  check_quantized(g.end({g.pair(end, kOut), g.pair(late, kOut)}), kOut.scale);
}

TEST_CASE("pixels with gaps: depthwise, residual and tables") {
  QuantizedGraph g;
  const ValueId x = g.quantized_input({2, 8, 5, 8});
  const ValueId columns = every_second_column(g, x, 8);
  Attributes depthwise;
  depthwise.set("group", int64_t{8});
  const ValueId a =
      g.pair(g.op(OpKind::kConv, {columns, g.weight({8, 1, 1, 1}, 8)}, depthwise), kOut);
  const ValueId sum = g.op(OpKind::kAdd, {a, columns});
  const ValueId again = g.pair(columns, kSigned);
  const NativeRun run = check_quantized(g.end({g.pair(sum, kOut), again}), kOut.scale);
  CHECK(run.steps.count("fallback") == 0);
}

TEST_CASE("tables for columns of an array of any rank") {
  for (const Shape& shape : {Shape{6}, Shape{5, 6}, Shape{2, 3, 1, 2, 6}}) {
    CAPTURE(shape.size());
    QuantizedGraph g;
    const ValueId x = g.quantized_input(shape);
    const auto number = [&](int64_t n) {
      return g.graph.add_constant("", Tensor::vector<int64_t>({n}));
    };
    const ValueId part = g.op(OpKind::kSlice, {x, number(5), number(-7), number(-1), number(-2)});
    check_quantized(g.end({g.pair(part, kSigned)}), kSigned.scale);
  }
}

TEST_CASE("sums of many operands and of trees of many leaves") {
  check_text(
      R"(g (float[3,4] a, float[3,4] b, float[3,1] c, float[4] d) => (float[3,4] y, float[3,4] z) {
    y = Sum(a, b, c, d, a, b, c, d, a, b, c, d)
    p = Mul(a, b)  q = Mul(a, c)  r = Mul(b, d)  s = Mul(c, b)  t = Mul(d, a)  u = Mul(b, b)
    v = Sub(p, q)  w = Sub(r, s)  m = Sub(t, u)  n = Max(v, w, m)
    o = Tanh(a)  e = Tanh(b)  f = Sin(a)  h = Sin(b)  i = Cos(a)  j = Cos(b)
    k = Sum(o, e, f, h, i, j)  z = Add(n, k) })");
}

// oneDNN's parameters of a function change with its release.
TEST_CASE("every function behind a product") {
  const std::vector<std::string> functions{"y = Relu(p)",
                                           "y = Clip(p, low, high)",
                                           "y = LeakyRelu<alpha = 0.3>(p)",
                                           "y = Elu<alpha = 0.7>(p)",
                                           "y = Sigmoid(p)",
                                           "y = Tanh(p)",
                                           "y = Swish(p)",
                                           "y = HardSwish(p)",
                                           "y = Gelu(p)",
                                           "y = Gelu<approximate = \"tanh\">(p)"};
  const std::string weights = "float[8,8,1,1] dense = {" + numbers(64) +
                              "}, float[8,1,1,1] alone = {" + numbers(8) +
                              "}, float[5,5] matrix = {" + numbers(25) + "}";
  for (const std::string& function : functions)
    for (const std::string product :
         {"Conv<group = 1>(x, dense)", "Conv<group = 8>(x, alone)", "MatMul(x, matrix)"}) {
      INFO(product, " ", function);
      const NativeRun run = check_text(
          "g (float[2,8,5,5] x) => (float[2,8,5,5] y) <float low = {-0.2}, float high = {0.3}, " +
              weights + "> { p = " + product + "  " + function + " }",
          24);
      CHECK(!run.steps.contains("elementwise"));
      CHECK(!run.steps.contains("fallback"));
    }
}

TEST_CASE("a long chain of functions") {
  std::string body = "g (float[3,4] x) => (float[3,4] y) { v0 = Neg(x) ";
  for (int i = 0; i < 300; ++i)
    body += "v" + std::to_string(i + 1) + " = " + (i % 2 ? "Neg" : "Tanh") + "(v" +
            std::to_string(i) + ") ";
  check_text(body + "y = Neg(v300) }");
}

TEST_CASE("ThresholdedRelu is computed by the engine, with what stands around it") {
  const NativeRun run = check_text(R"(g (float[3,40] x) => (float[3,40] y) {
    t = ThresholdedRelu<alpha = 0.3>(x)  n = Neg(x)  u = ThresholdedRelu(n)  y = Sub(t, u) })");
  CHECK(run.steps == std::map<std::string, int>{{"elementwise", 1}});
}

TEST_CASE("a quantized value of unknown size") {
  const Graph graph = graph_from(R"(g (float[4,5] x) => (float[2] y)
    <float scale = {0.25}, uint8 zero = {3}, int64[1] axes = {1}> {
    p = NonZero(x)  f = Cast<to = 1>(p)  q = QuantizeLinear(f, scale, zero)
    d = DequantizeLinear(q, scale, zero)  s = Sigmoid(d)  y = ReduceSum<keepdims = 0>(s, axes) })");
  const std::vector<Tensor> inputs{noise_of({4, 5}, 1)};
  const NativeRun run = run_native(graph, inputs);
  CHECK(difference(graph, inputs, run, 1).largest <= 1e-5);
}

TEST_CASE("arrays without elements") {
  check_text(
      R"(g (float[2,0,3] x, float[2,4,3] z) => (float[2,0,3] y, float[2,4,3] c, float[2,0,3] d)
    <float scale = {0.25}, uint8 zero = {3}> {
    q = QuantizeLinear(x, scale, zero)  a = DequantizeLinear(q, scale, zero)  y = Sigmoid(a)
    t = Tanh(z)  c = Concat<axis = 1>(t, y)  d = Neg(x) })");
}

TEST_CASE("normalization of some channels of an array") {
  check_text(R"(g (float[2,6,5,4] x) => (float[2,3,5,4] y)
    <float[6,6,1,1] w = {1,0,0,0,0,0.1, 0,1,0,0,0,0, 0,0.2,1,0,0,0, 0,0,0,1,0,0, 0.3,0,0,0,1,0,
                         0,0,0,0.1,0,1}, int64[2] parts = {3,3}, float[3] one = {1,2,3},
     float[3] none = {0,0.5,1}> {
    c = Conv(x, w)  a, b = Split<axis = 1>(c, parts)
    y = InstanceNormalization<epsilon = 0.01>(b, one, none) })");
}

TEST_CASE("a window in the padding alone") {
  QuantizedGraph g;
  const ValueId x = g.quantized_input({1, 2, 2, 2});
  const ValueId y = g.op(OpKind::kConv, {x, g.weight({3, 2, 2, 2}, 3), g.bias(3, 3)},
                         ints({{"pads", {2, 2, 0, 0}}, {"strides", {3, 3}}}));
  check_quantized(g.end({g.pair(y, kOut)}), kOut.scale);
}

TEST_CASE("a padded image whose windows cover as much as it has") {
  QuantizedGraph g;
  const ValueId x = g.quantized_input({1, 3, 8, 8});
  const ValueId y = g.op(OpKind::kConv, {x, g.weight({3, 3, 4, 4}, 3), g.bias(3, 3)},
                         ints({{"pads", {1, 1, 1, 1}}, {"strides", {4, 4}}}));
  check_quantized(g.end({g.pair(y, kOut)}), kOut.scale);
}

TEST_CASE("a dilated window as wide as the image") {
  check_text(R"(g (float[1,4,3,3] x) => (float[1,4,1,1] y) {
    y = AveragePool<kernel_shape = [3,3], dilations = [2,2], pads = [0,0,2,2]>(x) })");
}

TEST_CASE("a transposed convolution with more padding behind than oneDNN takes") {
  check_text(R"(g (float[1,2,4] x) => (float[1,2,6] y) <float[2,2,2] w = {1,2,3,4,5,6,7,8}> {
    y = ConvTranspose<output_padding = [1]>(x, w) })");
}

TEST_CASE("constants that are outputs") {
  check_text(R"(g (float[2] x) => (float[2] y, uint16[2] a, float[2] c, uint32[1] b)
    <uint16[2] a = {1, 65535}, float[2] c = {3, 4}, uint32[1] b = {4000000000}> { y = Neg(x) })");
}

TEST_CASE("parts that are split off, changed and joined again stay where they were made") {
  const NativeRun run = check_text(
      R"(g (float[2,3,4,5,7] x, float[2,3,2,2,7] z) => (float[2,72,7] y)
    <int64[3] sizes = {2, 2, 3}, int64[3] shape = {0, -1, 7}, float[1] two = {2}> {
      s = Sigmoid(x)
      a, b, c = Split<axis = 4>(s, sizes)
      changed_a = Mul(a, two)
      squared_b = Mul(b, b)
      joined = Concat<axis = 4>(changed_a, squared_b, c)
      rows = Reshape(joined, shape)
      t = Sigmoid(z)
      other_rows = Reshape(t, shape)
      y = Concat<axis = 1>(rows, other_rows)
    })");
  CHECK(run.steps.find("copy") == run.steps.end());
}

TEST_CASE("an array with a part that another array has, too, does not move over itself") {
  // `a` with a part `s` has rows of 6 elements; in `b` rows of `s` are 3 apart.
  check_text(R"(g (float[3,2,3] x, float[3,2,3] y)
      => (float[3,2,6] r, float[3,6,3] b) {
    s = Add(x, y)
    a = Concat <axis = 2> (s, x)
    r = Tanh(a)
    b = Concat <axis = 1> (x, s, x)
  })");
  check_text(R"(g (float[3,2,3] x, float[3,2,3] y)
      => (float[3,2,6] r, float[3,6,3] c) {
    s = Add(x, y)
    z = Mul(x, y)
    a = Concat <axis = 2> (z, s)
    r = Tanh(a)
    b = Concat <axis = 1> (z, s, z)
    c = Neg(b)
  })");
}

TEST_CASE("parts that are read again after they were changed are copied") {
  check_text(
      R"(g (float[2,3,4,7] x) => (float[2,3,4,7] y, float[2,3,4,2] again, float[2,3,4,7] s)
    <int64[2] sizes = {2, 5}, float[1] two = {2}> {
      s = Sigmoid(x)
      a, b = Split<axis = 3>(s, sizes)
      changed_a = Mul(a, two)
      y = Concat<axis = 3>(changed_a, b)
      turned = Transpose<perm = [0, 1, 2, 3]>(y)
      max = ReduceMax<keepdims = 1>(turned)
      again = Add(a, max)
    })");
  check_text(
      R"(g (float[2,3,4,6] x) => (float[2,3,4,6] y)
    <int64[2] sizes = {3, 3}> {
      s = Sigmoid(x)
      a, b = Split<axis = 3>(s, sizes)
      y = Concat<axis = 3>(b, a)
    })");
}

TEST_CASE("rows of a table by indices that are inputs") {
  const Graph graph = graph_from(R"(g (int64[2,3] ids, int32[2] few, float[2,4,3] x)
      => (float[2,3,4] rows, float[2,3,2] columns, float[2,3,4] masked)
    <float[5,4] table = {0,1,2,3, 4,5,6,7, 8,9,10,11, 12,13,14,15, 16,17,18,19}, int64[1] last = {2}> {
      rows = Gather(table, ids)
      turned = Transpose<perm = [0, 2, 1]>(x)
      columns = Gather<axis = 2>(turned, few)
      known = Cast<to = 9>(ids)
      number = Cast<to = 1>(known)
      wide = Unsqueeze(number, last)
      masked = Mul(rows, wide)
    })");
  const Tensor x = noise_of({2, 4, 3}, 3);
  const std::vector<Tensor> inputs{Tensor::of<int64_t>({2, 3}, {0, 4, -1, -5, 2, 3}),
                                   Tensor::of<int32_t>({2}, {3, -4}), x};
  const NativeRun run = run_native(graph, inputs);
  CHECK(difference(graph, inputs, run, 1).largest == 0);
  CHECK(run.steps.find("fallback") == run.steps.end());
  for (const int64_t wrong : {int64_t{5}, int64_t{-6}, INT64_MAX, INT64_MIN})
    CHECK_THROWS_WITH_AS(
        run_native(graph, {Tensor::of<int64_t>({2, 3}, {0, 0, 0, 0, 0, wrong}), inputs[1], x}),
        doctest::Contains("out of range"), Error);
}

TEST_CASE("casts of integers") {
  const Graph graph = graph_from(R"(g (int64[5] a, bool[5] b, uint8[5] c, int8[5] d)
      => (int32[5] a32, bool[5] ab, float[5] af, int64[5] b64, float[5] bf, int32[5] c32, bool[5] db, int64[5] d64) {
      a32 = Cast<to = 6>(a)
      ab = Cast<to = 9>(a)
      af = Cast<to = 1>(a)
      b64 = Cast<to = 7>(b)
      bf = Cast<to = 1>(b)
      c32 = Cast<to = 6>(c)
      db = Cast<to = 9>(d)
      d64 = Cast<to = 7>(d)
    })");
  const std::vector<std::byte> truth{std::byte{1}, std::byte{0}, std::byte{1}, std::byte{1},
                                     std::byte{0}};
  const std::vector<Tensor> inputs{
      Tensor::of<int64_t>({5}, {0, -1, 7, int64_t{1} << 33, -(int64_t{1} << 40)}),
      Tensor::from_bytes(DType::kBool, {5}, truth), Tensor::of<uint8_t>({5}, {0, 1, 127, 128, 255}),
      Tensor::of<int8_t>({5}, {0, -1, 127, -128, 5})};
  const NativeRun run = run_native(graph, inputs);
  CHECK(difference(graph, inputs, run, 1).largest == 0);
  CHECK(run.steps.find("fallback") == run.steps.end());
}

TEST_CASE("truths: a mask of a transformer, and what chooses by one") {
  const Graph graph = graph_from(R"(g (int64[2,5] mask, float[2,3,5] x, bool[3,1] rows)
      => (float[2,3,5] y, bool[2,3,5] all, bool[3,5] any, float[2,3,5] bounded, bool[3,1] others,
          float[2,3] length, float[1,3,1] other)
    <float none = {0}, float far = {-3.4028235e38}, int64[1] one = {1}, int64[1] zero = {0},
     int64[2] flat = {0, 2}, bool[5] columns = {1, 0, 1, 1, 0}, int64[1] last = {-1}> {
      seen = Cast<to = 9>(mask)
      wide = Unsqueeze(seen, one)
      all = And(wide, rows)
      chosen = Where(all, none, far)
      y = Add(chosen, x)
      any = Or(rows, columns)
      others = Not(rows)
      above = Greater(x, none)
      both = And(above, all)
      kept = Not(both)
      bounded = Where(kept, far, x)
      length = ReduceL2<keepdims = 0>(x, last)
      other = ReduceL2<keepdims = 1>(x, flat)
    })",
                                 18);
  const auto truths = [](const Shape& shape, const std::vector<int>& values) {
    std::vector<std::byte> bytes;
    for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
    return Tensor::from_bytes(DType::kBool, shape, bytes);
  };
  const std::vector<Tensor> inputs{Tensor::of<int64_t>({2, 5}, {1, 1, 1, 0, 0, 7, -1, 0, 0, 1}),
                                   noise_of({2, 3, 5}, 3), truths({3, 1}, {1, 0, 1})};
  const NativeRun run = run_native(graph, inputs);
  CHECK(difference(graph, inputs, run, 1).largest <= 1e-6);
  CHECK(run.steps.find("fallback") == run.steps.end());
}

TEST_CASE("a table of integers with a scale a column") {
  const Graph graph = graph_from(R"(g (int64[2,3] ids) => (float[2,3,4] rows, float[2,3,4] others)
    <int8[5,4] table = {1, -2, 3, -128, 127, 6, -7, 8, 9, 10, 11, -12, 13, 14, 15, 16, 0, 0, 1, 2},
     uint8[5,4] positive = {1, 2, 3, 255, 127, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0, 1, 2},
     float[4] scales = {0.5, 0.01, 3, 0.125}, float[3] by_row = {1, 0.1, 0.3}, uint8[3] none = {0, 0, 0}> {
      picked = Gather(table, ids)
      rows = DequantizeLinear<axis = -1>(picked, scales)
      more = Gather(positive, ids)
      others = DequantizeLinear<axis = 1>(more, by_row, none)
    })");
  const std::vector<Tensor> inputs{Tensor::of<int64_t>({2, 3}, {4, 0, 1, 3, 2, 0})};
  const NativeRun run = run_native(graph, inputs);
  CHECK(difference(graph, inputs, run, 1).largest <= 1e-6);
  CHECK(run.steps.find("fallback") == run.steps.end());
}

TEST_CASE("integers that no QuantizeLinear made") {
  const Graph graph = graph_from(R"(g (uint8[1,3,5,5] image, int8[1,3,5,5] other, int64[4] ids)
      => (float[1,2,5,5] y, float[1,2,5,5] z, float[4,2] rows)
    <float s = {0.03}, uint8 zero = {120}, int8 signed_zero = {-7}, float w_scale = {0.02}, int8 w_zero = {0},
     int8[2,3,1,1] w = {5, -20, 100, 3, 77, -128}, uint8[3,2] table = {0, 128, 255, 7, 9, 130}> {
      x = DequantizeLinear(image, s, zero)
      weights = DequantizeLinear(w, w_scale, w_zero)
      y = Conv(x, weights)
      o = DequantizeLinear(other, s, signed_zero)
      z = Conv(o, weights)
      picked = Gather(table, ids)
      rows = DequantizeLinear(picked, s, zero)
    })");
  std::vector<uint8_t> pixels(75);
  std::vector<int8_t> signed_pixels(75);
  for (size_t i = 0; i < 75; ++i) pixels[i] = static_cast<uint8_t>(i * 37);
  for (size_t i = 0; i < 75; ++i) signed_pixels[i] = static_cast<int8_t>(i * 91);
  const std::vector<Tensor> inputs{Tensor::of({1, 3, 5, 5}, pixels),
                                   Tensor::of({1, 3, 5, 5}, signed_pixels),
                                   Tensor::of<int64_t>({4}, {2, 0, -1, 1})};
  const NativeRun run = run_native(graph, inputs);
  CHECK(difference(graph, inputs, run, 1).largest <= 1e-5);
  CHECK(run.steps.find("fallback") == run.steps.end());
  CHECK(run.steps.at("product") == 2);
}

TEST_CASE("an input of another type is refused") {
  const Graph graph = graph_from("g (float[2,3] x) => (float[2,3] y) { y = Relu(x) }");
  CHECK_THROWS_WITH_AS(run_native(graph, {Tensor::of<int32_t>({2, 3}, {1, 2, 3, 4, 5, 6})}),
                       doctest::Contains("tensor of float"), Error);
}

}  // namespace lathe
