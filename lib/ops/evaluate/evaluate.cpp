#include "evaluate/evaluate.h"

#include <fmt/format.h>

#include <array>

#include "ir/error.h"

namespace lathe {

at::ScalarType storage_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kFloat8E4M3FN:
    case DType::kFloat8E4M3FNUZ:
    case DType::kFloat8E5M2:
    case DType::kFloat8E5M2FNUZ:
    case DType::kFloat4E2M1:
    case DType::kFloat8E8M0: return at::kFloat;
    case DType::kFloat64: return at::kDouble;
    case DType::kFloat16: return at::kHalf;
    case DType::kBFloat16: return at::kBFloat16;
    case DType::kUInt8:
    case DType::kUInt4:
    case DType::kUInt2: return at::kByte;
    case DType::kInt8:
    case DType::kInt4:
    case DType::kInt2: return at::kChar;
    case DType::kInt16: return at::kShort;
    case DType::kInt32:
    case DType::kUInt16: return at::kInt;
    case DType::kInt64:
    case DType::kUInt32:
    case DType::kUInt64: return at::kLong;
    case DType::kBool: return at::kBool;
    case DType::kComplex64: return at::kComplexFloat;
    case DType::kComplex128: return at::kComplexDouble;
    case DType::kString:
    case DType::kUndefined: break;
  }
  throw bad_input("evaluate.type",
                  fmt::format("values of type {} cannot be computed with", dtype_name(dtype)));
}

at::ScalarType compute_type(DType dtype) {
  if (dtype == DType::kFloat16 || dtype == DType::kBFloat16) return at::kFloat;
  return storage_type(dtype);
}

const at::Tensor& EvaluateCall::input(size_t i) const {
  if (!has(i))
    throw bad_input("node.input_missing",
                    fmt::format("{}: input {} is missing", escape_untrusted(node.type_name()), i));
  return inputs[i];
}

std::vector<int64_t> EvaluateCall::ints(size_t i) const {
  const at::Tensor& tensor = input(i);
  require(at::isIntegralType(tensor.scalar_type(), /*includeBool=*/true),
          fmt::format("input {} must hold integers", i));
  const at::Tensor host = tensor.to(at::kCPU, at::kLong).contiguous();
  const int64_t* values = host.data_ptr<int64_t>();
  return {values, values + host.numel()};
}

int64_t EvaluateCall::int_value(size_t i) const {
  const std::vector<int64_t> values = ints(i);
  require(values.size() == 1, fmt::format("input {} must hold one integer", i));
  return values[0];
}

void EvaluateCall::require(bool ok, std::string_view message) const {
  if (!ok)
    throw bad_input("node.invalid",
                    fmt::format("{}: {}", escape_untrusted(node.type_name()), message));
}

int64_t EvaluateCall::normal_axis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    throw bad_input("node.axis", fmt::format("axis {} is out of range for rank {}", axis, rank));
  return axis < 0 ? axis + rank : axis;
}

Evaluate evaluate_function(OpKind kind) {
  using Index = std::array<Evaluate, kOpKindCount>;
  static const Index index = [] {
    Index built{};
    for (const auto family :
         {elementwise_ops, activation_ops, reduction_ops, shape_ops, padding_ops, indexing_ops,
          matrix_ops, convolution_ops, pooling_ops, normalization_ops, recurrent_ops, resize_ops,
          quantization_ops, cast_ops, detection_ops, signal_ops, loss_ops, generator_ops,
          attention_ops})
      for (const EvaluateRow& row : family()) built[static_cast<size_t>(row.kind)] = row.evaluate;
    return built;
  }();
  return index[static_cast<size_t>(kind)];
}

}  // namespace lathe
