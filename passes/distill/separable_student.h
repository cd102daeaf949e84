// Dense convolutions replaced by depthwise separable ones (Chollet: "Xception", 2017; Howard et
// al.: "MobileNets", 2017): one filter for each input channel, then a product over channels.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace lathe {

struct SeparableOptions {
  std::function<bool(const Node&)> selects;  // empty: every node
  int64_t min_inputs = 4;                    // channels
  int64_t min_outputs = 8;
};

struct SeparableRow {
  NodeId node;
  std::string name;  // of the node
  /// ‖W − W'‖ / ‖W‖, where W' is the product of both new weights.
  double relative_error = 0;
  int64_t params_before = 0;  // of the weight
  int64_t params_after = 0;
  /// nullopt: shapes are unknown.
  std::optional<int64_t> macs_before;
  std::optional<int64_t> macs_after;
  Tensor depthwise;  // [inputs, 1, kernel…]
  Tensor pointwise;  // [outputs, inputs, 1…]
};

struct SeparablePlan {
  std::vector<SeparableRow> rows;  // in order of execution
};

/// Given: Conv of one group, a kernel of more than one element and a float constant weight that
/// nothing else reads. For each input channel, its filters (outputs x kernel elements) are
/// approximated by the nearest matrix of rank 1: a column of the pointwise weight times a depthwise
/// filter of the same norm, whose largest element is positive. A convolution that would not get
/// smaller stays.
SeparablePlan plan_separable(const Graph& graph, const SeparableOptions& options = {});

/// Executes the plan: a depthwise Conv (group = input channels) with the strides, pads and
/// dilations, and the planned node as 1x1 Conv with the bias. Ids of nodes and values stay. Shapes
/// are inferred anew. Returns the number of convolutions replaced.
int make_separable(Graph& graph, const SeparablePlan& plan);

}  // namespace lathe
