// A dense float tensor's elements, for loops that need no ATen.
#pragma once

#include <ATen/ATen.h>

#include <span>

namespace lathe {

/// Of a contiguous float32 tensor; refers to it.
inline std::span<const float> float_elements(const at::Tensor& x) {
  return {x.data_ptr<float>(), static_cast<size_t>(x.numel())};
}

}  // namespace lathe
