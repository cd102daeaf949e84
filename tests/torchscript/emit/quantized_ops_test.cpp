#include <ATen/core/grad_mode.h>

#include "quantized_graph.h"
#include "run/runtime_value.h"
#include "torchscript/emit/quantized_engine_scope.h"
#include "torchscript/emit/quantized_nodes.h"
#include "torchscript/emit/trace_module.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::ints;
using test::Quantization;
using test::QuantizedGraph;

namespace {

/// What LibTorch's operators give for the graph, traced and run as a module.
std::vector<at::Tensor> run_quantized(const QuantizedGraph& built, const QuantizedPlan& plan) {
  const QuantizedEngineScope scope(plan.engine);
  GraphTracer tracer(built.graph, &plan);
  std::vector<RuntimeValue> values;
  std::vector<c10::IValue> arguments;
  for (const Tensor& input : built.inputs) {
    values.push_back(to_runtime(input));
    arguments.emplace_back(values.back().tensor);
  }
  const at::NoGradGuard no_gradients;
  const auto record = tracer.trace(values);
  const c10::IValue result = tracer.module_of(record).forward(arguments);
  if (result.isTensor()) return {result.toTensor()};
  std::vector<at::Tensor> outputs;
  for (const c10::IValue& element : result.toTupleRef().elements())
    outputs.push_back(element.toTensor());
  return outputs;
}

struct Distance {
  double steps = 0;  // the largest, in steps of the output's scale
  double share = 0;  // of elements that differ at all
};

Distance compare(const QuantizedGraph& built, const QuantizedPlan& plan, double scale) {
  const auto expected = Interpreter(built.graph).run_tensors(built.inputs);
  const auto got = run_quantized(built, plan);
  REQUIRE(got.size() == expected.size());
  Distance difference;
  for (size_t i = 0; i < got.size(); ++i) {
    const at::Tensor wanted = to_runtime(expected[i]).tensor;
    REQUIRE(got[i].sizes() == wanted.sizes());
    // The reference must have something to compare: not all saturated.
    REQUIRE(std::get<0>(at::_unique(wanted)).numel() > 4);
    const at::Tensor error = (got[i] - wanted).abs() / scale;
    difference.steps = std::max(difference.steps, error.max().item<double>());
    difference.share =
        std::max(difference.share, (error > 0.5).to(at::kDouble).mean().item<double>());
  }
  return difference;
}

constexpr QuantizedEngine kEngines[] = {QuantizedEngine::kOnednn, QuantizedEngine::kQnnpack};

struct Expected {
  bool onednn = true;  // the last group is there
  bool qnnpack = true;
  size_t before = 0;  // groups before it
  double share = 0.01;
  double steps = 1;
};

/// The last group is `op`, and everything agrees to one step, hardly anywhere not at all.
void check_group(const QuantizedGraph& built, QuantizedOp op, double scale,
                 const Expected& expected = {}) {
  for (const QuantizedEngine engine : kEngines) {
    const QuantizedPlan plan = plan_quantized_ops(built.graph, engine);
    CAPTURE(std::string(engine_name(engine)));
    CAPTURE(plan_text(built.graph, plan));
    if (engine == QuantizedEngine::kQnnpack ? expected.qnnpack : expected.onednn) {
      REQUIRE(plan.groups.size() == expected.before + 1);
      CHECK(plan.groups.back().op == op);
      CHECK(plan.in_float.empty());
    } else {
      CHECK(plan.groups.size() == expected.before);
      CHECK(plan.in_float.size() == 1);
    }
    const Distance difference = compare(built, plan, scale);
    CHECK(difference.steps < expected.steps + 0.01);
    CHECK(difference.share < expected.share);
  }
}

constexpr Quantization kOut{0.0407F, 120};

struct ConvCase {
  const char* what;
  Shape x, w;
  int64_t scales;
  Attributes attributes;
  Quantization in{0.0517F, 128};
  Quantization out = kOut;
  enum { kNone, kRelu, kRelu6 } activation = kNone;
  bool bias = true;
};

QuantizedGraph conv_graph(const ConvCase& c) {
  QuantizedGraph b;
  std::vector<ValueId> operands = {b.quantized_input(c.x, c.in), b.weight(c.w, c.scales)};
  if (c.bias) operands.push_back(b.bias(c.w[0], c.scales));
  ValueId y = b.op(OpKind::kConv, operands, c.attributes);
  if (c.activation == ConvCase::kRelu) y = b.relu(y);
  if (c.activation == ConvCase::kRelu6) y = b.clip(y, 0, 6);
  b.end({b.pair(y, c.out)});
  return b;
}

/// A quantized image; `last`: out of a convolution, which leaves it in channels-last order.
ValueId image(QuantizedGraph& b, const Shape& shape, const Quantization& q, bool last) {
  if (!last) return b.quantized_input(shape, q);
  const ValueId w = b.weight({shape[1], shape[1], 1, 1}, shape[1]);
  return b.pair(b.op(OpKind::kConv, {b.quantized_input(shape), w}), q);
}

Attributes grouped(int64_t group, Attributes attributes) {
  attributes.set("group", group);
  return attributes;
}

Attributes same_upper(Attributes attributes) {
  attributes.set("auto_pad", std::string("SAME_UPPER"));
  return attributes;
}

}  // namespace

