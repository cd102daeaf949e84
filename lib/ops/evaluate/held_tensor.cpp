#include "evaluate/held_tensor.h"

#include <ATen/ATen.h>

#include <new>

namespace lathe {

static_assert(sizeof(at::Tensor) == sizeof(void*) && alignof(at::Tensor) == alignof(void*));

HeldTensor::HeldTensor() { new (tensor_) at::Tensor(); }
HeldTensor::HeldTensor(const at::Tensor& tensor) { new (tensor_) at::Tensor(tensor); }
HeldTensor::HeldTensor(at::Tensor&& tensor) noexcept {
  new (tensor_) at::Tensor(std::move(tensor));
}
HeldTensor::HeldTensor(const HeldTensor& other) : HeldTensor(*other) {}
HeldTensor::HeldTensor(HeldTensor&& other) noexcept : HeldTensor(std::move(*other.get())) {}

HeldTensor& HeldTensor::operator=(const HeldTensor& other) {
  *get() = *other;
  return *this;
}

HeldTensor& HeldTensor::operator=(HeldTensor&& other) noexcept {
  *get() = std::move(*other.get());
  return *this;
}

HeldTensor::~HeldTensor() { get()->~Tensor(); }

const at::Tensor* HeldTensor::operator->() const {
  return std::launder(reinterpret_cast<const at::Tensor*>(tensor_));
}

at::Tensor* HeldTensor::get() { return std::launder(reinterpret_cast<at::Tensor*>(tensor_)); }

}  // namespace lathe
