// The graph that every pass reads and edits: nodes and values in two vectors, addressed by id.
// Copying a graph copies the two vectors; constants are shared and never edited in place.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/attribute.h"
#include "ir/op_kind.h"
#include "ir/tensor.h"

namespace lathe {

struct NodeId {
  int32_t index = -1;
  bool valid() const { return index >= 0; }
  auto operator<=>(const NodeId&) const = default;
};

struct ValueId {
  int32_t index = -1;
  /// An absent optional input or output is an invalid id.
  bool valid() const { return index >= 0; }
  auto operator<=>(const ValueId&) const = default;
};

/// A dimension: a size, a named unknown ("batch"), or an unnamed unknown.
struct Dim {
  int64_t size = -1;
  std::string symbol;

  bool known() const { return size >= 0; }
  static Dim of(int64_t size) { return {size, {}}; }
  static Dim named(std::string symbol) { return {-1, std::move(symbol)}; }
  bool operator==(const Dim&) const = default;
};

using Dims = std::vector<Dim>;

/// "Nx3x224x224"; "?" for an unnamed unknown; "scalar" for rank 0.
std::string dims_text(const Dims& dims);
/// The sizes when all are known.
std::optional<Shape> static_shape(const Dims& dims);
Dims dims_of(const Shape& shape);

/// What a value holds. Almost always a tensor; sequences and optionals name their element.
struct ValueType {
  enum class Kind : uint8_t { kTensor, kSequence, kOptional, kOther };
  Kind kind = Kind::kTensor;
  DType dtype = DType::kUndefined;           // of a tensor; undefined = not known
  std::optional<Dims> dims;                  // of a tensor; nullopt = rank not known
  std::shared_ptr<const ValueType> element;  // of a sequence or optional
  std::string other_bytes;                   // kOther (map, sparse tensor, opaque): its TypeProto

  bool is_tensor() const { return kind == Kind::kTensor; }
};

/// ValueType of a tensor.
ValueType tensor_type(DType dtype, std::optional<Dims> dims = std::nullopt);

struct Value {
  std::string name;
  ValueType type;
  NodeId producer;                 // invalid: graph input, captured value or constant
  int output_index = -1;           // which output of the producer
  std::optional<Tensor> constant;  // set: an initializer
  std::vector<NodeId> users;       // one entry per use, in order of use creation

  bool is_constant() const { return constant.has_value(); }
};

class Graph;

/// A graph held by value inside a node (body of If, Loop, Scan, SequenceMap).
class Subgraph {
 public:
  Subgraph(std::string attribute, Graph graph);
  Subgraph(const Subgraph& other);
  Subgraph& operator=(const Subgraph& other);
  Subgraph(Subgraph&&) noexcept;
  Subgraph& operator=(Subgraph&&) noexcept;
  ~Subgraph();

  Graph& graph() { return *graph_; }
  const Graph& graph() const { return *graph_; }

  std::string attribute;  // "then_branch", "body", …
  /// Outer values read inside; captures[i] is graph().captured()[i] inside. They count as uses.
  std::vector<ValueId> captures;

 private:
  std::unique_ptr<Graph> graph_;
};

struct Node {
  OpKind kind = OpKind::kOpaque;
  std::string name;
  std::string opaque_domain;  // only of kOpaque
  std::string opaque_type;    // only of kOpaque
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  Attributes attributes;
  std::vector<Subgraph> subgraphs;
  std::string doc;
  std::map<std::string, std::string> metadata;

  /// The i-th input, or an invalid id when there are fewer.
  ValueId input(size_t i) const { return i < inputs.size() ? inputs[i] : ValueId{}; }
  ValueId output(size_t i) const { return i < outputs.size() ? outputs[i] : ValueId{}; }
  /// "Conv", or an opaque node's own type.
  std::string_view type_name() const {
    return kind == OpKind::kOpaque ? std::string_view(opaque_type) : op_name(kind);
  }
  std::string_view domain() const {
    return kind == OpKind::kOpaque ? std::string_view(opaque_domain) : op_domain(kind);
  }
};

class Graph {
 public:
  std::string name;
  std::string doc;

