// Which values of a trace in progress depend on what the inputs hold, and which hold nothing.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <unordered_set>
#include <vector>

#include "ir/op_kind.h"
#include "run/runtime_value.h"

namespace lathe {

/// Follows the graph that the tracer is writing.
///
/// A value *varies* when operators lead to it from an input's elements; sizes alone do not count. A
/// value is *blank* when it comes from aten::empty and no operator has written it: evaluation
/// filled it through a data pointer, so that the trace would compute with whatever memory holds.
class TracedFlow {
 public:
  explicit TracedFlow(torch::jit::Graph& graph);

  /// Takes in the nodes that the tracer added since the last call: one step.
  void follow_new_nodes();

  /// False for values that the tracer does not know.
  bool varies(const RuntimeValue& value) const;
  bool is_blank(const RuntimeValue& value) const;
  /// Whether operators of the last step lead from `operand` to one of the results. When none does,
  /// evaluation read the operand in C++ (an axis, a shape, a bound), and the trace has it fixed.
  bool reaches(const RuntimeValue& operand, const std::vector<RuntimeValue>& results) const;

 private:
  using Values = std::unordered_set<const torch::jit::Value*>;

  /// Adds what `node` computes from, or writes by, values of `set`.
  void spread(const torch::jit::Node& node, Values& set) const;
  void follow_blank(const torch::jit::Node& node);

  torch::jit::Graph& graph_;
  torch::jit::Node* last_;
  torch::jit::Node* before_step_;
  Values varying_;
  Values blank_;
};

/// Whether an op may take no notice of the elements of its input: it asks for shape or type, or the
/// input does nothing in most modes.
bool may_ignore_elements(OpKind kind, size_t input);

}  // namespace lathe
