// Ops that put tensors together and take them apart: cat, split, select, slice, roll, pad, …
#include <algorithm>
#include <limits>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

constexpr int64_t kToTheEnd = std::numeric_limits<int64_t>::max();
// More parts than this are no model but an attack.
constexpr int64_t kMostParts = 65536;

Results list_of(AtenCall& call, const std::vector<ValueId>& parts) {
  Results items;
  for (const ValueId part : parts) items.push_back(call.result(part));
  // One part is a view of everything.
  if (parts.size() == 1 && parts[0] == call.tensor(0)) items[0] = call.arg(0);
  return {AbstractValue::of_items(Kind::kList, std::move(items))};
}

// (tensors, dim)
Results cat(AtenCall& call) {
  const auto items = call.items(0);
  const DType dtype = promoted_type(call, items);
  std::vector<ValueId> values;
  std::vector<ValueId> all = call.tensors(0);
  for (const ValueId value : all) {
    // Empty vectors fit everywhere (an old rule that code relies on).
    const auto shape = known_shape(call, value);
    if (all.size() > 1 && shape && *shape == Shape{0}) continue;
    values.push_back(call.cast(value, dtype));
  }
  call.require(!all.empty(), "an empty list");
  if (values.empty()) values.push_back(call.cast(all[0], dtype));
  // One of known rank tells that of all.
  const auto ranked =
      std::ranges::find_if(values, [&](ValueId value) { return call.dims_of(value) != nullptr; });
  const ValueId example = ranked == values.end() ? values[0] : *ranked;
  const auto axis = static_cast<int64_t>(call.axis(1, call.rank_of(example)));
  return call.one(concat(call, std::move(values), axis));
}

// (tensors, dim)
Results stack(AtenCall& call) {
  const DType dtype = promoted_type(call, call.items(0));
  std::vector<ValueId> values = call.tensors(0);
  call.require(!values.empty(), "an empty list");
  const auto axis = static_cast<int64_t>(call.axis(1, call.rank_of(values[0]) + 1));
  for (ValueId& value : values) value = unsqueeze(call, call.cast(value, dtype), {axis});
  return call.one(concat(call, std::move(values), axis));
}

// hstack, vstack: along axis 1 (0 for vectors), 0
Results hstack(AtenCall& call) {
  std::vector<ValueId> values = call.tensors(0);
  call.require(!values.empty(), "an empty list");
  const DType dtype = promoted_type(call, call.items(0));
  for (ValueId& value : values) {
    value = call.cast(value, dtype);
    if (call.rank_of(value) == 0) value = reshape(call, value, {1});
  }
  return call.one(concat(call, values, call.rank_of(values[0]) == 1 ? 0 : 1));
}

Results vstack(AtenCall& call) {
  std::vector<ValueId> values = call.tensors(0);
  call.require(!values.empty(), "an empty list");
  const DType dtype = promoted_type(call, call.items(0));
  for (ValueId& value : values) {
    value = call.cast(value, dtype);
    if (call.rank_of(value) < 2) value = reshape(call, value, {1, -1});
  }
  return call.one(concat(call, values, 0));
}

int64_t size_to_split(AtenCall& call, ValueId x, size_t axis) {
  const auto size = known_size(call, x, axis);
  if (!size) call.refuse("the size of the split dimension is not known");
  return *size;
}

Results equal_parts(AtenCall& call, ValueId x, size_t axis, int64_t part) {
  const int64_t size = size_to_split(call, x, axis);
  call.require(part >= 1 && (size + part - 1) / part <= kMostParts, "a wrong size of the parts");
  std::vector<int64_t> sizes;
  for (int64_t start = 0; start < size; start += part)
    sizes.push_back(std::min(part, size - start));
  if (sizes.empty()) sizes.push_back(0);
  return list_of(call, lathe::split(call, x, static_cast<int64_t>(axis), sizes));
}

// (self, split_size or split_sizes, dim)
Results split_parts(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t axis = call.axis(2, call.rank_of(x));
  if (!call.arg(1).items) return equal_parts(call, x, axis, call.int_of(1));
  const std::vector<int64_t> sizes = call.ints(1);
  call.require(!sizes.empty() && sizes.size() <= static_cast<size_t>(kMostParts),
               "a wrong number of parts");
  return list_of(call, lathe::split(call, x, static_cast<int64_t>(axis), sizes));
}

