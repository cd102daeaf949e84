// QuantizeLinear and DequantizeLinear as a graph holds them: the one reader of such patterns.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/quantization.h"
#include "ops/activation_fusion.h"

namespace lathe {

constexpr bool is_eight_bits(DType dtype) {
  return dtype == DType::kUInt8 || dtype == DType::kInt8;
}

/// The DequantizeLinear that makes `value`; nullptr when another node or none does.
const Node* dequantizer(const Graph& graph, ValueId value);

/// Constant parameters of a QuantizeLinear or DequantizeLinear of integers: float32 scales, zero
/// points of the integers' type (zeros where the node has none). With an attribute block_size the
/// scales are those of blocks. nullopt: computed or ill-formed parameters, other types.
std::optional<QuantParams> constant_params(const Graph& graph, const Node& node);

/// All zero points are 0.
bool is_symmetric(const QuantParams& params);

/// Those of an 8-bit value with one scale for all, as uint8: int8 values and zero points are
/// shifted by 128, which changes nothing else. nullopt, too, for scales below 1e-30.
std::optional<ScaleZeroPoint> uint8_params(const Graph& graph, const Node& node);

/// The integer 0..255 that stands for a bound; infinite ones saturate.
int32_t uint8_bound(double bound, const ScaleZeroPoint& params);

/// uint8 shifted by 128; int8 as it is.
Tensor int8_codes(const Tensor& codes);

/// A constant weight behind a DequantizeLinear with zero point 0 (uint8: 128).
struct QuantizedWeight {
  std::string problem;        // why there is none: "its weight is not symmetric"; "": there is one
  Tensor codes;               // int8, in the graph's shape
  std::vector<float> scales;  // one, or one per index of the axis
};
/// Input `index` of `node`, whose scales may lie along `axis` (-1: along none).
QuantizedWeight quantized_weight(const Graph& graph, const Node& node, size_t index, int64_t axis);

/// A float32 constant, or the DequantizeLinear of constants with usable scales.
bool is_constant_floats(const Graph& graph, ValueId value);

/// The nodes that alone read a value, one behind the other: at most one Relu or Clip with constant
/// bounds, then QuantizeLinear.
struct QuantizedTail {
  NodeId activation;  // invalid: none
  std::optional<ActivationBounds> bounds;
  NodeId quantize;
  ValueId integers;  // its output
};
std::optional<QuantizedTail> quantized_tail(const Graph& graph, ValueId value,
                                            bool through_activation = true);

}  // namespace lathe
