// Random recurrent networks and dynamically quantized products beside the interpreter.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include "ir/seeded_random.h"
#include "native_run.h"
#include "quantized_graph.h"
#include "run/threads.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::difference;
using test::NativeRun;
using test::run_native;

int64_t between(SeededRandom& random, int64_t least, int64_t greatest) {
  return least + static_cast<int64_t>(random.next() % static_cast<uint64_t>(greatest - least + 1));
}

Tensor noise(SeededRandom& random, const Shape& shape, double scale) {
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (float& x : values) x = static_cast<float>(scale * random.normal());
  return Tensor::of<float>(shape, values);
}

Tensor bytes(SeededRandom& random, const Shape& shape, DType dtype) {
  if (dtype == DType::kInt8) {
    std::vector<int8_t> values(static_cast<size_t>(element_count(shape)));
    for (int8_t& x : values) x = static_cast<int8_t>(random.next());
    return Tensor::of<int8_t>(shape, values);
  }
  std::vector<uint8_t> values(static_cast<size_t>(element_count(shape)));
  for (uint8_t& x : values) x = static_cast<uint8_t>(random.next());
  return Tensor::of<uint8_t>(shape, values);
}

/// A graph while it is made, and its inputs.
struct Built {
  Graph graph;
  std::vector<Tensor> inputs;
  std::string text;

  ValueId input(Tensor tensor) {
    const ValueId id = graph.add_input("", tensor_type(tensor.dtype(), dims_of(tensor.shape())));
    inputs.push_back(std::move(tensor));
    return id;
  }
  ValueId constant(Tensor tensor) { return graph.add_constant("", std::move(tensor)); }
};

struct Sizes {
  int64_t time, batch, inputs, hidden, directions;
  bool batch_first;
};

Sizes random_sizes(SeededRandom& random) {
  return {between(random, 1, 9),  between(random, 1, 6), between(random, 1, 20),
          between(random, 1, 40), between(random, 1, 2), random.next() % 3 == 0};
}

/// The state's shape as an input.
Shape state_shape(const Sizes& s) {
  return s.batch_first ? Shape{s.batch, s.directions, s.hidden}
                       : Shape{s.directions, s.batch, s.hidden};
}

void set_activations(SeededRandom& random, Attributes& attributes, int64_t functions,
                     int64_t directions, std::string& text) {
  // A GRU whose update gate is negative amplifies what is rounded.
  constexpr const char* kBounded[] = {"Sigmoid", "HardSigmoid", "Tanh", "Softsign", "ScaledTanh"};
  const uint64_t gates = functions == 2 ? 2 : 5;
  constexpr const char* kAny[] = {"Relu",     "Affine",      "LeakyRelu", "ThresholdedRelu", "Elu",
                                  "Softplus", "HardSigmoid", "tanh",      "Softsign"};
  std::vector<std::string> names;
  for (int64_t i = 0; i < functions * directions; ++i)
    names.emplace_back(i % functions == 0 ? kBounded[random.next() % gates]
                                          : kAny[random.next() % 9]);
  for (const std::string& name : names) text += " " + name;
  attributes.set("activations", names);
  if (random.next() % 2 == 0)
    attributes.set("activation_alpha", std::vector<float>(names.size(), 0.3F));
}

/// Inputs 4 to 7 of a recurrent node: lengths, states, peepholes.
void add_optional(SeededRandom& random, Built& built, Node& node, const Sizes& s, bool lstm) {
  ValueId lengths;
  if (random.next() % 3 == 0) {
    std::vector<int32_t> values;
    for (int64_t b = 0; b < s.batch; ++b)
      values.push_back(static_cast<int32_t>(between(random, 0, s.time)));
    const Tensor tensor = Tensor::vector<int32_t>(values);
    lengths = random.next() % 2 == 0 ? built.input(tensor) : built.constant(tensor);
  }
  const auto state = [&] {
    switch (random.next() % 4) {
      case 0: return built.input(noise(random, state_shape(s), 0.5));
      case 1: return built.constant(noise(random, state_shape(s), 0.5));
      case 2: return built.constant(noise(random, state_shape(s), 0));
      default: return ValueId{};
    }
  };
  node.inputs.push_back(lengths);
  node.inputs.push_back(state());
  if (!lstm) return;
  node.inputs.push_back(state());
  node.inputs.push_back(random.next() % 3 == 0
                            ? built.constant(noise(random, {s.directions, 3 * s.hidden}, 0.3))
                            : ValueId{});
}

