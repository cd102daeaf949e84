// Tensors that hold numbers worked out in C++ (index tables, weights of taps).
#pragma once

#include <ATen/ATen.h>
#include <ATen/TracerMode.h>

#include <vector>

namespace lathe {

/// at::tensor, and under LibTorch's tracer a constant: traced, at::tensor becomes aten::empty,
/// whose elements nobody writes.
template <class T>
at::Tensor constant_tensor(const std::vector<T>& values, const at::TensorOptions& options) {
  const at::tracer::impl::NoTracerDispatchMode untraced;
  return at::tensor(values, options);
}

/// The same for at::empty, to be filled through its data pointer before anything reads it.
inline at::Tensor untraced_empty(at::IntArrayRef sizes, const at::TensorOptions& options) {
  const at::tracer::impl::NoTracerDispatchMode untraced;
  return at::empty(sizes, options);
}

}  // namespace lathe
