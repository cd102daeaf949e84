// The state of a lowering: the plan so far, and in which forms each value of the graph is there.
// The files lower_*.cpp are functions on it, one family of ops each.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "lower/lower_graph.h"
#include "lower/plan_builder.h"
#include "lower/quantized_roots.h"
#include "run/constant_value.h"

namespace lathe {

class Lowering {
 public:
  explicit Lowering(const Graph& graph, LowerOptions options = {});

  const Graph& graph;
  LowerOptions options;
  PlanBuilder build;
  QuantizedRoots roots;
  std::vector<Graph> partitions;

  // -- what is known of a value --------------------------------------------------------------
  /// nullopt: a dimension is unknown, or it is no tensor of numbers.
  std::optional<Shape> shape(ValueId id) const;
  bool is_float(ValueId id) const { return graph.value(id).type.dtype == DType::kFloat32; }
  bool stays_float(NodeId id) const { return options.float_nodes.contains(graph.node(id).name); }
  /// Integers of a constant input; nullopt when absent or not constant.
  std::optional<std::vector<int64_t>> constant_ints(ValueId id) const;

  // -- forms of a value: each is made when first asked for -----------------------------------
  /// The uint8 array that stands for a quantized value (or for what only moves its elements);
  /// invalid when the value is not quantized.
  ViewId integers(ValueId id);
  /// The value itself in its own type, any strides.
  ViewId real(ValueId id);
  /// `real` without gaps in the order of the dimensions.
  ViewId dense(ValueId id) { return dense_of(real(id)); }
  /// `real` of what a product reads: for LowerOptions::float_nodes of the value before it was
  /// quantized, where that exists.
  ViewId real_input(NodeId id, size_t index);
  bool has_integers(ValueId id);
  bool has_real(ValueId id) const { return at(id).real.valid(); }

  void set_integers(ValueId id, ViewId view) { at(id).integers = view; }
  void set_real(ValueId id, ViewId view) { at(id).real = view; }
  void set(ValueId id, ViewId view, bool integers) {
    (integers ? at(id).integers : at(id).real) = view;
  }
  /// A new array for the value, its dimensions in memory in `order`: with `params` its integers,
  /// else the value itself.
  ViewId add_output(ValueId id, const Shape& shape, const std::vector<int64_t>& order,
                    const std::optional<ScaleZeroPoint>& params = {}, DType real = DType::kFloat32);
  int32_t add_slot(ValueId id);
  /// A constant whose type has no array form gets a slot.
  void hold_constant(ValueId id);
  int32_t slot(ValueId id) const { return at(id).slot; }

  // -- forms of a view -----------------------------------------------------------------------
  ViewId dense_of(ViewId id);
  /// Channels (axis 1) side by side, in the arena.
  ViewId pixels_of(ViewId id);
  /// The same at one distance from pixel to pixel.
  ViewId pixel_rows_of(ViewId id);
  /// The same without gaps between pixels.
  ViewId dense_pixels_of(ViewId id);
  /// What a table can walk through.
  ViewId table_rows_of(ViewId id);
  /// int8 as uint8 with a zero point that is 128 greater, or back: a table.
  ViewId shifted(ViewId id, DType type);
  /// As `id`, in other integers: a table.
  ViewId requantized(ViewId id, const ScaleZeroPoint& params);

  // -- progress ------------------------------------------------------------------------------
  void finish(NodeId id) { done_.insert(id); }
  bool is_finished(NodeId id) const { return done_.contains(id); }
  /// Adds a step that computes `nodes`, the first of which gives it its name; all are finished.
  void add_step(const std::vector<NodeId>& nodes, StepKind kind);
  /// The node joins the fallback partition that is being gathered.
  void add_to_partition(NodeId id) { open_partition_.push_back(id); }
  void close_partition();
  /// Elementwise nodes that are computed with the one that reads them.
  void defer(NodeId id) { deferred_.insert(id); }
  bool is_deferred(ValueId id) const {
    const NodeId producer = graph.value(id).producer;
    return producer.valid() && deferred_.contains(producer);
  }

 private:
  struct Forms {
    ViewId real;
    ViewId integers;
    int32_t slot = -1;
  };
  Forms& at(ValueId id) { return forms_[static_cast<size_t>(id.index)]; }
  const Forms& at(ValueId id) const { return forms_[static_cast<size_t>(id.index)]; }
  /// A pending fallback partition that makes the value is closed.
  void require_fallback_of(ValueId id);
  ViewId looked_up(ValueId root, ValueId id, DType type);
  /// An array for a table's results: as `from`, which table_rows_of gave, lies in memory.
  ViewId add_table_output(const std::string& name, DType type, ViewId from);

  std::vector<Forms> forms_;
  std::map<ViewId, ViewId> dense_;
  ViewId copied_pixels(ViewId id);

  std::map<ViewId, ViewId> pixels_;
  std::set<NodeId> done_;
  std::set<NodeId> deferred_;
  std::vector<NodeId> open_partition_;
};

/// A part of a graph as a graph: `nodes` in order, `inputs` in place of the values that they read
/// from outside (constants are copied), `outputs` of theirs.
Graph extract_part(const Graph& graph, const std::vector<NodeId>& nodes,
                   const std::vector<ValueId>& inputs, const std::vector<ValueId>& outputs);

/// What follows a product and is computed with it.
struct ProductTail {
  std::vector<NodeId> nodes;
  ValueId output;  // what the step writes
  std::optional<ActivationForm> activation;
  std::optional<QuantizedArray> quantized;  // of the product's own output
  // Residual: own -> quantized -> Add with `residual` -> [clamp] -> sum_quantized.
  ValueId residual;  // a quantized value
  bool residual_first = false;  // of the Add's inputs
  std::optional<ActivationBounds> sum_clamp;
  std::optional<QuantizedArray> sum_quantized;
  ValueId table_root;  // `output` is a function of this quantized value
};
ProductTail follow_product(Lowering& lowering, ValueId value);

/// A clamp's bound as the kernels take it: at most float's greatest number, at least its negative.
float finite_bound(double bound);

/// `axis` of a value with `rank` dimensions, which may be counted from the back.
size_t normal_axis(int64_t axis, size_t rank);

/// 256 results of the nodes between `root` and `id`, as uint8 (int8 shifted) or float32.
Tensor function_table(const Lowering& lowering, ValueId root, ValueId id);

// One function per family; false: there is no native kernel for this node. Nothing has changed
// then.
bool lower_convolution(Lowering& lowering, NodeId id);
bool lower_matrix_product(Lowering& lowering, NodeId id);
bool lower_elementwise(Lowering& lowering, NodeId id);
bool lower_quantize(Lowering& lowering, NodeId id);
bool lower_movement(Lowering& lowering, NodeId id);
bool lower_concat(Lowering& lowering, NodeId id);
bool lower_pad(Lowering& lowering, NodeId id);
bool lower_pool(Lowering& lowering, NodeId id);
/// A ReduceMean over all pixels, of integers to integers.
bool lower_integer_mean(Lowering& lowering, NodeId id, std::vector<int64_t> axes);
bool lower_softmax(Lowering& lowering, NodeId id);
bool lower_layer_norm(Lowering& lowering, NodeId id);
bool lower_reduce(Lowering& lowering, NodeId id);
bool lower_resize(Lowering& lowering, NodeId id);
bool lower_recurrent(Lowering& lowering, NodeId id);
bool lower_dynamic_quantize(Lowering& lowering, NodeId id);
bool lower_integer_matmul(Lowering& lowering, NodeId id);
bool lower_cast(Lowering& lowering, NodeId id);

}  // namespace lathe