void set_directions(SeededRandom& random, Attributes& attributes, const Sizes& s) {
  if (s.directions == 2)
    attributes.set("direction", std::string("bidirectional"));
  else if (random.next() % 2 == 0)
    attributes.set("direction", std::string(random.next() % 2 == 0 ? "reverse" : "forward"));
}

/// Some of the node's outputs, followed by an op as graphs have it.
void finish(SeededRandom& random, Built& built, Node node, size_t most_outputs) {
  std::vector<ValueId> outputs;
  for (size_t i = 0; i < most_outputs; ++i)
    node.outputs.push_back(random.next() % 4 == 0 && i + 1 < most_outputs
                               ? ValueId{}
                               : built.graph.add_value(fmt::format("out{}", i)));
  const std::vector<ValueId> made = node.outputs;
  built.graph.add_node(std::move(node));
  for (const ValueId id : made)
    if (id.valid())
      outputs.push_back(random.next() % 2 == 0 ? id
                                               : built.graph.add_op(OpKind::kTranspose, {id}, ""));
  built.graph.set_outputs(outputs);
  infer_shapes(built.graph);
}

Built random_recurrent(SeededRandom& random) {
  constexpr OpKind kKinds[] = {OpKind::kLSTM, OpKind::kGRU, OpKind::kRNN};
  Built built;
  const Sizes s = random_sizes(random);
  Node node;
  node.kind = kKinds[random.next() % 3];
  const bool lstm = node.kind == OpKind::kLSTM;
  const int64_t gates = lstm ? 4 : node.kind == OpKind::kGRU ? 3 : 1;
  built.text = fmt::format("{} time {} batch {} inputs {} hidden {} directions {} layout {}",
                           op_name(node.kind), s.time, s.batch, s.inputs, s.hidden, s.directions,
                           s.batch_first);
  const Shape x =
      s.batch_first ? Shape{s.batch, s.time, s.inputs} : Shape{s.time, s.batch, s.inputs};
  const ValueId input = built.input(noise(random, x, 1));
  const double scale = 1 / std::sqrt(static_cast<double>(s.hidden));
  // As quantizers store weights, too.
  const auto weight = [&](int64_t depth) {
    const Shape shape{s.directions, gates * s.hidden, depth};
    if (random.next() % 3 != 0) return built.constant(noise(random, shape, scale));
    const Tensor step = Tensor::scalar<float>(static_cast<float>(scale / 90));
    return built.graph.add_op(
        OpKind::kDequantizeLinear,
        {built.constant(bytes(random, shape, DType::kInt8)), built.constant(step)}, "");
  };
  const ValueId weights = weight(s.inputs);
  const ValueId feedback = weight(s.hidden);
  const ValueId bias =
      random.next() % 3 == 0
          ? ValueId{}
          : built.constant(noise(random, {s.directions, 2 * gates * s.hidden}, 0.3));
  node.inputs = {input, weights, feedback, bias};
  add_optional(random, built, node, s, lstm);
  Attributes& attributes = node.attributes;
  attributes.set("hidden_size", s.hidden);
  if (s.batch_first) attributes.set("layout", int64_t{1});
  set_directions(random, attributes, s);
  if (random.next() % 3 == 0) attributes.set("clip", 0.5F);
  if (lstm && random.next() % 3 == 0) attributes.set("input_forget", int64_t{1});
  if (node.kind == OpKind::kGRU)
    attributes.set("linear_before_reset", static_cast<int64_t>(random.next() % 2));
  if (random.next() % 3 == 0)
    set_activations(random, attributes,
                    lstm                        ? 3
                    : node.kind == OpKind::kGRU ? 2
                                                : 1,
                    s.directions, built.text);
  finish(random, built, std::move(node), lstm ? 3 : 2);
  return built;
}

