// A value while the interpreter runs: an ATen tensor with its ONNX type, a string tensor, a
// sequence, or an empty optional.
#pragma once

#include <memory>
#include <vector>

#include "evaluate/held_tensor.h"
#include "ir/tensor.h"

namespace lathe {

struct RuntimeValue {
  enum class Kind : uint8_t { kAbsent, kTensor, kStrings, kSequence };

  RuntimeValue() = default;
  RuntimeValue(HeldTensor held, DType type)
      : kind(Kind::kTensor), tensor(std::move(held)), dtype(type) {}
  static RuntimeValue sequence_of(std::vector<RuntimeValue> elements);

  /// Of numbers: strings are another kind.
  bool is_tensor() const { return kind == Kind::kTensor; }
  bool is_absent() const { return kind == Kind::kAbsent; }

  Kind kind = Kind::kAbsent;
  HeldTensor tensor;                // of storage_type(dtype), see evaluate/evaluate.h
  DType dtype = DType::kUndefined;  // kString for strings
  Tensor strings;
  std::shared_ptr<const std::vector<RuntimeValue>> sequence;
};

/// Shares the bytes where the storage type is the dtype itself, and the strings.
RuntimeValue to_runtime(const Tensor& tensor);
/// Copies into ONNX's raw layout (packing 4-bit types, rounding small floats to their codes).
Tensor to_tensor(const RuntimeValue& value);

}  // namespace lathe
