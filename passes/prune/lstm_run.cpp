#include "prune/lstm_run.h"

#include <algorithm>

#include "ir/error.h"
#include "ir/real_tensor.h"
#include "run/node_call.h"

namespace lathe {
namespace {

at::Tensor doubles_of(const Graph& graph, ValueId id) {
  const Tensor& tensor = *graph.constant(id);
  std::vector<double> values = tensor.to_double();
  return at::from_blob(values.data(), tensor.shape(), at::TensorOptions().dtype(at::kDouble))
      .clone();
}

std::vector<double> numbers(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

at::Tensor index_of(const std::vector<int64_t>& positions) {
  return at::tensor(positions, at::TensorOptions().dtype(at::kLong));
}

}  // namespace

std::vector<ValueId> computed_inputs(const Graph& graph, NodeId id) {
  std::vector<ValueId> values;
  for (const ValueId input : graph.node(id).inputs)
    if (input.valid() && graph.constant(input) == nullptr &&
        std::find(values.begin(), values.end(), input) == values.end())
      values.push_back(input);
  return values;
}

LstmRun run_lstm(const Graph& graph, NodeId id, const std::map<ValueId, RuntimeValue>& values) {
  Node node = graph.node(id);
  std::vector<RuntimeValue> inputs;
  for (const ValueId input : node.inputs) {
    const Tensor* constant = input.valid() ? graph.constant(input) : nullptr;
    inputs.push_back(constant != nullptr ? to_runtime(*constant)
                     : input.valid()     ? values.at(input)
                                         : RuntimeValue{});
  }
  node.outputs.assign(1, ValueId{0});  // the sequence of outputs, whether the graph wants it or not
  const at::Tensor y = call_op(node, inputs).at(0).tensor->permute({0, 2, 1, 3}).contiguous();
  const at::Tensor& x = inputs[0].tensor;  // [steps, batch, inputs]; y: [steps, batch, dirs, units]
  const bool has_start = inputs.size() > 5 && inputs[5].is_tensor();
  const at::Tensor start = has_start ? inputs[5].tensor->permute({1, 0, 2}).unsqueeze(0)
                                     : at::zeros_like(y.narrow(0, 0, 1));
  const bool reverse = node.attributes.string_or("direction", "forward") == "reverse";
  const int64_t steps = y.size(0);
  std::vector<at::Tensor> before;
  for (int64_t d = 0; d < y.size(2); ++d) {
    const bool backwards = reverse || d == 1;
    const at::Tensor first = start.select(2, d);
    const at::Tensor rest = y.select(2, d).narrow(0, backwards ? 1 : 0, steps - 1);
    before.push_back(backwards ? at::cat({rest, first}) : at::cat({first, rest}));
  }
  const int64_t rows = steps * y.size(1);
  return {x.reshape({rows, x.size(2)}), at::stack(before, 2).reshape({rows, y.size(2), y.size(3)}),
          y.reshape({rows, y.size(2), y.size(3)})};
}

at::Tensor lstm_targets(const Graph& graph, NodeId id, const LstmRun& run,
                        const std::vector<int32_t>& kept, const std::vector<int64_t>& positions) {
  const int64_t units = run.after.size(2);
  std::vector<int64_t> left(kept.begin(), kept.end());
  if (left.empty())
    for (int64_t i = 0; i < units; ++i) left.push_back(i);
  std::vector<int64_t> gate_rows;
  for (int64_t gate = 0; gate < 4; ++gate)
    for (const int64_t unit : left) gate_rows.push_back(gate * units + unit);
  const at::Tensor at_rows = index_of(positions);
  const at::Tensor x = run.x.index_select(0, at_rows);
  const at::Tensor before = run.before.index_select(0, at_rows);
  std::vector<at::Tensor> parts;
  for (int64_t d = 0; d < before.size(1); ++d) {
    const at::Tensor weights = lstm_weights(graph, id, d)[0].to(at::kFloat);
    const at::Tensor bias = lstm_bias(graph, id, d)[0].to(at::kFloat);
    const at::Tensor gates = at::cat({x, before.select(1, d)}, 1).matmul(weights.t()) + bias;
    parts.push_back(gates.index_select(1, index_of(gate_rows)));
  }
  const at::Tensor after = run.after.index_select(0, at_rows);
  for (const at::Tensor& states : {before, after})
    parts.push_back(states.index_select(2, index_of(left)).flatten(1));
  return at::cat(parts, 1).contiguous();
}

at::Tensor lstm_weights(const Graph& graph, NodeId id, int64_t direction) {
  const Node& node = graph.node(id);
  return at::cat({doubles_of(graph, node.inputs[1])[direction],
                  doubles_of(graph, node.inputs[2])[direction]},
                 1)
      .unsqueeze(0);
}

at::Tensor lstm_bias(const Graph& graph, NodeId id, int64_t direction) {
  const Node& node = graph.node(id);
  const int64_t gates = graph.constant(node.inputs[1])->shape()[1];
  if (!node.input(3).valid()) return at::zeros({1, gates}, at::TensorOptions().dtype(at::kDouble));
  const at::Tensor both = doubles_of(graph, node.inputs[3])[direction];
  return (both.narrow(0, 0, gates) + both.narrow(0, gates, gates)).unsqueeze(0);
}

void store_lstm(Graph& graph, NodeId id, const std::vector<at::Tensor>& weights,
                const std::vector<at::Tensor>& biases) {
  const int64_t inputs = graph.constant(graph.node(id).inputs[1])->shape()[2];
  const at::Tensor all = at::cat(weights);
  const at::Tensor bias = at::cat(biases);
  store_constant(graph, id, 1, numbers(all.narrow(2, 0, inputs)));
  store_constant(graph, id, 2, numbers(all.narrow(2, inputs, all.size(2) - inputs)));
  const std::vector<double> both = numbers(at::cat({bias, at::zeros_like(bias)}, 1));
  const Node& node = graph.node(id);
  if (node.input(3).valid()) {
    store_constant(graph, id, 3, both);
    return;
  }
  const ValueId constant =
      graph.add_constant(graph.fresh_name(node.name + "_bias"),
                         real_tensor(DType::kFloat32, {bias.size(0), 2 * bias.size(1)}, both));
  if (node.inputs.size() > 3)
    graph.replace_input(id, 3, constant);
  else
    graph.add_node_input(id, constant);
}

}  // namespace lathe
