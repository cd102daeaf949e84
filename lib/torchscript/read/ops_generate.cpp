// Triangles, one-hot vectors and grids of coordinates.

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

// (self, diagonal)
template <int64_t upper>
Results triangle(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const ValueId diagonal = call.is_none(1) ? call.int_value(0) : call.scalar(1, DType::kInt64);
  return call.one(call.emit(OpKind::kTrilu, {x, diagonal}, attributes_of({{"upper", upper}})));
}

// (self, num_classes)
Results one_hot(AtenCall& call) {
  const ValueId x = call.tensor(0);
  call.require(!call.known_int(1) || *call.known_int(1) > 0, "the number of classes must be given");
  const ValueId values = call.ints_value({0, 1});
  return call.one(call.emit(OpKind::kOneHot, {x, call.scalar(1, DType::kInt64), values},
                            attributes_of({{"axis", int64_t{-1}}})));
}

// (number, dtype, …)
Results scalar_tensor(AtenCall& call) {
  const bool is_float = call.arg(0).is(Kind::kFloat);
  const DType otherwise = is_float ? DType::kFloat32 : call.dtype(0);
  return call.one(call.scalar(0, call.dtype_argument(1, otherwise)));
}

// (tensors, indexing): tensor i spread over all axes but its own; "xy" swaps the first two
Results meshgrid(AtenCall& call) {
  const std::vector<ValueId> vectors = call.tensors(0);
  const std::string indexing = call.is_none(1) ? "ij" : call.string_of(1);
  call.require(indexing == "ij" || indexing == "xy", "indexing must be ij or xy");
  const size_t count = vectors.size();
  const auto axis_of = [&](size_t i) {
    return indexing == "xy" && count >= 2 && i < 2 ? 1 - i : i;
  };
  std::vector<AbstractValue> sizes(count);
  std::vector<ValueId> raised;
  for (size_t i = 0; i < count; ++i) {
    const ValueId flat = reshape(call, vectors[i], {-1});
    sizes[axis_of(i)] = call.size_number(flat, 0);
    std::vector<int64_t> axes;
    for (size_t j = 0; j < count; ++j)
      if (j != axis_of(i)) axes.push_back(static_cast<int64_t>(j));
    raised.push_back(unsqueeze(call, flat, axes));
  }
  const ValueId shape = sizes_vector(call, sizes);
  Results items;
  for (const ValueId value : raised)
    items.push_back(call.result(call.emit(OpKind::kExpand, {value, shape})));
  return {AbstractValue::of_items(Kind::kList, std::move(items))};
}

constexpr AtenRow kGenerateOps[] = {
    {"triu", triangle<1>},  {"tril", triangle<0>},
    {"one_hot", one_hot},   {"scalar_tensor", scalar_tensor},
    {"meshgrid", meshgrid},
};

}  // namespace

std::span<const AtenRow> generate_aten_ops() { return kGenerateOps; }

}  // namespace lathe
