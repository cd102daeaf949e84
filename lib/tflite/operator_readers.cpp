#include "tflite/operator_readers.h"

#include <fmt/format.h>

#include "ir/error.h"

namespace lathe {

Error bad_operator(const std::string& message) { return bad_input("tflite.operator", message); }

int OperatorCall::input(size_t i) const {
  if (!has(i)) throw bad_operator(fmt::format("operand {} is absent", i));
  return inputs[i];
}

Layout layout_of(const GraphReader& graph, const std::vector<int>& inputs) {
  for (const int input : inputs)
    if (input >= 0 && graph.shape(input).size() == 4 && graph.constant(input) == nullptr &&
        graph.has(input, Layout::kChannelsFirst))
      return Layout::kChannelsFirst;
  return Layout::kStored;
}

int64_t axis_in(const GraphReader& graph, int index, int64_t axis, Layout layout) {
  const auto rank = static_cast<int64_t>(graph.shape(index).size());
  if (axis < -rank || axis >= rank)
    throw bad_operator(fmt::format("axis {} of {} dimensions", axis, rank));
  if (axis < 0) axis += rank;
  return layout == Layout::kStored ? axis : channels_first_axis(axis);
}

ValueId read_bias(const OperatorCall& call, size_t i, size_t input) {
  if (!call.has(i)) return {};
  call.graph.imply_bias(call.input(i), call.input(input), call.input(1));
  return call.graph.weight(call.input(i), {0}, call.graph.shape(call.input(i)), 0);
}

void note_hybrid(const OperatorCall& call) {
  if (!call.graph.is_quantized(call.input(0)) && call.graph.is_quantized(call.input(1)) &&
      !call.graph.is_widened(call.input(1)))
    call.graph.is_hybrid = true;
}

ValueId activated(GraphReader& graph, ValueId value, tfl::Activation activation) {
  const auto clip = [&](float low, float high) {
    return graph.add(OpKind::kClip, {value, graph.scalar(low), graph.scalar(high)}, "");
  };
  switch (activation) {
    case tfl::Activation::NONE: return value;
    case tfl::Activation::RELU: return graph.add(OpKind::kRelu, {value}, "");
    case tfl::Activation::RELU6: return clip(0, 6);
    case tfl::Activation::RELU_N1_TO_1: return clip(-1, 1);
    case tfl::Activation::TANH: return graph.add(OpKind::kTanh, {value}, "");
    default: throw bad_operator("an activation that is not read");
  }
}

}  // namespace lathe