// (self, chunks, dim)
Results chunk(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t axis = call.axis(2, call.rank_of(x));
  const int64_t chunks = call.int_of(1);
  const int64_t size = size_to_split(call, x, axis);
  call.require(chunks >= 1 && chunks <= kMostParts, "a wrong number of chunks");
  return equal_parts(call, x, axis, std::max<int64_t>(1, (size + chunks - 1) / chunks));
}

// (self, sections or indices, dim)
Results tensor_split(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t axis = call.axis(2, call.rank_of(x));
  const int64_t size = size_to_split(call, x, axis);
  std::vector<int64_t> sizes;
  if (call.arg(1).items) {
    int64_t start = 0;
    for (const int64_t index : call.ints(1)) {
      const int64_t end = std::clamp<int64_t>(index < 0 ? index + size : index, start, size);
      sizes.push_back(end - start);
      start = end;
    }
    sizes.push_back(size - start);
  } else {
    const int64_t sections = call.int_of(1);
    call.require(sections >= 1 && sections <= kMostParts, "a wrong number of sections");
    for (int64_t i = 0; i < sections; ++i)
      sizes.push_back(size / sections + (i < size % sections ? 1 : 0));
  }
  return list_of(call, lathe::split(call, x, static_cast<int64_t>(axis), sizes));
}

// (self, dim)
Results unbind(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t axis = call.axis(1, call.rank_of(x));
  const int64_t size = size_to_split(call, x, axis);
  call.require(size <= kMostParts, "too many parts");
  const auto along = static_cast<int64_t>(axis);
  std::vector<ValueId> parts;
  if (size > 0)
    for (const ValueId part :
         lathe::split(call, x, along, std::vector<int64_t>(static_cast<size_t>(size), 1)))
      parts.push_back(squeeze(call, part, {along}));
  return list_of(call, parts);
}

// (self, dim, index)
Results select(AtenCall& call) {
  const ValueId x = call.tensor(0);
  // A dimension counted from the front needs no rank.
  int64_t axis = call.int_of(1);
  if (axis < 0 || call.dims_of(x) != nullptr)
    axis = static_cast<int64_t>(call.axis(1, call.rank_of(x)));
  const ValueId index = call.scalar(2, DType::kInt64);
  return call.one(call.emit(OpKind::kGather, {x, index}, attributes_of({{"axis", axis}})));
}

// (self, dim, start, end, step)
Results slice_part(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const auto axis = static_cast<int64_t>(call.axis(1, call.rank_of(x)));
  const bool whole_start = call.is_none(2) || call.known_int(2) == 0;
  const auto end = call.is_none(3) ? std::optional(kToTheEnd) : call.known_int(3);
  const auto size = known_size(call, x, static_cast<size_t>(axis));
  const auto step = call.is_none(4) ? std::optional<int64_t>(1) : call.known_int(4);
  call.require(!step || *step >= 1, "a step that is not positive");
  if (whole_start && step == 1 && end && (*end == kToTheEnd || (size && *end >= *size)))
    return {call.arg(0)};
  const ValueId starts = call.is_none(2) ? call.ints_value({0}) : number_vector(call, call.arg(2));
  const ValueId ends =
      call.is_none(3) ? call.ints_value({kToTheEnd}) : number_vector(call, call.arg(3));
  const ValueId steps = step ? call.ints_value({*step}) : number_vector(call, call.arg(4));
  return call.one(call.emit(OpKind::kSlice, {x, starts, ends, call.ints_value({axis}), steps}));
}

// (self, dim, start, length)
Results narrow(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const auto axis = static_cast<int64_t>(call.axis(1, call.rank_of(x)));
  if (call.known_int(2) && call.known_int(3)) {
    int64_t start = *call.known_int(2);
    if (const auto size = known_size(call, x, static_cast<size_t>(axis)); size && start < 0)
      start += *size;
    call.require(start >= 0, "a negative start and an unknown size");
    return call.one(slice(call, x, axis, start, start + *call.known_int(3)));
  }
  const ValueId start = reshape(call, call.scalar(2, DType::kInt64), {1});
  const ValueId end = binary(call, OpKind::kAdd, start, call.scalar(3, DType::kInt64));
  return call.one(call.emit(OpKind::kSlice, {x, start, end, call.ints_value({axis})}));
}

