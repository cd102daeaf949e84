// Factors as TensorFlow Lite's reference kernels have them (gemmlowp, Jacob et al. 2018, arXiv
// 1712.05877): kernels/rounding_tflite.c multiplies by them.
#pragma once

#include <cstdint>

#include "plan/plan.h"

namespace lathe {

/// multiplier * 2^(shift - 31), the multiplier in [2^30, 2^31) or 0.
struct FixedPoint {
  int32_t multiplier = 0;
  int32_t shift = 0;
  bool operator==(const FixedPoint&) const = default;
};

/// The nearest one; 0 for what is too small for a shift by 31.
FixedPoint fixed_point(double factor);

/// What TensorFlow Lite's softmax of bytes is told of its input's scale.
struct SoftmaxTerms {
  FixedPoint difference;
  int32_t least_difference = 0;
};
SoftmaxTerms softmax_terms(double input_scale);

/// Softmax steps between a dequantization and a quantization of theirs alone read and write the bytes
/// themselves, where the output's parameters are TensorFlow Lite's (1/256, 0 of unsigned bytes).
/// Returns their number.
int fuse_byte_softmax(NativePlan& plan);

}  // namespace lathe
