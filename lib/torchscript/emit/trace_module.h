// A Graph under LibTorch's tracer: what its nodes compute, recorded as TorchScript.
#pragma once

#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "run/runtime_value.h"
#include "torchscript/emit/quantized_nodes.h"

namespace lathe {

/// Throws Error (exit 3) naming the first node that a trace cannot hold: If, Loop and Scan (a trace
/// is one path), ops on strings and sequences, ops that draw random numbers, unknown ops; and for
/// inputs and outputs that are no tensors of numbers.
void require_traceable(const Graph& graph);

/// A graph made ready for traces. Constants are attributes of one module, so that several traces
/// share them; weights behind a DequantizeLinear are dequantized once, as in the interpreter.
class GraphTracer {
 public:
  /// Throws Error (exit 3) as require_traceable does. `plan` says which nodes run as quantized
  /// operators; without one, Q/DQ nodes are traced as the float arithmetic that they mean. Keeps
  /// references to both; with a plan, a QuantizedEngineScope must live while this does.
  explicit GraphTracer(const Graph& graph, const QuantizedPlan* plan = nullptr);

  /// Runs the graph once on `inputs` (one per graph input, in order) and returns the record: `self`
  /// and the inputs by name, one output or a tuple in the graph's order. Sizes that evaluation
  /// computes in C++ are constants of the record (see free_batch.h). Each TorchScript node's scope
  /// is the name of the node that it comes from. Throws Error (exit 3) naming the node that cannot
  /// be computed, or whose result would be a constant although its inputs vary.
  std::shared_ptr<torch::jit::Graph> trace(const std::vector<RuntimeValue>& inputs) const;

  /// The module whose forward is `record`, in evaluation mode. Ends the tracer: it has one module.
  torch::jit::Module module_of(const std::shared_ptr<torch::jit::Graph>& record);

 private:
  std::vector<RuntimeValue> run_node(NodeId id, std::vector<RuntimeValue>& operands) const;
  std::vector<RuntimeValue> run_nodes(const std::vector<RuntimeValue>& inputs) const;

  const Graph& graph_;
  std::optional<QuantizedNodes> quantized_;
  std::vector<NodeId> steps_;
  std::vector<RuntimeValue> constants_;  // by value index; absent for other values
  torch::jit::Module self_;
};

/// The name of the graph's node that `node` was recorded for; "" when it stands for none.
std::string traced_from(torch::jit::Node& node);

}  // namespace lathe