// (self, shifts, dims)
Results roll(AtenCall& call) {
  ValueId x = call.tensor(0);
  const std::vector<int64_t> shifts = call.ints(1);
  std::vector<int64_t> dims;
  if (!call.is_none(2)) dims = call.ints(2);
  const ValueId shape = shape_of(call, x);
  const bool flat = dims.empty();
  if (flat) {
    call.require(shifts.size() == 1, "a dimension per shift is needed");
    x = reshape(call, x, {-1});
    dims = {0};
  }
  call.require(shifts.size() == dims.size(), "a dimension per shift is needed");
  for (size_t i = 0; i < dims.size(); ++i) {
    const size_t axis = call.normal_axis(dims[i], call.rank_of(x));
    const auto along = static_cast<int64_t>(axis);
    int64_t shift = shifts[i];
    if (const auto size = known_size(call, x, axis)) {
      if (*size == 0) continue;
      shift = ((shift % *size) + *size) % *size;
    }
    if (shift == 0) continue;
    // Without a known size this holds for shifts up to it.
    const ValueId tail = slice(call, x, along, -shift, kToTheEnd);
    x = concat(call, {tail, slice(call, x, along, 0, -shift)}, along);
  }
  if (flat) x = call.emit(OpKind::kReshape, {x, shape});
  return call.one(x);
}

// (self, dims)
Results flip(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const std::vector<int64_t> axes = axes_argument(call, 1, call.rank_of(x));
  if (axes.empty()) return call.one(x);
  const std::vector<int64_t> starts(axes.size(), -1);
  const std::vector<int64_t> ends(axes.size(), std::numeric_limits<int64_t>::min());
  const std::vector<int64_t> steps(axes.size(), -1);
  return call.one(call.emit(OpKind::kSlice, {x, call.ints_value(starts), call.ints_value(ends),
                                             call.ints_value(axes), call.ints_value(steps)}));
}

// (self, dimension, size, step): windows along a dimension become a last dimension
Results unfold(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  const size_t axis = call.axis(1, rank);
  const int64_t extent = rank == 0 ? 1 : size_to_split(call, x, axis);
  const int64_t size = call.int_of(2);
  const int64_t step = call.int_of(3);
  call.require(rank > 0 && size >= 1 && size <= extent && step >= 1, "windows that do not fit");
  const int64_t count = (extent - size) / step + 1;
  call.require(count <= (int64_t{1} << 24) / size, "too many windows");
  std::vector<int64_t> index;
  for (int64_t w = 0; w < count; ++w)
    for (int64_t i = 0; i < size; ++i) index.push_back(w * step + i);
  const ValueId windows =
      call.emit(OpKind::kGather, {x, call.constant_value(Tensor::of({count, size}, index))},
                attributes_of({{"axis", static_cast<int64_t>(axis)}}));
  if (axis == rank - 1) return call.one(windows);
  std::vector<int64_t> order = all_axes(rank + 1);
  order.erase(order.begin() + static_cast<std::ptrdiff_t>(axis) + 1);
  order.push_back(static_cast<int64_t>(axis) + 1);
  return call.one(transpose(call, windows, order));
}

constexpr AtenRow kPartsOps[] = {
    {"cat concat _cat", cat},
    {"stack", stack},
    {"hstack", hstack},
    {"vstack row_stack", vstack},
    {"split split_with_sizes unsafe_split unsafe_split_with_sizes", keeping_grid<split_parts>},
    {"chunk unsafe_chunk", keeping_grid<chunk>},
    {"tensor_split", keeping_grid<tensor_split>},
    {"unbind", keeping_grid<unbind>},
    {"select", keeping_grid<select>},
    {"slice", keeping_grid<slice_part>},
    {"narrow", keeping_grid<narrow>},
    {"roll", roll},
    {"flip", keeping_grid<flip>},
    {"unfold", unfold},
};

}  // namespace

std::span<const AtenRow> parts_aten_ops() { return kPartsOps; }

}  // namespace lathe
