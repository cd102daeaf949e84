// UNIDIRECTIONAL_SEQUENCE_LSTM of real numbers as LSTM.
#include <fmt/format.h>

#include <array>

#include "ir/error.h"
#include "tflite/operator_readers.h"

namespace lathe {
namespace {

// The format's gates are input, forget, cell, output; ONNX wants input, output, forget, cell.
constexpr std::array<size_t, 4> kGates{0, 3, 1, 2};
constexpr size_t kOutputState = 18;

bool is_any(const OperatorCall& call, size_t first, size_t last) {
  for (size_t i = first; i <= last; ++i)
    if (call.has(i)) return true;
  return false;
}

// [1, 4 * hidden, columns] of the operands from `first` on.
ValueId gates_of(const OperatorCall& call, size_t first, int64_t hidden, int64_t columns) {
  GraphReader& graph = call.graph;
  std::vector<ValueId> gates;
  for (const size_t gate : kGates) {
    const int index = call.input(first + gate);
    if (graph.shape(index) != Shape{hidden, columns})
      throw bad_operator(fmt::format("a gate's weights of {}", shape_text(graph.shape(index))));
    gates.push_back(graph.real(index, Layout::kStored));
  }
  Attributes attributes;
  attributes.set("axis", int64_t{0});
  const ValueId rows = graph.add(OpKind::kConcat, gates, "", std::move(attributes));
  return graph.add(OpKind::kReshape, {rows, graph.ints({1, 4 * hidden, columns})}, "");
}

// [1, 8 * hidden]: the second half is that of the state, which has none of its own.
ValueId biases_of(const OperatorCall& call, int64_t hidden) {
  GraphReader& graph = call.graph;
  std::vector<ValueId> parts;
  for (const size_t gate : kGates) {
    const int index = call.input(12 + gate);
    if (graph.shape(index) != Shape{hidden})
      throw bad_operator(fmt::format("a gate's bias of {}", shape_text(graph.shape(index))));
    parts.push_back(graph.real(index, Layout::kStored));
  }
  parts.push_back(graph.zeros({4 * hidden}));
  Attributes attributes;
  attributes.set("axis", int64_t{0});
  return graph.add(OpKind::kReshape,
                   {graph.add(OpKind::kConcat, parts, "", std::move(attributes)),
                    graph.ints({1, 8 * hidden})},
                   "");
}

ValueId with_time_first(GraphReader& graph, ValueId value) {
  Attributes attributes;
  attributes.set("perm", std::vector<int64_t>{1, 0, 2});
  return graph.add(OpKind::kTranspose, {value}, "", std::move(attributes));
}

void lstm(const OperatorCall& call) {
  const auto& options = call.options<tfl::UnidirectionalSequenceLSTMOptions>();
  GraphReader& graph = call.graph;
  if (graph.dtype(call.input(0)) != DType::kFloat32)
    throw bad_operator("a recurrent layer of integers is not read");
  if (options.activation() != tfl::Activation::TANH || options.cell_clip() != 0 ||
      options.proj_clip() != 0)
    throw bad_operator("clipped states, or another activation than tanh");
  if (is_any(call, 9, 11) || is_any(call, 16, 17) || is_any(call, 20, 23))
    throw bad_operator("peepholes, projections and normalized gates are not read");
  // Without the first gate the input is coupled with the forgetting.
  const Shape& first = graph.shape(call.input(1));
  const Shape& in = graph.shape(call.input(0));
  if (in.size() != 3 || first.size() != 2 || in[2] != first[1])
    throw bad_operator(fmt::format("an input of {}", shape_text(in)));
  const int64_t hidden = first[0];
  for (const size_t state : {kOutputState, kOutputState + 1})
    if (!graph.is_variable(call.input(state)))
      throw bad_operator("its states must be variables");
  note_hybrid(call);
  ValueId rows = graph.real(call.input(0), Layout::kStored);
  if (!options.time_major()) rows = with_time_first(graph, rows);
  Attributes attributes;
  attributes.set("hidden_size", hidden);
  const ValueId made = graph.add(
      OpKind::kLSTM,
      {rows, gates_of(call, 1, hidden, first[1]), gates_of(call, 5, hidden, hidden),
       biases_of(call, hidden)},
      "", std::move(attributes));
  ValueId states = graph.add(OpKind::kSqueeze, {made, graph.ints({1})}, "");
  if (!options.time_major()) states = with_time_first(graph, states);
  graph.produce(call.outputs[0], Layout::kStored, states);
}

constexpr OperatorReader kRecurrentReaders[] = {
    {tfl::Operation::UNIDIRECTIONAL_SEQUENCE_LSTM, lstm},
};

}  // namespace

std::span<const OperatorReader> recurrent_readers() { return kRecurrentReaders; }

}  // namespace lathe