  // -- building ------------------------------------------------------------------------------
  /// Value names are unique in a graph; an empty or taken name gets a numbered suffix.
  ValueId add_input(std::string name, ValueType type);
  ValueId add_constant(std::string name, Tensor tensor);
  /// A value of the enclosing graph, seen inside a subgraph.
  ValueId add_captured(std::string name, ValueType type);
  /// A value that no node produces yet: an output to be of a node to come.
  ValueId add_value(std::string name, ValueType type = {});
  /// Outputs must be values without producer. An empty name becomes "Conv_12" (the node's number).
  NodeId add_node(Node node);
  /// Convenience: a node with one new output named `output_name`.
  ValueId add_op(OpKind kind, std::vector<ValueId> inputs, std::string output_name,
                 Attributes attributes = {}, std::string node_name = {});
  void set_outputs(std::vector<ValueId> outputs);
  void set_inputs(std::vector<ValueId> inputs);

  // -- reading -------------------------------------------------------------------------------
  const Node& node(NodeId id) const;
  const Value& value(ValueId id) const;
  const std::vector<ValueId>& inputs() const { return inputs_; }
  const std::vector<ValueId>& outputs() const { return outputs_; }
  const std::vector<ValueId>& captured() const { return captured_; }
  bool is_live(NodeId id) const;
  bool is_live(ValueId id) const;
  /// Live ids in ascending order.
  std::vector<NodeId> node_ids() const;
  std::vector<ValueId> value_ids() const;
  size_t node_count() const;
  /// Live nodes, producers before users; a node that was inserted stands just before its first
  /// user, everything else in order of creation. Throws Error (exit 3) that names a cycle.
  std::vector<NodeId> order() const;
  ValueId find_value(std::string_view name) const;
  NodeId find_node(std::string_view name) const;
  bool is_input(ValueId id) const;
  bool is_output(ValueId id) const;
  /// The constant behind an input of a node, nullptr when absent or not constant.
  const Tensor* constant(ValueId id) const;
  /// The only user, when there is exactly one use and the value is no graph output.
  std::optional<NodeId> single_user(ValueId id) const;

  // -- editing -------------------------------------------------------------------------------
  /// Attributes, kind, name, doc, metadata and subgraph bodies may be edited freely through this;
  /// inputs, outputs and captures only through the functions below.
  Node& edit(NodeId id);
  /// Type and name (keep it unique: see rename) may be edited freely.
  ValueType& edit_type(ValueId id);
  void rename(ValueId id, std::string name);
  void replace_input(NodeId node, size_t index, ValueId value);
  void add_node_input(NodeId node, ValueId value);
  /// Drops trailing inputs so that `count` are left.
  void truncate_inputs(NodeId node, size_t count);
  void truncate_outputs(NodeId node, size_t count);
  void replace_capture(NodeId node, size_t subgraph, size_t index, ValueId value);
  /// Captures an outer value inside a subgraph of `node`; returns the inner value.
  ValueId add_capture(NodeId node, size_t subgraph, ValueId outer);
  /// Drops captures whose inner value has no user and is no output.
  void drop_unused_captures(NodeId node);
  /// All uses of `from`, graph outputs included, become uses of `to`.
  void replace_all_uses(ValueId from, ValueId to);
  /// Like replace_all_uses, but a graph output keeps its name: `to` takes `from`'s name.
  void replace_all_uses_keeping_output_name(ValueId from, ValueId to);
  /// The outputs must be unused; they die with the node.
  void erase_node(NodeId id);
  /// The value must be unused and have no producer.
  void erase_value(ValueId id);
  /// Gives an unproduced value a constant, or replaces one.
  void set_constant(ValueId id, Tensor tensor);
  /// A name that no value has yet, starting with `base`.
  std::string fresh_name(std::string_view base) const;

 private:
  ValueId new_value(std::string name, ValueType type);
  void add_use(ValueId value, NodeId user);
  void drop_use(ValueId value, NodeId user);
  Node& live(NodeId id);
  Value& live(ValueId id);

  std::vector<std::optional<Node>> nodes_;
  std::vector<std::optional<Value>> values_;
  std::vector<ValueId> inputs_;
  std::vector<ValueId> outputs_;
  std::vector<ValueId> captured_;
  std::map<std::string, ValueId, std::less<>> by_name_;
};

/// Calls `visit(const Graph&)` for the graph and, depth first, for every subgraph inside it.
template <class Visit>
void for_each_graph(const Graph& graph, Visit visit) {
  visit(graph);
  for (const NodeId id : graph.node_ids())
    for (const Subgraph& subgraph : graph.node(id).subgraphs)
      for_each_graph(subgraph.graph(), visit);
}

}  // namespace lathe
