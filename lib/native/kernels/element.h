// Types of array elements that the kernels load and store.
#pragma once

#include <cstdint>

namespace lathe {

enum class ElementType : uint8_t { kFloat32, kUInt8, kInt8, kInt32, kBool };

/// Bytes of one element.
constexpr int64_t element_bytes(ElementType type) {
  return type == ElementType::kFloat32 || type == ElementType::kInt32 ? 4 : 1;
}

/// Least and greatest number of the 8-bit types.
constexpr float least_element(ElementType type) {
  return type == ElementType::kInt8 ? -128.0f : 0.0f;
}
constexpr float greatest_element(ElementType type) {
  return type == ElementType::kInt8 ? 127.0f : 255.0f;
}

}  // namespace lathe
