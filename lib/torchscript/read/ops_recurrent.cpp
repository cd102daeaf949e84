// lstm, gru, rnn_* and their cells as ONNX's LSTM, GRU and RNN.
#include <algorithm>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

/// ONNX's order of gates, as places in PyTorch's: LSTM i f g o -> i o f g; GRU r z n -> z r n.
struct Architecture {
  OpKind kind = OpKind::kLSTM;
  std::vector<size_t> gates;
  std::string activation;  // RNN only
};

const Architecture kLstm{OpKind::kLSTM, {0, 3, 1, 2}, {}};
const Architecture kGru{OpKind::kGRU, {1, 0, 2}, {}};
const Architecture kRnnTanh{OpKind::kRNN, {0}, "Tanh"};
const Architecture kRnnRelu{OpKind::kRNN, {0}, "Relu"};

// The blocks of rows in another order; a constant is reordered here.
ValueId reordered(AtenCall& call, ValueId value, const std::vector<size_t>& gates) {
  if (gates.size() == 1) return value;
  const auto rows = known_size(call, value, 0);
  const auto count = static_cast<int64_t>(gates.size());
  if (!rows || *rows % count != 0) call.refuse("a weight whose rows are no whole gates");
  if (const Tensor* constant = call.builder.graph().constant(value)) {
    const auto source = constant->bytes();
    const size_t block = source.size() / gates.size();
    std::vector<std::byte> bytes;
    bytes.reserve(source.size());
    for (const size_t gate : gates) {
      const auto from = source.begin() + static_cast<std::ptrdiff_t>(gate * block);
      bytes.insert(bytes.end(), from, from + static_cast<std::ptrdiff_t>(block));
    }
    return call.constant_value(
        Tensor::from_bytes(constant->dtype(), constant->shape(), std::move(bytes)));
  }
  const std::vector<ValueId> parts =
      split(call, value, 0, std::vector<int64_t>(gates.size(), *rows / count));
  std::vector<ValueId> ordered;
  for (const size_t gate : gates) ordered.push_back(parts[gate]);
  return concat(call, std::move(ordered), 0);
}

// Values of one shape as one with a new first axis; constants are joined here.
ValueId stacked(AtenCall& call, const std::vector<ValueId>& values) {
  std::vector<std::byte> bytes;
  for (const ValueId value : values) {
    const Tensor* constant = call.builder.graph().constant(value);
    const Tensor* first = call.builder.graph().constant(values[0]);
    if (constant == nullptr || first == nullptr || constant->shape() != first->shape() ||
        constant->dtype() != first->dtype()) {
      std::vector<ValueId> raised;
      for (const ValueId each : values) raised.push_back(unsqueeze(call, each, {0}));
      return concat(call, std::move(raised), 0);
    }
    bytes.insert(bytes.end(), constant->bytes().begin(), constant->bytes().end());
  }
  const Tensor* first = call.builder.graph().constant(values[0]);
  Shape shape = first->shape();
  shape.insert(shape.begin(), static_cast<int64_t>(values.size()));
  return call.constant_value(
      Tensor::from_bytes(first->dtype(), std::move(shape), std::move(bytes)));
}

// Two vectors behind each other.
ValueId joined(AtenCall& call, ValueId a, ValueId b) {
  const Tensor* first = call.builder.graph().constant(a);
  const Tensor* second = call.builder.graph().constant(b);
  if (first == nullptr || second == nullptr || first->dtype() != second->dtype() ||
      first->rank() != 1 || second->rank() != 1)
    return concat(call, {a, b}, 0);
  std::vector<std::byte> bytes(first->bytes().begin(), first->bytes().end());
  bytes.insert(bytes.end(), second->bytes().begin(), second->bytes().end());
  return call.constant_value(
      Tensor::from_bytes(first->dtype(), {first->numel() + second->numel()}, std::move(bytes)));
}

/// Parameters of one direction of one layer; biases may be absent.
struct Parameters {
  ValueId weight, feedback, input_bias, feedback_bias;
};

struct LayerOutput {
  ValueId y;       // [time, directions, batch, hidden]
  ValueId hidden;  // [directions, batch, hidden]
  ValueId cell;    // LSTM only
};

// x: [time, batch, input]; hidden, cell: [directions, batch, hidden].
LayerOutput run_layer(AtenCall& call, const Architecture& architecture, ValueId x,
                      const std::vector<Parameters>& directions, ValueId hidden, ValueId cell) {
  std::vector<ValueId> weights, feedbacks, biases;
  for (const Parameters& p : directions) {
    weights.push_back(reordered(call, p.weight, architecture.gates));
    feedbacks.push_back(reordered(call, p.feedback, architecture.gates));
    if (p.input_bias.valid())
      biases.push_back(joined(call, reordered(call, p.input_bias, architecture.gates),
                              reordered(call, p.feedback_bias, architecture.gates)));
  }
  const auto size = known_size(call, directions[0].feedback, 1);
  if (!size) call.refuse("the hidden size is not known");
  Attributes attributes = attributes_of(
      {{"hidden_size", *size},
       {"direction", std::string(directions.size() == 2 ? "bidirectional" : "forward")}});
  if (architecture.kind == OpKind::kGRU) attributes.set("linear_before_reset", int64_t{1});
  if (architecture.kind == OpKind::kRNN)
    attributes.set("activations",
                   std::vector<std::string>(directions.size(), architecture.activation));
  std::vector<ValueId> operands = {x,
                                   stacked(call, weights),
                                   stacked(call, feedbacks),
                                   biases.empty() ? ValueId{} : stacked(call, biases),
                                   {},
                                   hidden};
  const bool lstm = architecture.kind == OpKind::kLSTM;
  if (lstm) operands.push_back(cell);
  const std::vector<ValueId> outputs =
      call.emit_many(architecture.kind, std::move(operands), lstm ? 3 : 2, std::move(attributes));
  return {outputs[0], outputs[1], lstm ? outputs[2] : ValueId{}};
}

