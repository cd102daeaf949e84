// Small editing steps that import and export of old opsets share.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// One node that is being brought into another opset's form.
struct NodeEdit {
  Graph& graph;
  NodeId id;
  int64_t opset = 0;  // of the file read or to be written

  const Node& node() const { return graph.node(id); }
  Attributes& attributes() const { return graph.edit(id).attributes; }
  ValueId input(size_t i) const { return node().input(i); }
  /// Name of the first output that exists, else of the node: the stem of what is added.
  std::string stem() const;
  /// New constant "<stem>_<suffix>".
  ValueId constant(std::string_view suffix, Tensor tensor) const;
  /// New op before or after this node, node "<name>_<suffix>", output "<stem>_<suffix>".
  ValueId op(OpKind kind, std::vector<ValueId> inputs, std::string_view suffix,
             Attributes attributes = {}, ValueType type = {}) const;
};

/// Sets one input, with absent ones in between when the node has fewer.
void set_input(Graph& graph, NodeId id, size_t index, ValueId value);
/// Keeps the first `count` inputs without absent ones at the end; erases constants that nothing
/// reads any more.
void keep_inputs(Graph& graph, NodeId id, size_t count);
/// Makes one input absent (dropping it when it is the last), erasing its constant when unused.
void drop_input(Graph& graph, NodeId id, size_t index);

/// Everyone who reads `id`'s outputs reads `outputs` instead, which take their names and types;
/// the node dies.
void replace_node(Graph& graph, NodeId id, const std::vector<ValueId>& outputs);
/// Puts an op between an output and all its readers; the new value takes the old one's name.
void insert_after(Graph& graph, ValueId value, OpKind kind, Attributes attributes,
                  std::string_view suffix);

/// Makes an op of another kind (or an opaque type of the default domain) of a node.
void set_kind(Graph& graph, NodeId id, OpKind kind);
void set_opaque(Graph& graph, NodeId id, std::string domain, std::string type);

/// Rank and element type as declared, or as the producers next to the value tell.
std::optional<int64_t> known_rank(const Graph& graph, ValueId value);
DType known_dtype(const Graph& graph, ValueId value);

/// `value` in a floating or integer type (saturated); float32 for every other type.
Tensor scalar_tensor(DType dtype, double value);

/// Integers of a constant; nullopt when absent or not constant.
std::optional<std::vector<int64_t>> constant_ints(const Graph& graph, ValueId value);

}  // namespace lathe
