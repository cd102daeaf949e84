// What export knows about each op: first opsets (a table) and forms (rules).
#pragma once

#include <span>
#include <variant>

#include "onnx/edit_node.h"

namespace lathe {

/// From `since` on the op exists for these element types of its first input and first output.
/// Rows of a kind are consecutive and ascending, masks grow. Bit n is DType n; 0 is "any".
struct OpsetRow {
  OpKind kind;
  int64_t since;
  uint32_t input_types;
  uint32_t output_types;
};
std::span<const OpsetRow> opset_rows();

/// An attribute that exists from `since` on. With its default value (a list: all elements) it may
/// be left out before; without a default it may not.
struct AttributeRow {
  OpKind kind;
  const char* name;
  int64_t since;
  std::variant<std::monostate, int64_t, const char*> fallback;
};
std::span<const AttributeRow> attribute_rows();

/// Forms that a table cannot tell. Either function may be absent.
struct FormRule {
  OpKind kind;
  /// Least opset for this node's inputs and outputs; 0 when the tables say it all.
  int64_t (*need)(const Graph& graph, const Node& node);
  /// Brings the node into the form of edit.opset.
  void (*lower)(const NodeEdit& edit);
};
std::span<const FormRule> input_forms();    // lower_inputs.cpp
std::span<const FormRule> other_forms();    // lower_forms.cpp
std::span<const FormRule> removed_forms();  // lower_removed.cpp

}  // namespace lathe