TEST_CASE("convolutions become quantized::conv") {
  const Attributes padded = ints({{"pads", {1, 1, 1, 1}}});
  const Quantization from_zero{6.0F / 255, 0};
  const std::vector<ConvCase> cases = {
      {"plain", {2, 8, 9, 9}, {16, 8, 3, 3}, 16, padded},
      {"per tensor, no bias", {1, 8, 9, 9}, {16, 8, 3, 3}, 1, padded, {}, kOut, {}, false},
      {"int8 activations",
       {1, 8, 9, 9},
       {16, 8, 3, 3},
       16,
       padded,
       {0.0517F, 3, DType::kInt8},
       {0.0407F, -7, DType::kInt8}},
      {"strided",
       {1, 8, 9, 9},
       {16, 8, 3, 3},
       16,
       ints({{"pads", {1, 1, 1, 1}}, {"strides", {2, 2}}})},
      {"dilated", {1, 8, 9, 9}, {16, 8, 3, 3}, 16, ints({{"dilations", {2, 2}}})},
      {"depthwise", {1, 16, 9, 9}, {16, 1, 3, 3}, 16, grouped(16, padded)},
      {"asymmetric padding",
       {1, 8, 8, 8},
       {16, 8, 3, 3},
       16,
       ints({{"pads", {0, 1, 1, 2}}, {"strides", {2, 2}}}),
       {0.0517F, 90}},
      {"SAME_UPPER", {1, 8, 8, 8}, {16, 8, 3, 3}, 16, same_upper(ints({{"strides", {2, 2}}}))},
      {"relu by saturation",
       {1, 8, 9, 9},
       {16, 8, 3, 3},
       16,
       padded,
       {},
       {0.0211F, 0},
       ConvCase::kRelu},
      {"relu inside the range", {1, 8, 9, 9}, {16, 8, 3, 3}, 16, padded, {}, kOut, ConvCase::kRelu},
      {"relu6 by saturation",
       {1, 8, 9, 9},
       {16, 8, 3, 3},
       16,
       padded,
       {},
       from_zero,
       ConvCase::kRelu6},
      {"relu6 inside the range",
       {1, 8, 9, 9},
       {16, 8, 3, 3},
       16,
       padded,
       {},
       {0.0793F, 100},
       ConvCase::kRelu6},
      {"one axis", {2, 8, 30}, {16, 8, 3}, 16, ints({{"pads", {1, 1}}})},
  };
  for (const ConvCase& c : cases) {
    CAPTURE(std::string(c.what));
    check_group(conv_graph(c), QuantizedOp::kConv, c.out.scale);
  }
  const ConvCase volume{"three axes", {1, 4, 5, 6, 7}, {8, 4, 3, 3, 3}, 8, {}};
  check_group(conv_graph(volume), QuantizedOp::kConv, volume.out.scale);
}

