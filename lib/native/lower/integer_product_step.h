// Products of quantized values with constant integer weights, as steps.
#pragma once

#include <optional>
#include <vector>

#include "lower/lowering.h"

namespace lathe {

/// int8 with zero point 0: columns x taps x depth (as lists of ONNX's weights: columns x depth x
/// taps until move_channels_last).
struct IntegerWeights {
  std::vector<int8_t> values;
  std::vector<float> scales;  // one per column
  int64_t columns = 0;
  int64_t depth = 0;  // input channels of a group
  int64_t taps = 1;

  void move_channels_last();
};

/// The weights behind input `index` of `node`; `axis` is that of the columns. `transpose`: a matrix
/// with the columns on axis 1. nullopt: not such weights.
std::optional<IntegerWeights> integer_weights(const Graph& graph, const Node& node, size_t index,
                                              int64_t axis, bool transpose);

/// `count` floats of a constant bias; zeros when it is absent, nullopt when it is not constant or
/// no vector.
std::optional<std::vector<float>> bias_floats(const Lowering& lowering, ValueId id, int64_t count);

/// Every `step`-th of an axis of the output, from `start` on.
struct OutputSteps {
  int64_t start = 0, step = 1;
};

struct IntegerProduct {
  ViewId input;
  ChannelAxis axis = ChannelAxis::kSecond;
  PlanWindow window;
  int64_t groups = 1;
  std::vector<float> bias;
  IntegerWeights weights;
  OutputSteps rows, columns;  // which pixels it makes
  bool is_transposed = false;
};

/// The same of a ConvTranspose of `groups`; channels last already.
std::optional<IntegerWeights> transposed_weights(const Graph& graph, const Node& node, size_t index,
                                                 int64_t groups);

/// Adds the steps with what follows `value`, the result in the graph: each makes some of its pixels.
bool add_integer_products(Lowering& lowering, NodeId id, ValueId value,
                          std::vector<IntegerProduct> products, bool depthwise,
                          std::vector<NodeId> also = {});
bool add_integer_product(Lowering& lowering, NodeId id, ValueId value, IntegerProduct product,
                         bool depthwise, std::vector<NodeId> also = {});

/// The name of the kernels' and plans' enumerators for it: ONNX's but for Silu and GeluTanh.
std::string_view kernel_name(const ActivationForm& form);

/// An activation as a float product's tail; false: it has no such form.
bool float_tail(const ActivationForm& form, FloatTail& tail);

}  // namespace lathe
