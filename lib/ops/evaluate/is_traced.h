// Whether LibTorch watches what is done to a tensor.
#pragma once

#include <ATen/ATen.h>
#include <ATen/TracerMode.h>
#include <c10/core/GradMode.h>

namespace lathe {

/// True while LibTorch's tracer or its gradients must see every operation on `x`: own loops over
/// its memory would go unnoticed.
inline bool is_traced(const at::Tensor& x) {
  return at::tracer::impl::is_dispatch_enabled() ||
         (c10::GradMode::is_enabled() && x.requires_grad());
}

}  // namespace lathe
