// A layer to be repaired: where its weights are, and how rows of its inputs and outputs are read.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "prune/repair.h"

namespace lathe {

struct RepairLayer {
  NodeId node;
  RepairMethod method = RepairMethod::kNone;
  ValueId input;
  ValueId weight;
  /// Where the bias is: an input of `node`, or for a MatMul of the Add behind it. Invalid node: the
  /// layer has no place for one.
  NodeId bias_node;
  size_t bias_input = 0;
  bool input_major = false;  // weight is [inputs, outputs]: MatMul, Gemm without transB
  bool recurrent = false;    // LSTM: groups are directions, outputs are units
  int64_t groups = 1;
  int64_t inputs = 0;   // of a group, times kernel elements
  int64_t outputs = 0;  // of a group
  std::vector<int64_t> kernel;
  std::string note;

  int64_t channels() const { return groups * outputs; }
};

/// How `node` can be repaired; nullopt for nodes that hold nothing to repair. `masked`: its weights
/// hold zeros that must stay.
std::optional<RepairLayer> repair_layer(const Graph& graph, NodeId node, bool masked);

/// Axis of a layer's output (or a BatchNormalization's values) that holds channels.
int64_t channel_axis(OpKind kind, int64_t rank);

/// `count` positions of `all`, ascending and spread evenly, chosen by the seed; all when there are
/// no more.
std::vector<int64_t> choose_positions(int64_t all, int64_t count, uint64_t seed, uint64_t stream);

/// Rows [positions, channels] of a value: a position is everything but the channel axis, in order.
/// `channels` empty: all.
at::Tensor channel_rows(const at::Tensor& value, int64_t axis,
                        const std::vector<int64_t>& positions,
                        const std::vector<int32_t>& channels);
/// Number of positions of a value.
int64_t position_count(const at::Tensor& value, int64_t axis);

/// Rows [positions, groups * inputs] that a layer multiplies with its weights to compute its
/// outputs at these positions (im2col for a Conv, whose zero padding is filled in).
at::Tensor input_rows(const Graph& graph, const RepairLayer& layer, const at::Tensor& input,
                      const std::vector<int64_t>& positions);

/// The layer's weights as [groups, outputs, inputs], and the bias that the node itself adds as
/// [groups, outputs], in double.
at::Tensor layer_weights(const Graph& graph, const RepairLayer& layer);
at::Tensor layer_bias(const Graph& graph, const RepairLayer& layer);

/// Stores weights, and adds to the bias (made where there is none), rounded to the constants' type.
void store_weights(Graph& graph, const RepairLayer& layer, const at::Tensor& weights);
void add_to_bias(Graph& graph, const RepairLayer& layer, const at::Tensor& shift);
/// New values for a node's constant input, of the same shape; a constant that others read, too, is
/// left to them.
void store_constant(Graph& graph, NodeId node, size_t input, const std::vector<double>& values);

}  // namespace lathe