Built random_dynamic_lstm(SeededRandom& random, int64_t time) {
  Built built;
  Sizes s = random_sizes(random);
  s.time = time;
  s.batch_first = false;
  Node node;
  node.kind = OpKind::kOpaque;
  node.opaque_domain = "com.microsoft";
  node.opaque_type = "DynamicQuantizeLSTM";
  const int64_t rows = 4 * s.hidden;
  node.inputs = {built.input(noise(random, {s.time, s.batch, s.inputs}, 1)),
                 built.constant(bytes(random, {s.directions, s.inputs, rows}, DType::kInt8)),
                 built.constant(bytes(random, {s.directions, s.hidden, rows}, DType::kInt8)),
                 built.constant(noise(random, {s.directions, 2 * rows}, 0.3))};
  add_optional(random, built, node, s, true);
  for (int i = 0; i < 2; ++i) {
    const bool by_row = random.next() % 2 == 0;
    const Shape shape = by_row ? Shape{s.directions, rows} : Shape{s.directions};
    std::vector<float> scales;
    for (int64_t k = 0; k < element_count(shape); ++k)
      scales.push_back(0.0005F * static_cast<float>(between(random, 1, 6)));
    node.inputs.push_back(built.constant(Tensor::of<float>(shape, scales)));
    node.inputs.push_back(built.constant(Tensor::of<int8_t>(
        shape, std::vector<int8_t>(static_cast<size_t>(element_count(shape)), 0))));
  }
  node.attributes.set("hidden_size", s.hidden);
  set_directions(random, node.attributes, s);
  built.text = fmt::format("batch {} inputs {} hidden {}", s.batch, s.inputs, s.hidden);
  finish(random, built, std::move(node), 3);
  return built;
}

/// DynamicQuantizeLinear -> MatMulInteger -> Cast -> Mul -> Add, or a part of it.
Built random_dynamic_product(SeededRandom& random) {
  Built built;
  Graph& g = built.graph;
  const int64_t depth = between(random, 1, 70);
  const int64_t columns = between(random, 1, 70);
  Shape shape{between(random, 1, 12), depth};
  if (random.next() % 2 == 0) shape.insert(shape.begin(), between(random, 1, 4));
  const ValueId x = built.input(noise(random, shape, 2));
  Node quantize;
  quantize.kind = OpKind::kDynamicQuantizeLinear;
  quantize.inputs = {x};
  quantize.outputs = {g.add_value("q"), g.add_value("s"), g.add_value("z")};
  const std::vector<ValueId> quantized = quantize.outputs;
  g.add_node(quantize);
  const DType dtype = random.next() % 2 == 0 ? DType::kInt8 : DType::kUInt8;
  std::vector<ValueId> operands{quantized[0],
                                built.constant(bytes(random, {depth, columns}, dtype))};
  if (random.next() % 4 != 0) operands.push_back(quantized[2]);
  if (operands.size() == 3 && random.next() % 2 == 0)
    operands.push_back(
        built.constant(bytes(random, random.next() % 2 == 0 ? Shape{columns} : Shape{}, dtype)));
  const ValueId sums = g.add_op(OpKind::kMatMulInteger, operands, "");
  const uint64_t form = random.next() % 8;
  built.text = fmt::format("depth {} columns {} form {}", depth, columns, form);
  std::vector<ValueId> outputs;
  if (form == 0) outputs.push_back(sums);
  Attributes to_float;
  to_float.set("to", int64_t{1});
  const ValueId floats = g.add_op(OpKind::kCast, {sums}, "", to_float);
  const Shape row = random.next() % 2 == 0 ? Shape{columns} : Shape{};
  const ValueId factor = built.constant(noise(random, row, 0.1));
  const ValueId scale = form == 1   ? built.input(noise(random, {columns}, 0.1))
                        : form == 2 ? quantized[1]
                        : form == 3 ? factor
                        : form == 4 ? g.add_op(OpKind::kMul, {factor, quantized[1]}, "")
                                    : g.add_op(OpKind::kMul, {quantized[1], factor}, "");
  const ValueId scaled = form % 2 == 0 ? g.add_op(OpKind::kMul, {floats, scale}, "")
                                       : g.add_op(OpKind::kMul, {scale, floats}, "");
  if (form == 5) outputs.push_back(scale);
  if (form == 6) outputs.insert(outputs.end(), quantized.begin(), quantized.end());
  const ValueId bias = built.constant(noise(random, {columns}, 1));
  outputs.push_back(random.next() % 3 == 0 ? scaled : g.add_op(OpKind::kAdd, {scaled, bias}, ""));
  g.set_outputs(outputs);
  infer_shapes(g);
  return built;
}

