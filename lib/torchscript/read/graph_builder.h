// The graph under construction and, inside branches and loop bodies, the graphs within it. Types
// of new values are inferred at once, because TorchScript asks for sizes while it runs.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "ir/graph.h"
#include "ops/op_row.h"
#include "torchscript/read/abstract_value.h"

namespace lathe {

/// One graph under construction.
struct BuildScope {
  Graph graph;
  KnownElements known;
  std::vector<ValueId> captures;           // values of the scope around it
  std::map<ValueId, ValueId> captured_as;  // outer value -> value here
  std::map<std::tuple<const void*, DType, Shape>, ValueId> constants;  // by bytes
};

/// A finished inner graph and the outer values that it reads.
struct FinishedScope {
  Graph graph;
  std::vector<ValueId> captures;
};

class GraphBuilder {
 public:
  /// Depth 0 is the whole graph.
  GraphBuilder();

  Graph& graph() { return scopes_.back()->graph; }
  int scope() const { return static_cast<int>(scopes_.size()) - 1; }
  void open_scope();
  /// Takes the innermost graph away, to be put back at the same depth.
  std::unique_ptr<BuildScope> take_scope();
  void put_scope(std::unique_ptr<BuildScope> scope);
  /// The innermost graph, with `outputs` (values of it) as its outputs and without dead nodes.
  FinishedScope close_scope(const std::vector<ValueId>& outputs);

  /// The cell's value in the innermost graph: captured, or added as a constant, when it is not
  /// there yet.
  ValueId use(const TensorCell& cell);
  ValueId constant(Tensor tensor, std::string name = {});

  /// A new node with `count` outputs whose types and dims are inferred. Throws Error (exit 3) when
  /// the node cannot be valid, exit 8 when the graph gets too large.
  std::vector<ValueId> emit_many(OpKind kind, std::vector<ValueId> inputs, size_t count,
                                 Attributes attributes = {});
  ValueId emit(OpKind kind, std::vector<ValueId> inputs, Attributes attributes = {});
  /// An If or Loop with finished bodies; the outputs' types are those given.
  std::vector<ValueId> emit_control_flow(OpKind kind, std::vector<ValueId> inputs,
                                         std::vector<std::pair<std::string, FinishedScope>> bodies,
                                         std::vector<ValueType> types);

  const ValueType& type(ValueId value) { return graph().value(value).type; }
  /// The one number of an integer or bool value of rank 0 (or of length 1), as far as inference
  /// knows it.
  Element element(ValueId value);
  /// Nodes to come are named after this op ("aten::conv2d") and carry its source line.
  void set_origin(std::string_view kind, std::string_view source);

 private:
  ValueId use_at(size_t scope, size_t from, ValueId value);
  ValueId constant_at(BuildScope& scope, Tensor tensor, std::string name);
  void count_node();
  std::string next_name(std::string_view base);

  std::vector<std::unique_ptr<BuildScope>> scopes_;
  int64_t node_total_ = 0;
  int64_t name_total_ = 0;
  std::string origin_;
  std::string source_;
};

/// Erases nodes that nothing reads, and constants and captured values without users.
void erase_dead(Graph& graph);

/// `outputs` as values that nodes of the graph produce, each once: an Identity is put behind
/// inputs, constants, captured values and repetitions, as ONNX wants of graph outputs.
std::vector<ValueId> produced_outputs(GraphBuilder& builder, const std::vector<ValueId>& outputs);

}  // namespace lathe
