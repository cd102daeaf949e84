// Integers of a weight in which neighbours share a scale: channels, or blocks along an axis.
#pragma once

#include <cstdint>

#include "ir/tensor.h"

namespace lathe {

/// Which elements of a weight share a scale.
struct ScaleLayout {
  int64_t axis = -1;       // -1: one scale for all
  int64_t block_size = 0;  // 0: one scale per index of `axis`; else per so many neighbours along it
  bool operator==(const ScaleLayout&) const = default;
};

struct ScaledIntegers {
  Tensor integers;    // the weight's shape, packed as ONNX packs the type
  Tensor scales;      // float32: scalar, [channels], or the weight's shape with the axis in blocks
  double noise = 0;   // sum of squared rounding errors
  double signal = 0;  // sum of squared weights
};

/// How elements are rounded.
enum class WeightRounding : uint8_t {
  kNearest,
  /// Filters [outputs, inputs, taps…]: few elements go to the other neighbour, so that the errors
  /// of every kernel, then those of every output, sum up to nothing: inputs of one sign, as behind
  /// a Relu, then shift no mean. Needs no data (Guo et al., "SQuant: On-the-Fly Data-Free
  /// Quantization via Diagonal Hessian Approximation", 2022).
  kBalanced,
};

/// float32 `weight` as signed symmetric integers (int8 or int4), zero point 0. int8 takes its
/// scales from the largest magnitude; int4, where a few percent of clipping cost less than coarse
/// steps, takes for each scale the one of least squared error among 24, over all 16 integers.
/// Scales are positive and finite, also of elements that are all zero. A block
/// may be cut short at the end of the axis.
ScaledIntegers quantize_blocks(const Tensor& weight, DType dtype, const ScaleLayout& layout,
                               WeightRounding rounding = WeightRounding::kNearest);

/// The same, to nearest, with these float32 scales of that layout.
ScaledIntegers quantize_with_scales(const Tensor& weight, DType dtype, const ScaleLayout& layout,
                                    const Tensor& scales);

/// Of every element of a tensor of `shape` its scale.
Tensor spread_scales(const Shape& shape, const ScaleLayout& layout, const Tensor& scales);

/// The least integer: -127 of int8, so that every integer has its negative; -8 of int4, which
/// cannot spare one of 16.
int32_t stored_qmin(DType dtype);

}  // namespace lathe
