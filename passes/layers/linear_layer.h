// A layer with constant weights, read as the product of its input's rows with a matrix: where its
// weights and bias are, how rows of its inputs and outputs are read, and how new values get there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace at {
class Tensor;
}

namespace lathe {

/// Conv, ConvTranspose, Gemm or MatMul with constant float32 weights.
struct LinearLayer {
  NodeId node;
  ValueId input;
  ValueId weight;
  /// Where the bias is: an input of `node`, or for a MatMul of the Add behind it. Invalid node: the
  /// layer has no place for one.
  NodeId bias_node;
  size_t bias_input = 0;
  bool input_major = false;  // weight is [inputs, outputs]: MatMul, Gemm without transB
  int64_t groups = 1;
  int64_t inputs = 0;   // of a group, times kernel elements
  int64_t outputs = 0;  // of a group
  std::vector<int64_t> kernel;
  /// False: the form is not supported (weights of other ranks, scaled or transposed Gemm).
  bool supported = false;

  int64_t channels() const { return groups * outputs; }
};

/// nullopt for other nodes, and for weights that are no float32 constants.
std::optional<LinearLayer> linear_layer(const Graph& graph, NodeId node);

/// Normal equations of more unknowns take too much memory; the groups' squares count together.
bool too_many_unknowns(const LinearLayer& layer);

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
/// outputs at these positions (im2col for a Conv, whose zero padding is filled in). Not for
/// ConvTranspose.
at::Tensor input_rows(const Graph& graph, const LinearLayer& layer, const at::Tensor& input,
                      const std::vector<int64_t>& positions);

/// The layer's weights as [groups, outputs, inputs], and the bias that the node itself adds as
/// [groups, outputs], in double.
at::Tensor layer_weights(const Graph& graph, const LinearLayer& layer);
at::Tensor layer_bias(const Graph& graph, const LinearLayer& layer);
/// `values` of the weight's shape in the same order as layer_weights().
at::Tensor as_layer_weights(const LinearLayer& layer, const Tensor& values);

/// Stores weights, and adds to the bias (made where there is none), rounded to the constants' type.
void store_weights(Graph& graph, const LinearLayer& layer, const at::Tensor& weights);
void add_to_bias(Graph& graph, const LinearLayer& layer, const at::Tensor& shift);
/// New values for a node's constant input, of the same shape; a constant that others read, too, is
/// left to them.
void store_constant(Graph& graph, NodeId node, size_t input, const std::vector<double>& values);

}  // namespace lathe
