// Tensors of real numbers made from doubles.
#pragma once

#include <vector>

#include "ir/tensor.h"

namespace lathe {

/// `values` rounded to `dtype` (float32, float64, float16 or bfloat16; InternalError otherwise).
Tensor real_tensor(DType dtype, Shape shape, const std::vector<double>& values);

}  // namespace lathe
