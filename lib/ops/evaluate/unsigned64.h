// uint64 values live in int64 tensors with the same bits, so comparisons must undo the sign.
#pragma once

#include <ATen/ATen.h>

#include <limits>

#include "ir/dtype.h"

namespace lathe {

/// For uint64: int64 values whose signed order is the unsigned order of `x`. Its own inverse.
/// Every other type is returned as it is.
inline at::Tensor ordered(const at::Tensor& x, DType dtype) {
  if (dtype != DType::kUInt64) return x;
  return at::bitwise_xor(x, at::Scalar(std::numeric_limits<int64_t>::min()));
}

}  // namespace lathe