TEST_CASE("groups of several channels stay in float with oneDNN") {
  const ConvCase c{"", {1, 32, 9, 9}, {8, 8, 1, 1}, 8, grouped(4, {}), {0.0517F, 77}};
  check_group(conv_graph(c), QuantizedOp::kConv, c.out.scale, {.onednn = false});
}

TEST_CASE("activations that saturation repeats are dropped, others kept") {
  const Attributes padded = ints({{"pads", {1, 1, 1, 1}}});
  const auto group_of = [&](Quantization out, decltype(ConvCase::activation) activation) {
    const QuantizedGraph built =
        conv_graph({"", {1, 8, 9, 9}, {16, 8, 3, 3}, 16, padded, {}, out, activation});
    return plan_quantized_ops(built.graph, QuantizedEngine::kOnednn).groups.at(0);
  };
  CHECK_FALSE(group_of({0.0211F, 0}, ConvCase::kRelu).relu);
  CHECK(group_of({0.0211F, 3}, ConvCase::kRelu).relu);
  CHECK_FALSE(group_of({0.0211F, 3}, ConvCase::kRelu).clamp);
  CHECK_FALSE(group_of({6.0F / 255, 0}, ConvCase::kRelu6).clamp);
  REQUIRE(group_of({0.0517F, 0}, ConvCase::kRelu6).clamp);
  CHECK(group_of({0.0517F, 0}, ConvCase::kRelu6).clamp->high == 6);
}

TEST_CASE("uint8 weights around 128 are packed as int8") {
  QuantizedGraph b;
  const ValueId x = b.quantized_input({1, 8, 9, 9});
  const ValueId w = b.weight({16, 8, 3, 3}, 16, 0, DType::kUInt8, 128);
  b.end({b.pair(b.op(OpKind::kConv, {x, w}), kOut)});
  check_group(b, QuantizedOp::kConv, kOut.scale);
}

TEST_CASE("transposed convolutions become quantized::conv_transpose") {
  for (const bool rectified : {false, true})
    for (const int64_t extra : {0, 1})
      for (const int64_t channels : {6, 8}) {
        QuantizedGraph b;
        const ValueId x = b.quantized_input({1, 8, 5, 5});
        ValueId y = b.op(
            OpKind::kConvTranspose, {x, b.weight({8, channels, 3, 3}), b.bias(channels)},
            ints(
                {{"strides", {2, 2}}, {"pads", {1, 1, 1, 1}}, {"output_padding", {extra, extra}}}));
        if (rectified) y = b.relu(y);
        b.end({b.pair(y, kOut)});
        check_group(b, QuantizedOp::kConvTranspose, kOut.scale,
                    {.onednn = extra == 0 && channels == 8});
      }
}

TEST_CASE("Gemm and MatMul become quantized::linear") {
  const auto gemm = [](bool turned, bool rectified) {
    QuantizedGraph b;
    const ValueId x = b.quantized_input({5, 40});
    const ValueId w = turned ? b.weight({24, 40}, 24, 0) : b.weight({40, 24}, 24, 1);
    Attributes attributes;
    attributes.set("transB", int64_t{turned});
    ValueId y = b.op(OpKind::kGemm, {x, w, b.bias(24, 24)}, attributes);
    if (rectified) y = b.relu(y);
    b.end({b.pair(y, kOut)});
    return b;
  };
  for (const bool turned : {false, true})
    for (const bool rectified : {false, true})
      check_group(gemm(turned, rectified), QuantizedOp::kLinear, kOut.scale);
  for (const bool bias_first : {false, true}) {
    QuantizedGraph b;
    const ValueId x = b.quantized_input({2, 7, 40});
    const ValueId y = b.op(OpKind::kMatMul, {x, b.weight({40, 24}, 24, 1)});
    const ValueId bias = b.bias(24, 24);
    const ValueId sum = bias_first ? b.op(OpKind::kAdd, {bias, y}) : b.op(OpKind::kAdd, {y, bias});
    b.end({b.pair(sum, kOut)});
    check_group(b, QuantizedOp::kLinear, kOut.scale);
  }
}

