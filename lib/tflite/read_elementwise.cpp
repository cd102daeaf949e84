// Arithmetic with broadcasting, and functions of one element.
#include <algorithm>
#include <optional>

#include "ir/error.h"
#include "tflite/operator_readers.h"

namespace lathe {
namespace {

// Channels first, operands of fewer dimensions need ones in front.
Layout broadcast_layout(const OperatorCall& call) {
  const Layout layout = layout_of(call.graph, call.inputs);
  for (const int input : call.inputs)
    if (call.graph.constant(input) == nullptr && call.graph.shape(input).size() != 4)
      return Layout::kStored;
  return layout;
}

// Constants of fewer dimensions (the last is that of channels) get ones in front.
ValueId operand(const OperatorCall& call, size_t i, Layout layout) {
  const int index = call.input(i);
  const Shape& shape = call.graph.shape(index);
  const size_t rank = shape.size();
  if (layout == Layout::kStored || rank == 4) return call.graph.real(index, layout);
  if (rank == 0) return call.graph.real(index, Layout::kStored);
  if (rank > 4) throw bad_operator("operands of more than four dimensions");
  std::vector<size_t> order{rank - 1};
  for (size_t k = 0; k + 1 < rank; ++k) order.push_back(k);
  return call.graph.weight(
      index, order, {1, shape.back(), rank == 3 ? shape[0] : 1, rank >= 2 ? shape[rank - 2] : 1},
      1);
}

struct Binary {
  OpKind kind;
  std::optional<tfl::Activation> activation;
};

Binary binary_of(const OperatorCall& call) {
  switch (call.operation) {
    case tfl::Operation::ADD:
      return {OpKind::kAdd, call.options<tfl::AddOptions>().activation()};
    case tfl::Operation::SUB:
      return {OpKind::kSub, call.options<tfl::SubOptions>().activation()};
    case tfl::Operation::MUL:
      return {OpKind::kMul, call.options<tfl::MulOptions>().activation()};
    case tfl::Operation::DIV:
      return {OpKind::kDiv, call.options<tfl::DivOptions>().activation()};
    case tfl::Operation::MAXIMUM: return {OpKind::kMax, {}};
    case tfl::Operation::MINIMUM: return {OpKind::kMin, {}};
    default: return {OpKind::kPow, {}};
  }
}

void binary(const OperatorCall& call) {
  const Binary form = binary_of(call);
  const Layout layout = broadcast_layout(call);
  const ValueId a = operand(call, 0, layout);
  const ValueId made = call.graph.add(form.kind, {a, operand(call, 1, layout)},
                                      call.output_name() + "_float");
  call.graph.produce(call.outputs[0], layout,
                     activated(call.graph, made, form.activation.value_or(tfl::Activation::NONE)));
}

void squared_difference(const OperatorCall& call) {
  const Layout layout = broadcast_layout(call);
  const ValueId a = operand(call, 0, layout);
  const ValueId made = call.graph.add(OpKind::kSub, {a, operand(call, 1, layout)}, "");
  call.graph.produce(call.outputs[0], layout, call.graph.add(OpKind::kMul, {made, made}, ""));
}

ValueId apply(const OperatorCall& call, ValueId x, Layout layout) {
  GraphReader& graph = call.graph;
  const std::string name = call.output_name() + "_float";
  Attributes attributes;
  const auto plain = [&](OpKind kind) { return graph.add(kind, {x}, name, attributes); };
  switch (call.operation) {
    case tfl::Operation::RELU: return activated(graph, x, tfl::Activation::RELU);
    case tfl::Operation::RELU6: return activated(graph, x, tfl::Activation::RELU6);
    case tfl::Operation::RELU_N1_TO_1: return activated(graph, x, tfl::Activation::RELU_N1_TO_1);
    case tfl::Operation::LOGISTIC: return plain(OpKind::kSigmoid);
    case tfl::Operation::TANH: return plain(OpKind::kTanh);
    case tfl::Operation::HARD_SWISH: return plain(OpKind::kHardSwish);
    case tfl::Operation::ELU: return plain(OpKind::kElu);
    case tfl::Operation::EXP: return plain(OpKind::kExp);
    case tfl::Operation::LOG: return plain(OpKind::kLog);
    case tfl::Operation::SQRT: return plain(OpKind::kSqrt);
    case tfl::Operation::ABS: return plain(OpKind::kAbs);
    case tfl::Operation::NEG: return plain(OpKind::kNeg);
    case tfl::Operation::FLOOR: return plain(OpKind::kFloor);
    case tfl::Operation::CEIL: return plain(OpKind::kCeil);
    case tfl::Operation::ROUND: return plain(OpKind::kRound);
    case tfl::Operation::SIN: return plain(OpKind::kSin);
    case tfl::Operation::COS: return plain(OpKind::kCos);
    case tfl::Operation::SQUARE: return graph.add(OpKind::kMul, {x, x}, name);
    case tfl::Operation::RSQRT:
      return graph.add(OpKind::kReciprocal, {graph.add(OpKind::kSqrt, {x}, "")}, name);
    case tfl::Operation::LEAKY_RELU:
      attributes.set("alpha", call.options<tfl::LeakyReluOptions>().alpha());
      return plain(OpKind::kLeakyRelu);
    case tfl::Operation::GELU:
      if (call.record.options_type() == tfl::Options::GeluOptions &&
          call.options<tfl::GeluOptions>().approximate())
        attributes.set("approximate", std::string("tanh"));
      return plain(OpKind::kGelu);
    default: return graph.add(OpKind::kPRelu, {x, operand(call, 1, layout)}, name);
  }
}

void unary(const OperatorCall& call) {
  const Layout layout = layout_of(call.graph, {call.input(0)});
  call.graph.produce(call.outputs[0], layout,
                     apply(call, call.graph.real(call.input(0), layout), layout));
}

// The output's own parameters make of it integers, or real numbers.
void convert(const OperatorCall& call) {
  const int input = call.input(0);
  if (call.operation == tfl::Operation::DEQUANTIZE && call.graph.constant(input) != nullptr) {
    call.graph.rename(call.outputs[0], input);
    return;
  }
  const Layout layout = layout_of(call.graph, {input});
  ValueId value = call.graph.real(input, layout);
  const DType to = call.graph.dtype(call.outputs[0]);
  const DType from = call.graph.is_quantized(input) ? DType::kFloat32 : call.graph.dtype(input);
  if (!call.graph.is_quantized(call.outputs[0]) && from != to) {
    Attributes attributes;
    attributes.set("to", static_cast<int64_t>(to));
    value = call.graph.add(OpKind::kCast, {value}, "", std::move(attributes));
  }
  call.graph.produce(call.outputs[0], layout, value);
}

constexpr OperatorReader kElementwiseReaders[] = {
    {tfl::Operation::ADD, binary},
    {tfl::Operation::SUB, binary},
    {tfl::Operation::MUL, binary},
    {tfl::Operation::DIV, binary},
    {tfl::Operation::MAXIMUM, binary},
    {tfl::Operation::MINIMUM, binary},
    {tfl::Operation::POW, binary},
    {tfl::Operation::SQUARED_DIFFERENCE, squared_difference},
    {tfl::Operation::RELU, unary},
    {tfl::Operation::RELU6, unary},
    {tfl::Operation::RELU_N1_TO_1, unary},
    {tfl::Operation::LOGISTIC, unary},
    {tfl::Operation::TANH, unary},
    {tfl::Operation::HARD_SWISH, unary},
    {tfl::Operation::ELU, unary},
    {tfl::Operation::EXP, unary},
    {tfl::Operation::LOG, unary},
    {tfl::Operation::SQRT, unary},
    {tfl::Operation::RSQRT, unary},
    {tfl::Operation::SQUARE, unary},
    {tfl::Operation::ABS, unary},
    {tfl::Operation::NEG, unary},
    {tfl::Operation::FLOOR, unary},
    {tfl::Operation::CEIL, unary},
    {tfl::Operation::ROUND, unary},
    {tfl::Operation::SIN, unary},
    {tfl::Operation::COS, unary},
    {tfl::Operation::LEAKY_RELU, unary},
    {tfl::Operation::PRELU, unary},
    {tfl::Operation::GELU, unary},
};

constexpr OperatorReader kConversionReaders[] = {
    {tfl::Operation::QUANTIZE, convert},
    {tfl::Operation::DEQUANTIZE, convert},
    {tfl::Operation::CAST, convert},
};

}  // namespace

std::span<const OperatorReader> conversion_readers() { return kConversionReaders; }
std::span<const OperatorReader> elementwise_readers() { return kElementwiseReaders; }

}  // namespace lathe
