// An at::Tensor for headers that must not cost what LibTorch's cost (seconds for every file).
#pragma once

#include <cstddef>

namespace at {
class Tensor;
}

namespace lathe {

/// Is the tensor itself wherever <ATen/ATen.h> is known: it converts both ways, and `->` calls the
/// tensor's methods. Undefined until one is given. Copies share the elements, as at::Tensor's do.
class HeldTensor {
 public:
  HeldTensor();
  HeldTensor(const at::Tensor& tensor);
  HeldTensor(at::Tensor&& tensor) noexcept;
  HeldTensor(const HeldTensor& other);
  HeldTensor(HeldTensor&& other) noexcept;
  HeldTensor& operator=(const HeldTensor& other);
  HeldTensor& operator=(HeldTensor&& other) noexcept;
  ~HeldTensor();

  operator const at::Tensor&() const { return *operator->(); }
  operator at::Tensor&() { return *get(); }
  const at::Tensor& operator*() const { return *operator->(); }
  const at::Tensor* operator->() const;

 private:
  at::Tensor* get();

  alignas(void*) std::byte tensor_[sizeof(void*)];  // at::Tensor is one pointer
};

}  // namespace lathe