TEST_CASE("sums and products become quantized::add and mul") {
  const Shape full = {2, 8, 5, 5};
  const Quantization out{0.0973F, 100};
  const auto check_one = [&](OpKind kind, const Shape& other, bool swapped, bool rectified,
                             bool last) {
    QuantizedGraph b;
    const ValueId x = image(b, full, {0.0517F, 110}, last);
    const ValueId y = b.quantized_input(other, {0.0313F, 140});
    ValueId z = swapped ? b.op(kind, {y, x}) : b.op(kind, {x, y});
    if (rectified) z = b.relu(z);
    b.end({b.pair(z, out)});
    CAPTURE(shape_text(other));
    check_group(b, kind == OpKind::kAdd ? QuantizedOp::kAdd : QuantizedOp::kMul, out.scale,
                {.qnnpack = other == full, .before = last});
  };
  for (const OpKind kind : {OpKind::kAdd, OpKind::kMul})
    for (const Shape& other : {full, Shape{2, 8, 1, 1}, Shape{5}})
      for (const bool swapped : {false, true})
        for (const bool rectified : {false, true})
          for (const bool last : {false, true}) check_one(kind, other, swapped, rectified, last);
}

TEST_CASE("concatenations of different scales become quantized::cat") {
  for (const int64_t axis : {1, -1})
    for (const bool last : {false, true}) {
      QuantizedGraph b;
      Attributes attributes;
      attributes.set("axis", axis);
      const ValueId x = image(b, {2, 8, 5, 5}, {0.0517F, 110}, last);
      const ValueId y = image(b, {2, 8, 5, 5}, {0.0313F, 140}, last);
      b.end({b.pair(b.op(OpKind::kConcat, {x, y}, attributes), kOut)});
      check_group(b, QuantizedOp::kConcat, kOut.scale, {.before = last ? size_t{2} : size_t{0}});
    }
}

TEST_CASE("activation functions between quantized values") {
  const auto check_one = [](OpKind kind, QuantizedOp op, Quantization out) {
    for (const bool last : {false, true}) {
      QuantizedGraph b;
      Attributes attributes;
      if (kind == OpKind::kLeakyRelu) attributes.set("alpha", 0.2F);
      const ValueId x = image(b, {2, 8, 5, 7}, {}, last);
      const ValueId y = kind == OpKind::kClip ? b.clip(x, -1, 3) : b.op(kind, {x}, attributes);
      b.end({b.pair(y, out)});
      CAPTURE(last);
      // One step of the convolution may be several of the sigmoid's.
      const bool sigmoid = op == QuantizedOp::kSigmoid;
      check_group(b, op, out.scale,
                  {.qnnpack = !sigmoid || out.zero_point == 0,
                   .before = last,
                   .steps = sigmoid && last ? 4.0 : 1.0});
    }
  };
  check_one(OpKind::kSigmoid, QuantizedOp::kSigmoid, {1.0F / 256, 0});
  check_one(OpKind::kSigmoid, QuantizedOp::kSigmoid, {0.0041F, 2});
  check_one(OpKind::kHardSwish, QuantizedOp::kHardSwish, {0.0313F, 20});
  check_one(OpKind::kLeakyRelu, QuantizedOp::kLeakyRelu, {0.0313F, 40});
  check_one(OpKind::kRelu, QuantizedOp::kClamp, {});
  check_one(OpKind::kClip, QuantizedOp::kClamp, {});
}

