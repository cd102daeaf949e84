// LSTM as UNIDIRECTIONAL_SEQUENCE_LSTM, one a direction.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ir/error.h"
#include "qdq/qdq.h"
#include "tflite/constants.h"
#include "tflite/node_writers.h"

namespace lathe {
namespace {

// ONNX's order of gates is input, output, forget, cell; the format's input, forget, cell, output.
constexpr std::array<int64_t, 4> kGates{0, 2, 3, 1};
constexpr size_t kOperands = 24;
constexpr int64_t kOutputState = 18;

struct Lstm {
  int64_t directions = 1, time = 0, batch = 0, inputs = 0, hidden = 0;
  bool reverse = false;  // the only direction
};

bool is_zero(const GraphWriter& writer, ValueId value) {
  if (!value.valid()) return true;
  const auto floats = real_constant(writer.graph, value);
  return floats && std::ranges::all_of(floats->to_double(), [](double x) { return x == 0; });
}

Lstm lstm_of(const GraphWriter& writer, const Node& node) {
  const Attributes& attributes = node.attributes;
  Lstm lstm;
  const std::string direction = attributes.string_or("direction", "forward");
  lstm.directions = direction == "bidirectional" ? 2 : 1;
  lstm.reverse = direction == "reverse";
  const Shape x = writer.shape(node.input(0));
  const Shape feedback = writer.shape(node.input(2));
  if (x.size() != 3 || feedback.size() != 3 || attributes.int_or("layout", 0) != 0)
    throw no_tflite_form("sequences with the batch first have no form there");
  lstm.time = x[0];
  lstm.batch = x[1];
  lstm.inputs = x[2];
  lstm.hidden = feedback[2];
  const std::vector<std::string> functions = attributes.strings_or("activations", {});
  for (size_t i = 0; i < functions.size(); ++i)
    if (functions[i] != (i % 3 == 0 ? "Sigmoid" : "Tanh"))
      throw no_tflite_form("other activations than sigmoid and tanh");
  if (attributes.float_or("clip", 0) != 0 || attributes.int_or("input_forget", 0) != 0)
    throw no_tflite_form("clipped or coupled gates");
  if (node.input(4).valid() || node.input(7).valid())
    throw no_tflite_form("sequences of several lengths, or peepholes");
  if (!is_zero(writer, node.input(5)) || !is_zero(writer, node.input(6)))
    throw no_tflite_form("a first state that is not zero");
  if (node.output(2).valid() && (!writer.graph.value(node.output(2)).users.empty() ||
                                 writer.graph.is_output(node.output(2))))
    throw no_tflite_form("its last cell state is read, which stays inside there");
  return lstm;
}

// The weights of one gate, [hidden, columns]: 8-bit ones behind a DEQUANTIZE.
TensorIndex gate_weight(GraphWriter& writer, const Node& node, size_t index, const Lstm& lstm,
                        int64_t direction, int64_t gate, int64_t columns) {
  const std::string name =
      fmt::format("{}_{}_{}", writer.name(node.input(index)), direction, gate);
  const int64_t rows = lstm.hidden;
  const int64_t first = (direction * 4 + gate) * rows;  // of all rows
  const QuantizedWeight weight = quantized_weight(writer.graph, node, index, 1);
  if (weight.problem.empty() && (weight.scales.size() == 1 || writer.widens_channels)) {
    const auto codes = weight.codes.values<int8_t>();
    const auto from = codes.begin() + static_cast<std::ptrdiff_t>(first * columns);
    QuantParams params{DType::kInt8, weight.scales, {}, -1};
    if (weight.scales.size() > 1) {
      const auto scale = weight.scales.begin() + static_cast<std::ptrdiff_t>(gate * rows);
      params.scales.assign(scale, scale + rows);
      params.axis = 0;
    }
    params.zero_points.assign(params.scales.size(), 0);
    const TensorIndex held = writer.file.add_constant(
        name,
        Tensor::of<int8_t>(Shape{rows, columns},
                           std::vector<int8_t>(from, from + rows * columns)),
        params);
    return writer.file.dequantized(held, params.axis == 0 ? 5 : 2, name);
  }
  const auto floats = real_constant(writer.graph, node.input(index));
  if (!floats) throw no_tflite_form("its weights must be constant");
  const std::vector<double> all = floats->to_double();
  const auto from = all.begin() + static_cast<std::ptrdiff_t>(first * columns);
  return writer.file.add_constant(
      name,
      Tensor::of<float>(Shape{rows, columns}, std::vector<float>(from, from + rows * columns)));
}

// Both of ONNX's biases in one.
TensorIndex gate_bias(GraphWriter& writer, const Node& node, const Lstm& lstm, int64_t direction,
                      int64_t gate) {
  std::vector<float> sums(static_cast<size_t>(lstm.hidden), 0.0F);
  if (node.input(3).valid()) {
    const auto floats = real_constant(writer.graph, node.input(3));
    if (!floats) throw no_tflite_form("its bias must be constant");
    const std::vector<double> all = floats->to_double();
    for (int64_t row = 0; row < lstm.hidden; ++row)
      for (const int64_t side : {0, 1})
        sums[static_cast<size_t>(row)] += static_cast<float>(
            all[static_cast<size_t>(((direction * 2 + side) * 4 + gate) * lstm.hidden + row)]);
  }
  return writer.file.add_constant(fmt::format("{}_bias_{}_{}", node.name, direction, gate),
                                  Tensor::vector(sums));
}

TensorIndex turned(GraphWriter& writer, TensorIndex tensor, const std::string& name) {
  const TensorIndex made = writer.file.add_like(tensor, writer.file.shape(tensor), name);
  writer.file.add_operator(tfl::Operation::REVERSE_V2, 1,
                           {tensor, writer.file.add_int32("time", {0})}, {made});
  return made;
}

// All states of one direction, [time, batch, hidden].
TensorIndex write_direction(GraphWriter& writer, const Node& node, const Lstm& lstm,
                            int64_t direction) {
  const bool is_reverse = lstm.reverse || direction == 1;
  TensorIndex input = writer.real(node.input(0), Order::kPlain);
  if (is_reverse) input = turned(writer, input, node.name + "_turned");
  std::vector<TensorIndex> operands(kOperands, -1);
  operands[0] = input;
  for (size_t i = 0; i < kGates.size(); ++i) {
    operands[1 + i] = gate_weight(writer, node, 1, lstm, direction, kGates[i], lstm.inputs);
    operands[5 + i] = gate_weight(writer, node, 2, lstm, direction, kGates[i], lstm.hidden);
    operands[12 + i] = gate_bias(writer, node, lstm, direction, kGates[i]);
  }
  for (const int64_t state : {0, 1})
    operands[static_cast<size_t>(kOutputState + state)] = writer.file.add_variable(
        fmt::format("{}_{}_{}", node.name, state == 0 ? "state" : "cell", direction),
        {lstm.batch, lstm.hidden});
  const std::string name = fmt::format("{}_states_{}", node.name, direction);
  const TensorIndex made = writer.file.add_tensor(name, {lstm.time, lstm.batch, lstm.hidden},
                                                  tfl::TensorType::FLOAT32);
  tfl::UnidirectionalSequenceLSTMOptionsT options;
  options.activation = tfl::Activation::TANH;
  options.time_major = true;
  writer.file.add_operator(tfl::Operation::UNIDIRECTIONAL_SEQUENCE_LSTM, 1, operands, {made},
                           std::move(options));
  return is_reverse ? turned(writer, made, name + "_turned") : made;
}

// The states after the last step of each direction.
TensorIndex last_states(GraphWriter& writer, const Node& node, const Lstm& lstm,
                        const std::vector<TensorIndex>& states) {
  std::vector<TensorIndex> lasts;
  for (size_t d = 0; d < states.size(); ++d) {
    const bool is_reverse = lstm.reverse || d == 1;
    const TensorIndex last = writer.file.add_tensor(
        fmt::format("{}_last_{}", node.name, d), {1, lstm.batch, lstm.hidden},
        tfl::TensorType::FLOAT32);
    writer.file.add_operator(
        tfl::Operation::SLICE, 1,
        {states[d], writer.file.add_int32("begin", {is_reverse ? 0 : lstm.time - 1, 0, 0}),
         writer.file.add_int32("size", {1, lstm.batch, lstm.hidden})},
        {last});
    lasts.push_back(last);
  }
  return lasts.size() == 1 ? lasts[0] : writer.file.joined(lasts, 0, node.name + "_lasts");
}

void write_lstm(GraphWriter& writer, const Node& node) {
  const Lstm lstm = lstm_of(writer, node);
  writer.note_floats(node);
  std::vector<TensorIndex> states;
  for (int64_t d = 0; d < lstm.directions; ++d)
    states.push_back(write_direction(writer, node, lstm, d));
  writer.keeps_state = true;
  if (node.output(0).valid()) {
    std::vector<TensorIndex> parts;
    for (const TensorIndex each : states)
      parts.push_back(writer.file.reshaped(each, {lstm.time, 1, lstm.batch, lstm.hidden},
                                           node.name + "_direction"));
    writer.hold_real(node.output(0), Order::kPlain,
                     parts.size() == 1
                         ? parts[0]
                         : writer.file.joined(parts, 1, writer.name(node.output(0))));
  }
  if (node.output(1).valid())
    writer.hold_real(node.output(1), Order::kPlain, last_states(writer, node, lstm, states));
}

constexpr NodeWriter kRecurrentWriters[] = {{OpKind::kLSTM, write_lstm}};

}  // namespace

std::span<const NodeWriter> recurrent_writers() { return kRecurrentWriters; }

}  // namespace lathe
