#include <fmt/format.h>

#include "ops/dim_math.h"
#include "ops/op_row.h"

namespace lathe {

const Dims* InferCall::dims(size_t input) const {
  const ValueId id = node.input(input);
  if (!id.valid()) return nullptr;
  const ValueType& type = graph.value(id).type;
  return type.is_tensor() && type.dims ? &*type.dims : nullptr;
}

DType InferCall::dtype(size_t input) const {
  const ValueId id = node.input(input);
  return id.valid() ? graph.value(id).type.dtype : DType::kUndefined;
}

const Tensor* InferCall::constant(size_t input) const { return graph.constant(node.input(input)); }

std::optional<std::vector<int64_t>> InferCall::constant_ints(size_t input) const {
  if (const Tensor* tensor = constant(input)) return tensor->to_int64();
  const auto known = elements(input);
  if (!known) return std::nullopt;
  std::vector<int64_t> numbers;
  for (const Element& element : *known) {
    if (!element.number) return std::nullopt;
    numbers.push_back(*element.number);
  }
  return numbers;
}

std::optional<Elements> InferCall::elements(size_t input) const {
  constexpr auto kMost = static_cast<int64_t>(kMaxFollowedElements);
  const ValueId id = node.input(input);
  if (!id.valid()) return std::nullopt;
  if (const Tensor* tensor = constant(input)) {
    const bool integers = is_integer(tensor->dtype()) || tensor->dtype() == DType::kBool;
    if (!integers || tensor->rank() > 1 || tensor->numel() > kMost) return std::nullopt;
    Elements found;
    for (const int64_t number : tensor->to_int64()) found.push_back({number, {}});
    return found;
  }
  const auto index = static_cast<size_t>(id.index);
  if (known_ != nullptr && index < known_->size() && (*known_)[index]) return (*known_)[index];
  // Of a vector of known length at least the length is known.
  const Dims* shape = dims(input);
  if (shape == nullptr || shape->size() != 1 || !(*shape)[0].known() || (*shape)[0].size > kMost)
    return std::nullopt;
  return Elements(static_cast<size_t>((*shape)[0].size));
}

void InferCall::set_dims(size_t output, Dims dims) {
  if (output < outputs.size() && dims.size() <= kMaxRank) outputs[output].dims = std::move(dims);
}

int64_t InferCall::normal_axis(int64_t axis, size_t rank) const {
  const auto signed_rank = static_cast<int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank)
    throw bad_node(fmt::format("axis {} is out of range for rank {}", axis, rank));
  return axis < 0 ? axis + signed_rank : axis;
}

}  // namespace lathe
