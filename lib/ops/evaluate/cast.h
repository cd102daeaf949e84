// Conversion between ONNX's element types as the Cast op defines it.
#pragma once

#include <ATen/ATen.h>

#include "evaluate/small_floats.h"
#include "ir/dtype.h"
#include "ir/tensor.h"

namespace lathe {

struct CastRule {
  bool saturate = true;                         // 8-bit floats only
  PowerRounding rounding = PowerRounding::kUp;  // float8e8m0 only
};

/// Converts values of ONNX type `from` (held in storage_type(from) or compute_type(from)) to
/// compute_type(to). Integers narrower than their storage are left for the caller to wrap, float16
/// and bfloat16 for the caller to round; the 8-bit and 4-bit floats come back rounded.
/// Throws Error (exit 3) for string.
at::Tensor cast_values(const at::Tensor& x, DType from, DType to, const CastRule& rule = {});

/// A file's tensor as compute_type() values. Throws Error (exit 3) for string and complex.
at::Tensor constant_values(const Tensor& constant);

}  // namespace lathe