bool has_fallback(const NativeRun& run) { return run.steps.count("fallback") != 0; }

/// The largest number of all outputs, at least 1: what differences are measured by.
double magnitude(const NativeRun& run) {
  double most = 1;
  for (const at::Tensor& output : run.outputs)
    if (output.numel() > 0)
      most = std::max(most, output.to(at::kDouble).abs().max().item<double>());
  return most;
}

/// The same bytes with any number of threads.
void check_threads(const Built& built, const NativeRun& run) {
  for (const int threads : {2, 3}) {
    set_thread_count(threads);
    const NativeRun other = run_native(built.graph, built.inputs);
    for (size_t i = 0; i < run.outputs.size(); ++i)
      CHECK(at::equal(run.outputs[i], other.outputs[i]));
  }
  set_thread_count(1);
}

}  // namespace

TEST_CASE("random recurrent networks agree with the interpreter") {
  constexpr uint64_t kSeed = 31;
  for (uint64_t stream = 0; stream < 120; ++stream) {
    SeededRandom random(kSeed, stream);
    const Built built = random_recurrent(random);
    INFO("seed " << kSeed << " stream " << stream << ": " << built.text);
    set_thread_count(1);
    const NativeRun run = run_native(built.graph, built.inputs);
    CHECK_FALSE(has_fallback(run));
    CHECK(difference(built.graph, built.inputs, run, magnitude(run)).largest <= 1e-5);
    check_threads(built, run);
  }
}

TEST_CASE("random integer LSTMs agree with the interpreter") {
  constexpr uint64_t kSeed = 37;
  for (uint64_t stream = 0; stream < 60; ++stream) {
    SeededRandom random(kSeed, stream);
    // A state near the middle of two steps is rounded to either; what follows differs then.
    const int64_t time = stream % 2 == 0 ? 1 : between(random, 2, 9);
    const Built built = random_dynamic_lstm(random, time);
    INFO("seed " << kSeed << " stream " << stream << ": " << built.text);
    set_thread_count(1);
    const NativeRun run = run_native(built.graph, built.inputs);
    CHECK_FALSE(has_fallback(run));
    CHECK(difference(built.graph, built.inputs, run, 1).largest <= (time == 1 ? 1e-5 : 1e-2));
    check_threads(built, run);
  }
}

TEST_CASE("dynamically quantized products are the interpreter's to the last bit") {
  constexpr uint64_t kSeed = 41;
  for (uint64_t stream = 0; stream < 80; ++stream) {
    SeededRandom random(kSeed, stream);
    const Built built = random_dynamic_product(random);
    INFO("seed " << kSeed << " stream " << stream << ": " << built.text);
    set_thread_count(1);
    const NativeRun run = run_native(built.graph, built.inputs);
    CHECK_FALSE(has_fallback(run));
    CHECK(difference(built.graph, built.inputs, run, 1).largest == 0);
    check_threads(built, run);
  }
}

