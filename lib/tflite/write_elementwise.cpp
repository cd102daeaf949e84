// Arithmetic with broadcasting, and functions of one element.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/error.h"
#include "ops/op_row.h"
#include "tflite/constants.h"
#include "tflite/node_writers.h"

namespace lathe {
namespace {

constexpr int kPlainVersion = 1;
constexpr int kIntegerVersion = 2;

// The order that all operands can be read in.
Order common_order(const GraphWriter& writer, const Node& node) {
  const size_t rank = writer.shape(node.output(0)).size();
  for (const ValueId input : node.inputs)
    if (!writer.is_constant(input) && writer.shape(input).size() != rank) return Order::kPlain;
  return writer.order_of(node.inputs);
}

template <class Options>
void add_with_activation(GraphWriter& writer, tfl::Operation operation, const Ending& ending,
                         std::vector<TensorIndex> inputs, TensorIndex made) {
  Options options;
  options.activation = ending.activation;
  writer.file.add_operator(operation, ending.params ? kIntegerVersion : kPlainVersion,
                           std::move(inputs), {made}, std::move(options));
}

void write_arithmetic(GraphWriter& writer, const Node& node) {
  const size_t rank = writer.shape(node.output(0)).size();
  const Order order = common_order(writer, node);
  if (node.inputs.size() != 2) throw no_tflite_form("it takes two operands there");
  std::optional<Ending> quantized;
  if (node.kind != OpKind::kDiv && writer.params(node.input(0)) && writer.params(node.input(1)))
    quantized = writer.ending(node.output(0), true);
  if (!quantized) writer.note_floats(node);
  const Ending ending = quantized ? *quantized : *writer.ending(node.output(0), false);
  std::vector<TensorIndex> inputs;
  for (const ValueId input : node.inputs)
    inputs.push_back(writer.operand(input, order, rank, quantized.has_value()));
  const TensorIndex made = writer.open(ending, order);
  switch (node.kind) {
    case OpKind::kAdd:
    case OpKind::kSum:
      add_with_activation<tfl::AddOptionsT>(writer, tfl::Operation::ADD, ending, inputs, made);
      break;
    case OpKind::kSub:
      add_with_activation<tfl::SubOptionsT>(writer, tfl::Operation::SUB, ending, inputs, made);
      break;
    case OpKind::kMul:
      add_with_activation<tfl::MulOptionsT>(writer, tfl::Operation::MUL, ending, inputs, made);
      break;
    default:
      add_with_activation<tfl::DivOptionsT>(writer, tfl::Operation::DIV, ending, inputs, made);
  }
  writer.close(ending, order, made);
}

// In real numbers, as they have no activation and no scale of their own.
void write_choice(GraphWriter& writer, const Node& node) {
  const size_t rank = writer.shape(node.output(0)).size();
  const Order order = common_order(writer, node);
  if (node.inputs.size() != 2) throw no_tflite_form("it takes two operands there");
  writer.note_floats(node);
  const TensorIndex made = writer.make(node.output(0), order, {});
  writer.file.add_operator(node.kind == OpKind::kMax   ? tfl::Operation::MAXIMUM
                           : node.kind == OpKind::kMin ? tfl::Operation::MINIMUM
                                                       : tfl::Operation::POW,
                           kPlainVersion,
                           {writer.operand(node.input(0), order, rank, false),
                            writer.operand(node.input(1), order, rank, false)},
                           {made});
  writer.hold_real(node.output(0), order, made);
}

// Of integers that have their own scale at both ends.
struct Function {
  OpKind kind;
  tfl::Operation operation;
  int integer_version;                  // 0: of real numbers only
  std::optional<ScaleZeroPoint> fixed;  // the only parameters of its integers
};

constexpr Function kFunctions[] = {
    {OpKind::kRelu, tfl::Operation::RELU, 2, {}},
    {OpKind::kSigmoid, tfl::Operation::LOGISTIC, 2, ScaleZeroPoint{1.0F / 256, -128}},
    {OpKind::kTanh, tfl::Operation::TANH, 2, ScaleZeroPoint{1.0F / 128, 0}},
    {OpKind::kHardSwish, tfl::Operation::HARD_SWISH, 1, {}},
    {OpKind::kLeakyRelu, tfl::Operation::LEAKY_RELU, 2, {}},
    {OpKind::kGelu, tfl::Operation::GELU, 2, {}},
    {OpKind::kElu, tfl::Operation::ELU, 0, {}},
    {OpKind::kExp, tfl::Operation::EXP, 0, {}},
    {OpKind::kLog, tfl::Operation::LOG, 0, {}},
    {OpKind::kSqrt, tfl::Operation::SQRT, 0, {}},
    {OpKind::kAbs, tfl::Operation::ABS, 0, {}},
    {OpKind::kNeg, tfl::Operation::NEG, 0, {}},
    {OpKind::kFloor, tfl::Operation::FLOOR, 0, {}},
    {OpKind::kCeil, tfl::Operation::CEIL, 0, {}},
    {OpKind::kRound, tfl::Operation::ROUND, 0, {}},
    {OpKind::kSin, tfl::Operation::SIN, 0, {}},
    {OpKind::kCos, tfl::Operation::COS, 0, {}},
};

void add_function(GraphWriter& writer, const Node& node, const Function& function, int version,
                  TensorIndex input, TensorIndex made) {
  if (function.kind == OpKind::kLeakyRelu) {
    tfl::LeakyReluOptionsT options;
    options.alpha = node.attributes.float_or("alpha", 0.01F);
    writer.file.add_operator(function.operation, version, {input}, {made}, std::move(options));
  } else if (function.kind == OpKind::kGelu) {
    tfl::GeluOptionsT options;
    options.approximate = node.attributes.string_or("approximate", "none") == "tanh";
    writer.file.add_operator(function.operation, version, {input}, {made}, std::move(options));
  } else {
    writer.file.add_operator(function.operation, version, {input}, {made});
  }
}

// The QuantizeLinear that alone reads what a function makes, with nothing between.
std::optional<Ending> plain_ending(const GraphWriter& writer, const Node& node) {
  auto ending = writer.params(node.input(0)) ? writer.ending(node.output(0), true) : std::nullopt;
  if (ending && ending->merged.size() != 1) ending.reset();
  return ending;
}

void write_function(GraphWriter& writer, const Node& node) {
  const Function& function =
      *std::ranges::find(kFunctions, node.kind, [](const Function& f) { return f.kind; });
  if (node.kind == OpKind::kElu && node.attributes.float_or("alpha", 1) != 1)
    throw no_tflite_form("an Elu whose alpha is not 1");
  const Order order = writer.order_of({node.input(0)});
  std::optional<Ending> ending;
  if (function.integer_version > 0) ending = plain_ending(writer, node);
  if (!ending) {
    writer.note_floats(node);
    const TensorIndex made = writer.make(node.output(0), order, {});
    add_function(writer, node, function, kPlainVersion, writer.real(node.input(0), order), made);
    writer.hold_real(node.output(0), order, made);
    return;
  }
  const TensorIndex input = writer.integers(node.input(0), order);
  if (function.fixed) {
    const TensorIndex made = writer.make(node.output(0), order, function.fixed);
    add_function(writer, node, function, function.integer_version, input, made);
    writer.hold_integers(node.output(0), order, *function.fixed, made);
    return;
  }
  const TensorIndex made = writer.open(*ending, order);
  add_function(writer, node, function, function.integer_version, input, made);
  writer.close(*ending, order, made);
}

void write_prelu(GraphWriter& writer, const Node& node) {
  const Order order = writer.order_of({node.input(0)});
  const size_t rank = writer.shape(node.input(0)).size();
  auto ending = plain_ending(writer, node);
  if (ending && !writer.params(node.input(1))) ending.reset();
  if (!ending) writer.note_floats(node);
  const bool integers = ending.has_value();
  const Ending end =
      integers ? *ending : Ending{node.output(0)};
  const TensorIndex input =
      integers ? writer.integers(node.input(0), order) : writer.real(node.input(0), order);
  const TensorIndex slope = writer.operand(node.input(1), order, rank, integers);
  const TensorIndex made = writer.open(end, order);
  writer.file.add_operator(tfl::Operation::PRELU, kPlainVersion, {input, slope}, {made});
  writer.close(end, order, made);
}

TensorIndex scalar(GraphWriter& writer, float value) {
  return writer.file.add_constant("scalar", Tensor::scalar(value));
}

TensorIndex like(GraphWriter& writer, TensorIndex tensor, const std::string& name) {
  return writer.file.add_like(tensor, writer.file.shape(tensor), name);
}

// Bounds that no activation expresses, or of integers whose scale stays.
void write_clip(GraphWriter& writer, const Node& node) {
  const auto bounds = clamp_of(writer.graph, node);
  if (!bounds) throw no_tflite_form("its bounds must be constants");
  const Order order = writer.order_of({node.input(0)});
  if (activation_of(*bounds) == tfl::Activation::RELU6)
    if (const auto ending = plain_ending(writer, node)) {
      const TensorIndex made = writer.open(*ending, order);
      writer.file.add_operator(tfl::Operation::RELU6, kIntegerVersion,
                               {writer.integers(node.input(0), order)}, {made});
      writer.close(*ending, order, made);
      return;
    }
  writer.note_floats(node);
  TensorIndex value = writer.real(node.input(0), order);
  const auto apply = [&](tfl::Operation operation, std::vector<TensorIndex> inputs) {
    const TensorIndex made = writer.make(node.output(0), order, {});
    writer.file.add_operator(operation, kPlainVersion, std::move(inputs), {made});
    value = made;
  };
  if (activation_of(*bounds) == tfl::Activation::RELU6) {
    apply(tfl::Operation::RELU6, {value});
  } else {
    // LiteRT's XNNPACK gives garbage for infinite operands.
    if (std::isfinite(bounds->low))
      apply(tfl::Operation::MAXIMUM, {value, scalar(writer, static_cast<float>(bounds->low))});
    if (std::isfinite(bounds->high))
      apply(tfl::Operation::MINIMUM, {value, scalar(writer, static_cast<float>(bounds->high))});
  }
  writer.hold_real(node.output(0), order, value);
}

// x * sigmoid(x): two operators.
void write_swish(GraphWriter& writer, const Node& node) {
  const float alpha = node.attributes.float_or("alpha", 1);
  if (alpha != 1) throw no_tflite_form("a swish whose alpha is not 1");
  const Order order = writer.order_of({node.input(0)});
  const auto quantized = plain_ending(writer, node);
  if (!quantized) writer.note_floats(node);
  const Ending ending =
      quantized ? *quantized : Ending{node.output(0)};
  const TensorIndex x =
      quantized ? writer.integers(node.input(0), order) : writer.real(node.input(0), order);
  const auto params =
      quantized ? std::optional(ScaleZeroPoint{1.0F / 256, -128}) : std::nullopt;
  const TensorIndex gate = writer.make(node.output(0), order, params);
  writer.file.rename(gate, writer.name(node.output(0)) + "_gate");
  writer.file.add_operator(tfl::Operation::LOGISTIC, quantized ? kIntegerVersion : kPlainVersion,
                           {x}, {gate});
  const TensorIndex made = writer.open(ending, order);
  add_with_activation<tfl::MulOptionsT>(writer, tfl::Operation::MUL, ending, {x, gate}, made);
  writer.close(ending, order, made);
}

// min(max(alpha x + beta, 0), 1)
void write_hard_sigmoid(GraphWriter& writer, const Node& node) {
  const Order order = writer.order_of({node.input(0)});
  writer.note_floats(node);
  const TensorIndex x = writer.real(node.input(0), order);
  const TensorIndex scaled = like(writer, x, writer.name(node.output(0)) + "_scaled");
  const TensorIndex moved = like(writer, x, writer.name(node.output(0)) + "_moved");
  const TensorIndex made = writer.make(node.output(0), order, {});
  const Ending none{node.output(0)};
  Ending relu = none;
  relu.activation = tfl::Activation::RELU;
  add_with_activation<tfl::MulOptionsT>(
      writer, tfl::Operation::MUL, none,
      {x, scalar(writer, node.attributes.float_or("alpha", 0.2F))}, scaled);
  add_with_activation<tfl::AddOptionsT>(
      writer, tfl::Operation::ADD, relu,
      {scaled, scalar(writer, node.attributes.float_or("beta", 0.5F))}, moved);
  writer.file.add_operator(tfl::Operation::MINIMUM, kPlainVersion, {moved, scalar(writer, 1)},
                           {made});
  writer.hold_real(node.output(0), order, made);
}

void write_reciprocal(GraphWriter& writer, const Node& node) {
  const Order order = writer.order_of({node.input(0)});
  writer.note_floats(node);
  const TensorIndex made = writer.make(node.output(0), order, {});
  add_with_activation<tfl::DivOptionsT>(
      writer, tfl::Operation::DIV, Ending{node.output(0)},
      {scalar(writer, 1), writer.real(node.input(0), order)}, made);
  writer.hold_real(node.output(0), order, made);
}

// Floats of any width are float32 there.
void write_cast(GraphWriter& writer, const Node& node) {
  const Order order = writer.order_of({node.input(0)});
  const tfl::TensorType to = tensor_type_of(static_cast<DType>(node.attributes.required_int("to")));
  const TensorIndex from = writer.real(node.input(0), order);
  if (writer.file.type(from) == to) {
    writer.hold_real(node.output(0), order, from);
    return;
  }
  const TensorIndex made =
      writer.file.add_tensor(writer.name(node.output(0)), writer.file.shape(from), to);
  writer.file.add_operator(tfl::Operation::CAST, kPlainVersion, {from}, {made});
  writer.hold_real(node.output(0), order, made);
}

constexpr NodeWriter kElementwiseWriters[] = {
    {OpKind::kAdd, write_arithmetic},
    {OpKind::kSum, write_arithmetic},
    {OpKind::kSub, write_arithmetic},
    {OpKind::kMul, write_arithmetic},
    {OpKind::kDiv, write_arithmetic},
    {OpKind::kMax, write_choice},
    {OpKind::kMin, write_choice},
    {OpKind::kPow, write_choice},
    {OpKind::kRelu, write_function},
    {OpKind::kSigmoid, write_function},
    {OpKind::kTanh, write_function},
    {OpKind::kHardSwish, write_function},
    {OpKind::kLeakyRelu, write_function},
    {OpKind::kGelu, write_function},
    {OpKind::kElu, write_function},
    {OpKind::kExp, write_function},
    {OpKind::kLog, write_function},
    {OpKind::kSqrt, write_function},
    {OpKind::kAbs, write_function},
    {OpKind::kNeg, write_function},
    {OpKind::kFloor, write_function},
    {OpKind::kCeil, write_function},
    {OpKind::kRound, write_function},
    {OpKind::kSin, write_function},
    {OpKind::kCos, write_function},
    {OpKind::kPRelu, write_prelu},
    {OpKind::kClip, write_clip},
    {OpKind::kSwish, write_swish},
    {OpKind::kHardSigmoid, write_hard_sigmoid},
    {OpKind::kReciprocal, write_reciprocal},
    {OpKind::kCast, write_cast},
};

}  // namespace

std::span<const NodeWriter> elementwise_writers() { return kElementwiseWriters; }

}  // namespace lathe
