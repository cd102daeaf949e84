// How channels go through one node: a rule per op reads the atoms of the inputs' axes and gives
// those of the outputs. What a rule does not take is blocked by the walk, so that an op without a
// rule, or a form that a rule does not know, is safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "prune/channel_atoms.h"

namespace lathe {

/// Which axis of several carries the channels behind a Reshape, by node index.
using CutChoices = std::map<int32_t, int>;

/// An axis of an input.
struct InputAxis {
  size_t input = 0;
  int64_t axis = 0;
};

class FlowCall {
 public:
  FlowCall(const Graph& the_graph, NodeId the_id, ChannelFlows& flows, const CutChoices& choices);

  const Graph& graph;
  const NodeId id;
  const Node& node;

  bool has(size_t input) const { return node.input(input).valid(); }
  const Tensor* constant(size_t input) const;
  /// Elements of a constant integer input.
  std::optional<std::vector<int64_t>> ints(size_t input) const;
  /// nullptr when absent or of unknown rank.
  const Dims* dims(size_t input) const;
  const Dims* out_dims(size_t output = 0) const;
  /// -1 when absent or unknown.
  int64_t rank(size_t input) const;
  int64_t out_rank(size_t output = 0) const;
  int64_t size(size_t input, int64_t axis) const;
  /// "Conv_12 (Conv)".
  std::string label() const;

  /// The atoms of an axis, which count as followed from here on; nullptr when there are none.
  Positions take(size_t input, int64_t axis);
  /// The same without taking.
  Positions look(size_t input, int64_t axis) const;
  /// Sets the atoms of an output's axis; nullptr does nothing.
  void give(int64_t axis, const Positions& positions, size_t output = 0);
  void pass(size_t input, int64_t axis, int64_t out_axis, size_t output = 0);

  /// New atoms that no layer stands for.
  Positions fresh(int64_t count);
  /// New channels that this node produces.
  Positions produce(int64_t count);
  /// The same for an output axis of known size when the weight is no constant: blocked.
  void produce_blocked(int64_t axis, size_t weight);
  /// A constant's axis whose positions are these channels.
  void use(size_t input, int64_t axis, ChannelRole role, const Positions& positions);
  /// What stands beside `base` on another operand's axis (bias, scale, other summand): a
  /// constant's axis is used, an activation's is united; size 1 and absent operands are fine.
  void join(const Positions& base, size_t input, int64_t axis, ChannelRole role);
  /// Brings the axes together, position by position as in broadcasting. nullptr when none carries
  /// channels and no constant brings any.
  Positions meet(const std::vector<InputAxis>& axes);
  void unite(const Positions& a, const Positions& b);
  void unite(Atom a, Atom b);
  void block(const Positions& positions, const std::string& reason);
  void mark_hidden(const Positions& positions);
  /// New axis whose position i is `atoms[i]`; nullptr beyond kMaxPositions.
  Positions make(std::vector<Atom> atoms);

  /// Of `options` axes the one to carry `atoms`; `cheapest` unless another was chosen.
  int carried(int options, int cheapest, const Positions& atoms);
  ChannelAtoms& atoms() { return flows_.atoms; }
  /// Blocks every input axis that was not taken.
  void finish();

 private:
  struct Use {
    size_t input = 0;
    int64_t axis = 0;
    Positions positions;
  };
  std::string untaken_reason() const;
  bool same_channels(const std::vector<Atom>& a, const std::vector<Atom>& b) const;
  void check_shared_operands();
  Positions constant_channels(const std::vector<InputAxis>& axes);

  ChannelFlows& flows_;
  const CutChoices& choices_;
  std::vector<std::vector<bool>> taken_;  // by input, axis
  std::vector<Use> used_;
};

using FlowRule = void (*)(FlowCall&);

/// nullptr: no rule.
FlowRule flow_rule(OpKind kind);

namespace flow {

/// An axis of `count`, or a place among as many, counted from the front also when `index` counts
/// from the back; nullopt when it is out of range.
std::optional<int64_t> from_front(int64_t index, int64_t count);

// channel_flow_layers.cpp
void conv(FlowCall& call);
void conv_transpose(FlowCall& call);
void gemm(FlowCall& call);
void matmul(FlowCall& call);
void lstm(FlowCall& call);
void gru(FlowCall& call);
void rnn(FlowCall& call);
void attention(FlowCall& call);
// channel_flow_elementwise.cpp
void broadcast(FlowCall& call);
void first_only(FlowCall& call);
void batch_normalization(FlowCall& call);
void instance_normalization(FlowCall& call);
void behind_axis(FlowCall& call);
void all_but_axis(FlowCall& call);
void all_but_channels(FlowCall& call);
void mean_variance(FlowCall& call);
void cumulative(FlowCall& call);
void batch_only(FlowCall& call);
void pool(FlowCall& call);
void reduce(FlowCall& call);
void arg_reduce(FlowCall& call);
void trilu(FlowCall& call);
void reverse_sequence(FlowCall& call);
// channel_flow_reshape.cpp
void reshape(FlowCall& call);
void transpose(FlowCall& call);
void depth_to_space(FlowCall& call);
void space_to_depth(FlowCall& call);
// channel_flow_select.cpp
void concat(FlowCall& call);
void split(FlowCall& call);
void slice(FlowCall& call);
void gather(FlowCall& call);
void pad(FlowCall& call);
void constant_of_shape(FlowCall& call);
void expand(FlowCall& call);
void tile(FlowCall& call);
void resize(FlowCall& call);
void shape(FlowCall& call);

}  // namespace flow
}  // namespace lathe
