#include "ir/real_tensor.h"

#include <cstring>

#include "ir/error.h"

namespace lathe {
namespace {

template <class Stored, class Round>
Tensor rounded(DType dtype, Shape shape, const std::vector<double>& values, Round round) {
  std::vector<std::byte> bytes(values.size() * sizeof(Stored));
  for (size_t i = 0; i < values.size(); ++i) {
    const Stored stored = round(values[i]);
    std::memcpy(bytes.data() + i * sizeof(Stored), &stored, sizeof(Stored));
  }
  return Tensor::from_bytes(dtype, std::move(shape), std::move(bytes));
}

}  // namespace

Tensor real_tensor(DType dtype, Shape shape, const std::vector<double>& values) {
  switch (dtype) {
    case DType::kFloat32:
      return rounded<float>(dtype, std::move(shape), values,
                            [](double x) { return static_cast<float>(x); });
    case DType::kFloat64:
      return rounded<double>(dtype, std::move(shape), values, [](double x) { return x; });
    case DType::kFloat16:
      return rounded<uint16_t>(dtype, std::move(shape), values,
                               [](double x) { return float_to_half(static_cast<float>(x)); });
    case DType::kBFloat16:
      return rounded<uint16_t>(dtype, std::move(shape), values,
                               [](double x) { return float_to_bfloat16(static_cast<float>(x)); });
    default: throw InternalError("real_tensor: not a floating type");
  }
}

}  // namespace lathe