// A layer's part of [layers * directions, batch, hidden].
ValueId layer_state(AtenCall& call, ValueId states, int64_t layer, int64_t layers,
                    int64_t directions) {
  if (!states.valid() || layers == 1) return states;
  return slice(call, states, 0, layer * directions, (layer + 1) * directions);
}

// (input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)
Results recurrent(AtenCall& call, const Architecture& architecture) {
  const bool lstm = architecture.kind == OpKind::kLSTM;
  call.require(call.node.overload != "data" && call.arg(2).items != nullptr,
               "packed sequences are not supported");
  call.require(!call.bool_of(6) || call.float_of(5) == 0, "dropout between layers, in training");
  const bool has_biases = call.bool_of(3);
  const int64_t layers = call.int_of(4);
  const int64_t directions = call.bool_of(7) ? 2 : 1;
  const bool batch_first = call.bool_of(8);
  const std::vector<ValueId> params = call.tensors(2);
  const size_t each = has_biases ? 4 : 2;
  call.require(layers >= 1 && layers <= 1024, "a wrong number of layers");
  call.require(params.size() == static_cast<size_t>(layers * directions) * each,
               "an LSTM with projections is not supported");
  ValueId hidden, cell;
  if (lstm) {
    const std::vector<ValueId> states = call.tensors(1);
    call.require(states.size() == 2, "two initial states are needed");
    hidden = states[0];
    cell = states[1];
  } else {
    hidden = call.tensor(1);
  }
  ValueId x = call.tensor(0);
  call.require(call.rank_of(x) == 3, "an input [time, batch, features] is needed");
  if (batch_first) x = transpose(call, x, {1, 0, 2});
  std::vector<ValueId> last_hidden, last_cell;
  size_t next = 0;
  for (int64_t layer = 0; layer < layers; ++layer) {
    std::vector<Parameters> parameters;
    for (int64_t d = 0; d < directions; ++d, next += each)
      parameters.push_back({params[next], params[next + 1],
                            has_biases ? params[next + 2] : ValueId{},
                            has_biases ? params[next + 3] : ValueId{}});
    const LayerOutput out = run_layer(call, architecture, x, parameters,
                                      layer_state(call, hidden, layer, layers, directions),
                                      layer_state(call, cell, layer, layers, directions));
    x = directions == 1 ? squeeze(call, out.y, {1})
                        : reshape(call, transpose(call, out.y, {0, 2, 1, 3}), {0, 0, -1});
    last_hidden.push_back(out.hidden);
    last_cell.push_back(out.cell);
  }
  if (batch_first) x = transpose(call, x, {1, 0, 2});
  Results results = {call.result(x), call.result(concat(call, last_hidden, 0))};
  if (lstm) results.push_back(call.result(concat(call, last_cell, 0)));
  return results;
}

// (input, hx, w_ih, w_hh, b_ih, b_hh): one step
Results cell_step(AtenCall& call, const Architecture& architecture) {
  const bool lstm = architecture.kind == OpKind::kLSTM;
  ValueId hidden, cell;
  if (lstm) {
    const std::vector<ValueId> states = call.tensors(1);
    call.require(states.size() == 2, "two states are needed");
    hidden = states[0];
    cell = unsqueeze(call, states[1], {0});
  } else {
    hidden = call.tensor(1);
  }
  call.require(call.rank(0) == 2, "an input [batch, features] is needed");
  const Parameters parameters{call.tensor(2), call.tensor(3), call.tensor_or_none(4),
                              call.tensor_or_none(5)};
  const LayerOutput out = run_layer(call, architecture, unsqueeze(call, call.tensor(0), {0}),
                                    {parameters}, unsqueeze(call, hidden, {0}), cell);
  Results results = {call.result(squeeze(call, out.hidden, {0}))};
  if (lstm) results.push_back(call.result(squeeze(call, out.cell, {0})));
  return results;
}

Results lstm(AtenCall& call) { return recurrent(call, kLstm); }
Results gru(AtenCall& call) { return recurrent(call, kGru); }
Results rnn_tanh(AtenCall& call) { return recurrent(call, kRnnTanh); }
Results rnn_relu(AtenCall& call) { return recurrent(call, kRnnRelu); }
Results lstm_cell(AtenCall& call) { return cell_step(call, kLstm); }
Results gru_cell(AtenCall& call) { return cell_step(call, kGru); }
Results rnn_tanh_cell(AtenCall& call) { return cell_step(call, kRnnTanh); }
Results rnn_relu_cell(AtenCall& call) { return cell_step(call, kRnnRelu); }

constexpr AtenRow kRecurrentOps[] = {
    {"lstm", lstm},
    {"gru", gru},
    {"rnn_tanh", rnn_tanh},
    {"rnn_relu", rnn_relu},
    {"lstm_cell", lstm_cell},
    {"gru_cell", gru_cell},
    {"rnn_tanh_cell", rnn_tanh_cell},
    {"rnn_relu_cell", rnn_relu_cell},
};

}  // namespace

std::span<const AtenRow> recurrent_aten_ops() { return kRecurrentOps; }

}  // namespace lathe
