// Weights as integers in the file, arithmetic in float: --mode weight-only, and in --mode dynamic
// the weights of nodes that the runtime has no integer arithmetic for.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"
#include "quantize/apply/quantize_blocks.h"
#include "quantize/plan/precision_plan.h"

namespace lathe {

struct WeightStorageRules {
  DType dtype = DType::kInt8;  // int8 or int4; depthwise filters are int8 all the same
  bool per_channel = true;     // false: one scale a weight
  /// Elements along the input axis that share a scale of int4, the last of a longer axis fewer
  /// where that does not divide it; of a shorter axis 16 where that does, else a whole channel.
  int64_t block_size = 32;
  /// Tables in blocks of 4 bits, too, which ONNX's Gather does not read: else they are int8.
  bool four_bit_tables = false;
  /// Only weights of these ops; empty: all that are known to have some.
  std::set<OpKind> kinds;
  /// Why a node stays as it is; empty text: it does not. Empty function: every node is meant.
  std::function<std::string(const Node&)> obstacle;
};

/// A float32 constant that becomes integers. Nodes that read the same constant share them.
struct StoredWeight {
  ValueId value;
  std::vector<std::pair<NodeId, size_t>> readers;  // node and input
  DType dtype = DType::kInt8;
  ScaleLayout layout;
  std::optional<Tensor> scales = {};  // that its elements are multiples of; else chosen by storing
};

struct WeightStoragePlan {
  std::vector<StoredWeight> weights;
  std::vector<PlanException> exceptions;                          // of the graph's bodies, too
  std::map<std::pair<NodeId, size_t>, WeightStoragePlan> bodies;  // of If, Loop, Scan

  bool empty() const;
};

/// Takes W of Conv, ConvTranspose, Gemm and MatMul, W and R of LSTM, GRU and RNN, and tables of
/// 4096 elements and 1/128 of all weights and more that a Gather reads; bodies included. int8: one scale per output channel,
/// per row of a recurrent weight, per column of a table (which then is gathered as integers).
/// Throws Error (exit 3) for weights that are NaN or infinite. Types must have been inferred.
WeightStoragePlan plan_weight_storage(const Graph& graph, const WeightStorageRules& rules);

/// What storing did to the weights' numbers.
struct StoredNoise {
  double noise = 0;  // sums of squares
  double signal = 0;
};

/// Given:  y = op(x, W)
/// Result: y = op(x, DequantizeLinear(W8, scale)); y = Gather(W, i) with scales along W's last axis
///         becomes DequantizeLinear(Gather(W8, i), scale), which expands what was gathered alone.
/// Returns the number of weights.
int store_integer_weights(Graph& graph, const WeightStoragePlan& plan, StoredNoise& noise);

}  // namespace lathe