TEST_CASE("a dynamic product is one step") {
  SeededRandom random(43, 0);
  Built built;
  Graph& g = built.graph;
  Node quantize;
  quantize.kind = OpKind::kDynamicQuantizeLinear;
  quantize.inputs = {built.input(noise(random, {3, 8}, 1))};
  quantize.outputs = {g.add_value("q"), g.add_value("s"), g.add_value("z")};
  const std::vector<ValueId> q = quantize.outputs;
  g.add_node(quantize);
  const ValueId scale = g.add_op(OpKind::kMul, {q[1], built.constant(noise(random, {5}, 0.1))}, "");
  const ValueId weights = built.constant(bytes(random, {8, 5}, DType::kInt8));
  const ValueId sums = g.add_op(OpKind::kMatMulInteger, {q[0], weights, q[2]}, "");
  Attributes to_float;
  to_float.set("to", int64_t{1});
  const ValueId floats = g.add_op(OpKind::kCast, {sums}, "", to_float);
  g.set_outputs({g.add_op(
      OpKind::kAdd,
      {g.add_op(OpKind::kMul, {floats, scale}, ""), built.constant(noise(random, {5}, 1))}, "")});
  infer_shapes(g);
  const NativeRun run = run_native(g, built.inputs);
  CHECK(run.steps == std::map<std::string, int>{{"dynamic_quantize", 1}, {"integer_matmul", 1}});
}

TEST_CASE("ONNX Runtime's fused dynamic products agree with the interpreter") {
  constexpr uint64_t kSeed = 53;
  for (uint64_t stream = 0; stream < 24; ++stream) {
    SeededRandom random(kSeed, stream);
    INFO("seed " << kSeed << " stream " << stream);
    Built built;
    Graph& g = built.graph;
    const Shape of_scale = stream % 2 == 0 ? Shape{} : Shape{5};
    std::vector<float> scales(static_cast<size_t>(element_count(of_scale)));
    for (float& scale : scales) scale = 0.01F * static_cast<float>(between(random, 1, 9));
    const ValueId scale = built.constant(Tensor::of<float>(of_scale, scales));
    const ValueId weights = built.constant(bytes(random, {8, 5}, DType::kInt8));
    const ValueId bias = stream % 3 == 0 ? ValueId{} : built.constant(noise(random, {5}, 1));
    const ValueId x = built.input(noise(random, {3, 8}, 1));
    if (stream % 4 < 2) {
      g.set_outputs(
          {g.add_op(OpKind::kDynamicQuantizeMatMul, {x, weights, scale, ValueId{}, bias}, "")});
    } else {
      Node quantize;
      quantize.kind = OpKind::kDynamicQuantizeLinear;
      quantize.inputs = {x};
      quantize.outputs = {g.add_value("q"), g.add_value("s"), g.add_value("z")};
      const std::vector<ValueId> q = quantize.outputs;
      g.add_node(quantize);
      g.set_outputs({g.add_op(OpKind::kMatMulIntegerToFloat,
                              {q[0], weights, q[1], scale, q[2], ValueId{}, bias}, "")});
    }
    infer_shapes(g);
    const NativeRun run = run_native(g, built.inputs);
    CHECK_FALSE(has_fallback(run));
    CHECK(difference(g, built.inputs, run, magnitude(run)).largest <= 1e-6);
    check_threads(built, run);
  }
}

TEST_CASE("repeated arrays") {
  for (const std::vector<int64_t>& repeats :
       {std::vector<int64_t>{4, 1, 1}, {1, 3, 1}, {1, 1, 2}, {2, 3, 2}, {1, 1, 1}}) {
    SeededRandom random(47, 0);
    Built built;
    const ValueId x = built.input(noise(random, {2, 1, 3}, 1));
    const ValueId y = built.graph.add_op(OpKind::kTanh, {x}, "");
    built.graph.set_outputs({built.graph.add_op(
        OpKind::kTile, {y, built.constant(Tensor::vector<int64_t>(repeats))}, "")});
    infer_shapes(built.graph);
    const NativeRun run = run_native(built.graph, built.inputs);
    CHECK_FALSE(has_fallback(run));
    CHECK(difference(built.graph, built.inputs, run, 1).largest <= 1e-6);
  }
}

}  // namespace lathe
