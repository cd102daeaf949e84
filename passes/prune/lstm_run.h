// Repair of LSTM layers. What an LSTM's gates are before their activations is linear in its inputs
// and its units' last outputs, so that W, R and the bias can be fitted like those of other layers.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <vector>

#include "prune/repair_layer.h"
#include "run/runtime_value.h"

namespace lathe {

/// Values that a node reads at run time: its inputs without constants and absent ones.
std::vector<ValueId> computed_inputs(const Graph& graph, NodeId node);

/// What one run of an LSTM over a sequence went through.
struct LstmRun {
  at::Tensor x;       // [steps * batch, inputs]
  at::Tensor before;  // [steps * batch, directions, units]: outputs that the step starts from
  at::Tensor after;   // [steps * batch, directions, units]: outputs of the step
};
/// Runs the node alone. `values` holds its computed inputs.
LstmRun run_lstm(const Graph& graph, NodeId node, const std::map<ValueId, RuntimeValue>& values);

/// Rows [positions, directions * 6 * units] of the dense node for its units `kept` (empty: all):
/// gates before their activations (4 * units), outputs before and after the step, each with the
/// directions outermost.
at::Tensor lstm_targets(const Graph& graph, NodeId node, const LstmRun& run,
                        const std::vector<int32_t>& kept, const std::vector<int64_t>& positions);

/// W and R beside each other and Wb + Rb: [1, 4 * units, inputs + units] and [1, 4 * units].
at::Tensor lstm_weights(const Graph& graph, NodeId node, int64_t direction);
at::Tensor lstm_bias(const Graph& graph, NodeId node, int64_t direction);

/// Stores those of all directions; Wb takes the bias, Rb becomes zero.
void store_lstm(Graph& graph, NodeId node, const std::vector<at::Tensor>& weights,
                const std::vector<at::Tensor>& biases);

}  // namespace lathe