TEST_CASE("pooling and resizing keep the scale") {
  const auto check_one = [](OpKind kind, QuantizedOp op, Attributes attributes,
                            std::vector<float> factors = {}) {
    for (const bool last : {false, true}) {
      QuantizedGraph b;
      const Quantization q{0.0517F, 100};
      std::vector<ValueId> operands = {image(b, {2, 8, 8, 6}, q, last)};
      if (!factors.empty())
        operands.insert(operands.end(),
                        {ValueId{}, b.graph.add_constant("", Tensor::vector<float>(factors))});
      b.end({b.pair(b.op(kind, operands, attributes), q)});
      CAPTURE(last);
      // Averages of a few integers often lie half way.
      check_group(b, op, q.scale,
                  {.before = last, .share = op == QuantizedOp::kAveragePool ? 0.1 : 0.01});
    }
  };
  check_one(OpKind::kMaxPool, QuantizedOp::kMaxPool,
            ints({{"kernel_shape", {3, 3}}, {"strides", {2, 2}}, {"pads", {1, 1, 1, 1}}}));
  check_one(OpKind::kAveragePool, QuantizedOp::kAveragePool,
            ints({{"kernel_shape", {2, 2}}, {"strides", {2, 2}}}));
  check_one(OpKind::kGlobalAveragePool, QuantizedOp::kAveragePool, {});
  const auto resize = [](const char* coordinates, const char* nearest) {
    Attributes attributes;
    attributes.set("mode", std::string("nearest"));
    attributes.set("coordinate_transformation_mode", std::string(coordinates));
    attributes.set("nearest_mode", std::string(nearest));
    return attributes;
  };
  check_one(OpKind::kResize, QuantizedOp::kResize, resize("asymmetric", "floor"), {1, 1, 2, 3});
  check_one(OpKind::kResize, QuantizedOp::kResize, resize("half_pixel", "round_prefer_floor"),
            {1, 1, 4, 3});
  check_one(OpKind::kResize, QuantizedOp::kResize, resize("asymmetric", "round_prefer_floor"),
            {1, 1, 2, 2});
}

TEST_CASE("ops that move elements run on the integers") {
  const auto check_one = [](OpKind kind, const std::vector<Tensor>& others,
                            const Attributes& attributes) {
    for (const bool last : {false, true}) {
      QuantizedGraph b;
      std::vector<ValueId> operands = {image(b, {2, 8, 4, 6}, {}, last)};
      for (const Tensor& other : others) operands.push_back(b.graph.add_constant("", other));
      b.end({b.pair(b.op(kind, operands, attributes), {})});
      CAPTURE(std::string(op_name(kind)));
      check_group(b, QuantizedOp::kMove, 0.0517, {.before = last});
    }
  };
  const auto numbers = [](std::vector<int64_t> values) { return Tensor::vector<int64_t>(values); };
  check_one(OpKind::kFlatten, {}, {});
  check_one(OpKind::kIdentity, {}, {});
  check_one(OpKind::kReshape, {numbers({2, 4, 48})}, {});
  check_one(OpKind::kReshape, {numbers({0, -1})}, {});
  check_one(OpKind::kTranspose, {}, ints({{"perm", {0, 2, 3, 1}}}));
  check_one(OpKind::kUnsqueeze, {numbers({1})}, {});
  check_one(OpKind::kSlice, {numbers({1}), numbers({7}), numbers({1}), numbers({2})}, {});
  Attributes block;
  block.set("blocksize", int64_t{2});
  check_one(OpKind::kDepthToSpace, {}, block);
  check_one(OpKind::kSpaceToDepth, {}, block);
}

TEST_CASE("moved values reach quantized and other readers") {
  QuantizedGraph b;
  const ValueId x = b.quantized_input({1, 4, 6, 6});
  const ValueId turned = b.op(OpKind::kTranspose, {x}, ints({{"perm", {0, 1, 3, 2}}}));
  const ValueId y = b.pair(b.op(OpKind::kConv, {turned, b.weight({4, 4, 1, 1}, 4)}), kOut);
  b.end({b.pair(b.op(OpKind::kAdd, {y, b.pair(turned, {0.0913F, 90})}), kOut), turned,
         b.relu(turned)});
  for (const QuantizedEngine engine : kEngines) {
    const Distance difference = compare(b, plan_quantized_ops(b.graph, engine), kOut.scale);
    CHECK(difference.steps < 1.01);
    CHECK(difference.share < 0.02);
  }
}

TEST_CASE("the engine is put back") {
  const at::QEngine before = at::globalContext().qEngine();
  {
    const QuantizedEngineScope scope(QuantizedEngine::kQnnpack);
    CHECK((at::globalContext().qEngine() == at::kQNNPACK));
  }
  CHECK((at::globalContext().qEngine() == before));
}

}  // namespace lathe
