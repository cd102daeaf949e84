// Runs what a QuantizedPlan says with LibTorch's quantized operators, under the tracer or without.
#pragma once

#include <ATen/core/ivalue.h>
#include <torch/csrc/jit/api/module.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "run/runtime_value.h"
#include "torchscript/emit/quantized_plan.h"

namespace lathe {

/// The groups of a plan made ready to run, weights packed. Between the nodes of a graph, values of
/// the plan are quantized at::Tensors inside RuntimeValue (dtype kUInt8); all others as ever.
class QuantizedNodes {
 public:
  /// Throws Error (exit 3) naming the node whose weights LibTorch cannot pack. Keeps a reference to
  /// `graph`.
  QuantizedNodes(const Graph& graph, const QuantizedPlan& plan);

  /// Makes the packed weights attributes of `module`, where the tracer finds them. To be called
  /// before the trace.
  void add_to(torch::jit::Module& module) const;

  /// A node of the graph, with its inputs as earlier nodes left them. nullopt: the node is not the
  /// plan's; quantized inputs have been dequantized in place and the caller runs it.
  std::optional<std::vector<RuntimeValue>> run(NodeId node,
                                               std::vector<RuntimeValue>& inputs) const;

  /// The value as the graph's output: dequantized when the plan kept it quantized.
  static RuntimeValue as_output(const RuntimeValue& value);

 private:
  enum class Role : uint8_t { kGroup, kPass, kClamp, kQuantize, kPacked };
  struct Step {
    Role role = Role::kPass;
    size_t group = 0;
    ScaleZeroPoint params;
  };
  struct Group {
    QuantizedGroup plan;
    std::string attribute;  // of the packed weights; "" without weights
    c10::IValue packed;
    std::string op;  // "quantized::conv2d_relu"
    std::string overload;
    std::vector<int64_t> pads;  // asymmetric padding in front of the op, in ATen's order
  };

  Group prepare(const QuantizedGroup& plan, size_t number) const;
  at::Tensor call(const Group& group, const Node& node,
                  const std::vector<RuntimeValue>& inputs) const;

  const Graph& graph_;
  std::vector<Group> groups_;
  std::map<NodeId, Step> steps_;
};

}  // namespace lathe
