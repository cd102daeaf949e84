// Which nodes of a QDQ graph become LibTorch's quantized operators: plan, then apply.
//
// A QDQ graph says where values are integers: QuantizeLinear writes them, every reader has its own
// DequantizeLinear. Between two such borders a group (an op, its bias and its activation) is one
// quantized operator on 8-bit tensors. What no operator matches keeps running in float between
// aten::dequantize and aten::quantize_per_tensor, as the graph says.
//
// Activations are quint8 in LibTorch: int8 values and zero points are shifted by 128, which changes
// nothing else. Weights are qint8 with zero point 0, uint8 weights around 128 are shifted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "ir/quantization.h"
#include "ops/activation_fusion.h"

namespace lathe {

/// LibTorch's integer kernels. oneDNN's u8 x s8 products saturate at 16 bits on processors without
/// VNNI; QNNPACK is made for Arm.
enum class QuantizedEngine : uint8_t { kOnednn, kQnnpack };

/// "onednn", "qnnpack".
std::string_view engine_name(QuantizedEngine engine);
std::optional<QuantizedEngine> quantized_engine_from_name(std::string_view name);

/// What a group becomes. The last five leave scale and zero point as they are.
enum class QuantizedOp : uint8_t {
  kConv,           // quantized::conv{1,2,3}d, _relu
  kConvTranspose,  // quantized::conv_transpose{1,2,3}d
  kLinear,         // quantized::linear, _relu (Gemm, MatMul with a constant)
  kAdd,            // quantized::add, _relu
  kMul,            // quantized::mul, _relu
  kConcat,         // quantized::cat, _relu
  kSigmoid,        // quantized::sigmoid
  kHardSwish,      // quantized::hardswish
  kLeakyRelu,      // quantized::leaky_relu
  kClamp,          // aten::relu, aten::clamp
  kMaxPool,        // aten::max_pool2d
  kAveragePool,    // aten::avg_pool2d
  kResize,         // aten::upsample_nearest2d
  kMove,           // aten's views and copies: Reshape, Transpose, Slice, …
};

/// "quantized::conv2d" without rank and _relu: "conv", "linear", …
std::string_view quantized_op_name(QuantizedOp op);

/// Nodes that become one quantized operator (two with `clamp`).
struct QuantizedGroup {
  QuantizedOp op = QuantizedOp::kMove;
  NodeId node;               // Conv, Add, …
  std::vector<size_t> data;  // its inputs that are quantized values
  NodeId bias_add;           // an Add of a constant behind a MatMul; invalid: none
  NodeId activation;         // Relu or Clip behind it; invalid: none
  bool relu = false;         // the operator's _relu form
  /// What saturation and `relu` do not do of the activation.
  std::optional<ActivationBounds> clamp;
  NodeId quantize;        // the QuantizeLinear of its output; invalid: an op that only moves
                          // elements, whose readers want them quantized or not
  ScaleZeroPoint output;  // as quint8
};

/// A QuantizeLinear of a float value, or the DequantizeLinear of a quantized one.
struct QuantizedBorder {
  NodeId node;
  ScaleZeroPoint params;
};

/// A node that reads quantized values and still computes in float.
struct FloatException {
  NodeId node;
  std::string reason;
};

struct QuantizedPlan {
  QuantizedEngine engine = QuantizedEngine::kOnednn;
  std::vector<QuantizedGroup> groups;     // in the graph's order
  std::vector<QuantizedBorder> quantize;  // float -> quantized
  std::vector<QuantizedBorder> dequantize;
  /// DequantizeLinear of weights and biases that only groups read: nothing is left to run.
  std::vector<NodeId> packed;
  std::vector<FloatException> in_float;
};

/// Reads only constants and structure; shapes matter where auto_pad or a Resize need them. Never
/// throws for a valid graph; without Q/DQ nodes the plan is empty.
QuantizedPlan plan_quantized_ops(const Graph& graph, QuantizedEngine engine);

/// "29 conv, 10 add, 1 linear; in float: Gemm_3 (Gemm): its output is not quantized".
std::string plan_text(const Graph& graph, const QuantizedPlan& plan);

}  // namespace lathe
