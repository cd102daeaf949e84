// The op table: one row per OpKind with everything that a pass asks about an op. No ATen here.
// Evaluation is in evaluate/evaluate.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// An element of a small integer tensor as far as shape inference knows it: a number (which may be
/// negative), or a dimension's symbol, or neither.
struct Element {
  std::optional<int64_t> number;
  std::string symbol;
  bool operator==(const Element&) const = default;
};
using Elements = std::vector<Element>;

/// Elements of integer tensors of rank 0 or 1, by ValueId::index (shorter than the graph: unknown).
using KnownElements = std::vector<std::optional<Elements>>;

/// Elements of a tensor that are followed at most: shape computations are short, longer constants
/// are data.
constexpr size_t kMaxFollowedElements = 1024;

/// What a shape or type rule sees of one node.
class InferCall {
 public:
  InferCall(const Graph& the_graph, const Node& the_node, std::vector<ValueType>& the_outputs,
            const KnownElements* known = nullptr)
      : graph(the_graph), node(the_node), outputs(the_outputs), known_(known) {}

  /// Dims of an input, nullptr when absent or of unknown rank.
  const Dims* dims(size_t input) const;
  /// Element type of an input; kUndefined when absent or unknown.
  DType dtype(size_t input) const;
  /// The constant behind an input, nullptr when absent or not constant.
  const Tensor* constant(size_t input) const;
  /// Integers of an input (shape, axes, …) whose numbers are all known; nullopt otherwise.
  std::optional<std::vector<int64_t>> constant_ints(size_t input) const;
  /// Elements of a small integer input of rank 0 or 1; nullopt when their number is unknown.
  std::optional<Elements> elements(size_t input) const;
  bool has(size_t input) const { return node.input(input).valid(); }
  /// Does nothing for an absent output; a rank above kMaxRank stays unknown.
  void set_dims(size_t output, Dims dims);
  /// An axis attribute brought into 0..rank-1; throws Error (exit 3) when out of range.
  int64_t normal_axis(int64_t axis, size_t rank) const;

  const Graph& graph;
  const Node& node;
  std::vector<ValueType>& outputs;  // one per node output; rules fill dims

 private:
  const KnownElements* known_;
};

/// Fills what it can of the outputs' dims, leaves the rest unknown. Throws Error (exit 3) when the
/// node cannot be valid.
using ShapeRule = void (*)(InferCall&);

/// Element type of output `index` from the inputs' types (kUndefined = absent or unknown).
using TypeRule = DType (*)(const Node& node, std::span<const DType> inputs, size_t index);

/// Multiply-accumulates of one execution; nullopt when shapes are unknown.
using MacRule = std::optional<int64_t> (*)(const Graph& graph, const Node& node);

/// How channels of the first input relate to channels of the output; used by quantization
/// (equalization) and pruning.
enum class ChannelFlow : uint8_t {
  kUnknown,      // cannot be followed
  kElementwise,  // channel c of every input and of the output belong together
  kProducer,     // Conv, Gemm, MatMul: output channels are the weight's own
  kPerChannel,   // BatchNormalization, PRelu, …: parameters indexed by channel
  kSpatial,      // pooling, Resize, Pad over space: channel c stays channel c
  kReshape,      // Reshape, Flatten, Transpose, …: needs shape reasoning
  kConcat,
  kSplit,
};

/// What the derivative of an op's evaluate function is computed from; autograd keeps that.
enum class Derivative : uint8_t {
  /// There is none, or none of use: steps (Round, Sign, comparisons, ArgMax, quantization), integer
  /// ops, and what is computed outside of ATen (DeformConv, RoiAlign, NonMaxSuppression, …).
  kNone,
  kOfInputs,
  kOfOutput,
  kConstant,  // the op is linear: of neither
};

/// A number that an attribute gives.
struct OpParameter {
  const char* name = nullptr;
  float usual = 0;  // where the node has no such attribute
};

struct OpRow {
  OpKind kind = OpKind::kOpaque;
  int16_t min_inputs = 0;
  int16_t max_inputs = 0;     // -1: variadic
  int16_t max_outputs = 1;    // -1: variadic
  TypeRule type = nullptr;    // nullptr: the type of input 0
  ShapeRule shape = nullptr;  // nullptr: unknown
  MacRule macs = nullptr;     // nullptr: none
  /// Roles of inputs; -1 = the op has no such input.
  int16_t weight_input = -1;
  int16_t bias_input = -1;
  /// Axis of the weight that holds output channels (ConvTranspose: axis 1 within a group).
  int16_t weight_channel_axis = 0;
  ChannelFlow channels = ChannelFlow::kUnknown;
  /// Output elements are input elements, moved or selected: its quantization can be kept.
  bool keeps_quantization = false;
  /// The same inputs may give other outputs (Random*, Bernoulli, Dropout in training): never
  /// folded.
  bool random = false;
  /// Output element i depends on elements i of the inputs alone; inputs broadcast or are scalars.
  /// (QuantizeLinear and DequantizeLinear: with scalar parameters.)
  bool elementwise = false;
  Derivative derivative = Derivative::kNone;
  /// An activation of hidden layers: lets the positive half pass nearly as it is, not the other.
  bool rectifies = false;
  /// A function of one element that a runtime may compute in the pass of the product before it.
  bool fusable = false;
  /// Of the function of one element that the op is; without a name: no more.
  OpParameter parameters[2] = {};
};

const OpRow& op_row(OpKind kind);

/// The node's value of its row's parameter; 0 when it has no such parameter.
float parameter_of(const Node& node, size_t index);

/// Weight's output-channel axis of this node (Gemm with transB, ConvTranspose, MatMul: last axis);
/// -1 when the op has no weight or a MatMul's weight has no such axis or an unknown rank.
int64_t weight_channel_axis(const Graph& graph, const Node& node);

/// Fills types and dims of every value of the graph and its subgraphs from inputs and constants,
/// keeping what was declared where no rule knows better. Declared sizes of graph outputs are kept
/// even when a rule disagrees (old exporters lie); other values take the rule's. Throws Error
/// (exit 3, where = "node NAME (Type)") for nodes that cannot be valid.
void infer_shapes(Graph& graph);

/// The same for the outputs of one node whose inputs are inferred already, while a graph is being
/// built. `known` holds the elements found so far and grows.
void infer_node(Graph& graph, NodeId id, KnownElements& known);

/// Multiply-accumulates of the whole graph at the known shapes; nodes whose shapes are unknown are
/// counted in `unknown_nodes`.
struct MacCount {
  int64_t macs = 0;
  int64_t unknown_nodes = 0;
};
MacCount count_macs(const Graph& graph);

}  // namespace lathe
