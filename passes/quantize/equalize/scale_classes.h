// Values whose channels may be scaled together without a change of the network's function: the
// ground that cross-layer equalization stands on.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.h"

namespace lathe {

struct ScaledValue {
  ValueId value;
  int64_t axis = 1;  // of its channels
  bool operator==(const ScaledValue&) const = default;
};

/// Channel c of all `values` may be multiplied by one positive factor s[c]: what makes them takes
/// s[c] in, what reads them takes 1/s[c].
struct ScaleClass {
  int64_t channels = 0;
  std::vector<ScaledValue> values;  // by ValueId
  /// Conv, ConvTranspose, Gemm, MatMul (weight and bias), LayerNormalization, BatchNormalization,
  /// InstanceNormalization (scale and bias), Mul by a constant per channel.
  std::vector<NodeId> producers;
  /// Conv, ConvTranspose, Gemm, MatMul, Mul by a constant per channel. A node may stand among the
  /// producers of the same class, and of another.
  std::vector<NodeId> consumers;
  /// Add and Sub of a constant: it takes s[c] in.
  std::vector<NodeId> offsets;
  /// Clip nodes with a finite upper bound, which stays as it is: the values before must not come
  /// to reach it, and where they do, s[c] must be 1.
  std::vector<NodeId> bounds;
};

/// All classes of the top graph, in order of their first value. Between producers and consumers lie
/// Relu, LeakyRelu, PRelu, Clip from 0 (or without lower bound), Identity, Dropout, Add and Sub of
/// two members, pooling, Resize, mean over space, Flatten and Reshape of 1x1 pictures. Left out is
/// a class with any other reader or writer, a graph input or output, a value that a body of control
/// flow reads, a value that is not float32 or whose channels are not known, or a weight that other
/// nodes read, too.
std::vector<ScaleClass> find_scale_classes(const Graph& graph);

/// Which input of a Mul, Add or Sub is its only constant; -1 when none or both are.
int constant_operand(const Graph& graph, const Node& node);

}  // namespace lathe
