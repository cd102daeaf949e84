// Reading and writing at given places: index, gather, scatter, embedding, masked_fill, …
#include <algorithm>
#include <limits>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

// (weight, indices, …)
Results embedding(AtenCall& call) {
  return call.one(call.emit(OpKind::kGather, {call.tensor(0), call.tensor(1)},
                            attributes_of({{"axis", int64_t{0}}})));
}

// (self, dim, index)
Results index_select(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const auto axis = static_cast<int64_t>(call.axis(1, call.rank_of(x)));
  ValueId index = call.tensor(2);
  if (call.rank_of(index) == 0) index = reshape(call, index, {1});
  return call.one(call.emit(OpKind::kGather, {x, index}, attributes_of({{"axis", axis}})));
}

// (self, dim, index, sparse_grad)
Results gather(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  const auto axis = static_cast<int64_t>(call.axis(1, rank));
  if (rank == 0) return call.one(x);
  return call.one(
      call.emit(OpKind::kGatherElements, {x, call.tensor(2)}, attributes_of({{"axis", axis}})));
}

// (self, dim, index, src or value, reduce)
Results scatter_as(AtenCall& call, const std::string& reduction) {
  const ValueId x = call.tensor(0);
  const DType dtype = call.dtype_of(x);
  const auto axis = static_cast<int64_t>(call.axis(1, call.rank_of(x)));
  const ValueId index = call.tensor(2);
  ValueId source;
  if (call.arg(3).is_number() || call.rank(3) == 0) {
    source = call.emit(OpKind::kExpand, {operand(call, 3, dtype), shape_of(call, index)});
  } else {
    source = call.cast(call.tensor(3), dtype);
    // Only as much of the source is read as there are indices.
    const auto wanted = known_shape(call, index);
    if (!wanted || wanted != known_shape(call, source)) {
      const size_t rank = call.rank_of(index);
      source = call.emit(OpKind::kSlice, {source, call.ints_value(std::vector<int64_t>(rank, 0)),
                                          shape_of(call, index), call.ints_value(all_axes(rank))});
    }
  }
  return call.one(call.emit(OpKind::kScatterElements, {x, index, source},
                            attributes_of({{"axis", axis}, {"reduction", reduction}})));
}

Results scatter(AtenCall& call) {
  if (call.is_none(4)) return scatter_as(call, "none");
  const std::string& reduce = call.string_of(4);
  call.require(reduce == "add" || reduce == "multiply", "reduce must be add or multiply");
  return scatter_as(call, reduce == "add" ? "add" : "mul");
}

Results scatter_add(AtenCall& call) { return scatter_as(call, "add"); }

// A mask whose axes are the first ones of `rank`.
ValueId leading_mask(AtenCall& call, ValueId mask, size_t rank) {
  std::vector<int64_t> axes;
  for (size_t i = call.rank_of(mask); i < rank; ++i) axes.push_back(static_cast<int64_t>(i));
  return unsqueeze(call, mask, axes);
}

// (self, mask, value)
Results masked_fill(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const ValueId mask = operand(call, 1, DType::kBool);
  return call.one(call.emit(OpKind::kWhere, {mask, operand(call, 2, call.dtype_of(x)), x}));
}

// Indices [n, rank] of what is true.
ValueId places_of(AtenCall& call, ValueId mask) {
  return transpose(call, call.emit(OpKind::kNonZero, {mask}), {1, 0});
}

// (self, mask): as a vector
Results masked_select(AtenCall& call) {
  ValueId x = call.tensor(0);
  ValueId mask = operand(call, 1, DType::kBool);
  const auto x_shape = known_shape(call, x);
  if (!x_shape || x_shape != known_shape(call, mask)) {
    const ValueId mask_shape = shape_of(call, mask);
    mask = call.emit(OpKind::kExpand, {mask, shape_of(call, x)});
    x = call.emit(OpKind::kExpand, {x, mask_shape});
  }
  return call.one(call.emit(OpKind::kCompress, {x, reshape(call, mask, {-1})}));
}

Results nonzero(AtenCall& call) { return call.one(places_of(call, call.tensor(0))); }

// The index tensors of x[a, :, b] and the dimensions that they stand at.
struct Places {
  std::vector<ValueId> index;
  std::vector<size_t> axes;
  bool masks = false;
};

// A mask of m dimensions becomes m index vectors, as PyTorch does.
Places read_places(AtenCall& call, size_t argument) {
  Places places;
  size_t axis = 0;
  for (const AbstractValue& item : call.items(argument)) {
    if (item.is(Kind::kNone)) {
      ++axis;
      continue;
    }
    call.require(item.is(Kind::kTensor), "an index is no tensor");
    ValueId value = call.builder.use(*item.cell);
    const DType dtype = call.dtype_of(value);
    if (dtype != DType::kBool && dtype != DType::kUInt8) {
      places.index.push_back(call.cast(value, DType::kInt64));
      places.axes.push_back(axis++);
      continue;
    }
    places.masks = true;
    const size_t rank = call.rank_of(value);
    call.require(rank > 0, "a mask without dimensions");
    const ValueId found = call.emit(OpKind::kNonZero, {call.cast(value, DType::kBool)});
    const std::vector<int64_t> ones(rank, 1);
    for (const ValueId part : split(call, found, 0, ones)) {
      places.index.push_back(squeeze(call, part, {0}));
      places.axes.push_back(axis++);
    }
  }
  call.require(!places.index.empty(), "no index");
  return places;
}

bool adjacent(const std::vector<size_t>& axes) {
  for (size_t i = 1; i < axes.size(); ++i)
    if (axes[i] != axes[i - 1] + 1) return false;
  return true;
}

// The indexed axes first, then the others.
std::vector<int64_t> indexed_first(const std::vector<size_t>& axes, size_t rank) {
  std::vector<int64_t> order(axes.begin(), axes.end());
  for (size_t i = 0; i < rank; ++i)
    if (std::find(axes.begin(), axes.end(), i) == axes.end())
      order.push_back(static_cast<int64_t>(i));
  return order;
}

bool is_sorted_identity(const std::vector<int64_t>& order) {
  for (size_t i = 0; i < order.size(); ++i)
    if (order[i] != static_cast<int64_t>(i)) return false;
  return true;
}

// [..., number of indices] for GatherND and ScatterND.
ValueId index_tuples(AtenCall& call, std::vector<ValueId> index) {
  bool same_shape = true;
  for (const ValueId value : index) {
    const auto shape = known_shape(call, value);
    same_shape = same_shape && shape && shape == known_shape(call, index[0]);
  }
  if (!same_shape && index.size() > 1) {
    ValueId sum = index[0];
    for (size_t i = 1; i < index.size(); ++i) sum = binary(call, OpKind::kAdd, sum, index[i]);
    const ValueId shape = shape_of(call, sum);
    for (ValueId& value : index) value = call.emit(OpKind::kExpand, {value, shape});
  }
  for (ValueId& value : index) value = unsqueeze(call, value, {-1});
  return concat(call, std::move(index), -1);
}

// (self, indices)
Results index(AtenCall& call) {
  ValueId x = call.tensor(0);
  const Places places = read_places(call, 1);
  const size_t rank = call.rank_of(x);
  call.require(places.axes.back() < rank, "more indices than dimensions");
  if (places.index.size() == 1)
    return call.one(call.emit(OpKind::kGather, {x, places.index[0]},
                              attributes_of({{"axis", static_cast<int64_t>(places.axes[0])}})));
  const std::vector<int64_t> order = indexed_first(places.axes, rank);
  if (!is_sorted_identity(order)) x = transpose(call, x, order);
  const ValueId at = index_tuples(call, places.index);
  const ValueId y = call.emit(OpKind::kGatherND, {x, at});
  if (!adjacent(places.axes) || places.axes[0] == 0) return call.one(y);
  // Adjacent indices leave their dimensions where the first of them stood.
  const size_t index_rank = call.rank_of(at) - 1;
  const size_t before = places.axes[0];
  std::vector<int64_t> back;
  for (size_t i = 0; i < before; ++i) back.push_back(static_cast<int64_t>(index_rank + i));
  for (size_t i = 0; i < index_rank; ++i) back.push_back(static_cast<int64_t>(i));
  for (size_t i = index_rank + before; i < call.rank_of(y); ++i)
    back.push_back(static_cast<int64_t>(i));
  return call.one(transpose(call, y, back));
}

// (self, indices, values, accumulate)
Results index_put(AtenCall& call) {
  ValueId x = call.tensor(0);
  const DType dtype = call.dtype_of(x);
  const size_t rank = call.rank_of(x);
  const ValueId values = operand(call, 2, dtype);
  const bool accumulate = call.bool_or(3, false);
  const auto items = call.items(1);
  // One number under one mask.
  if (items.size() == 1 && items[0].is(Kind::kTensor) && !accumulate) {
    const ValueId mask = call.builder.use(*items[0].cell);
    const auto count = known_shape(call, values);
    if (call.dtype_of(mask) == DType::kBool && count && element_count(*count) == 1)
      return call.one(call.emit(OpKind::kWhere,
                                {leading_mask(call, mask, rank), reshape(call, values, {}), x}));
  }
  const Places places = read_places(call, 1);
  call.require(places.axes.back() < rank, "more indices than dimensions");
  const std::vector<int64_t> order = indexed_first(places.axes, rank);
  const bool moved = !is_sorted_identity(order);
  call.require(!moved || call.rank_of(values) == 0,
               "writing many values to other than the first dimensions");
  if (moved) x = transpose(call, x, order);
  const ValueId at = index_tuples(call, places.index);
  // The values fill the shape of the indices and of the dimensions behind them.
  const auto counts = static_cast<int64_t>(places.index.size());
  ValueId shape = slice(call, shape_of(call, at), 0, 0, -1);
  shape = concat(
      call, {shape, slice(call, shape_of(call, x), 0, counts, std::numeric_limits<int64_t>::max())},
      0);
  const ValueId spread = call.emit(OpKind::kExpand, {values, shape});
  ValueId y = call.emit(OpKind::kScatterND, {x, at, spread},
                        attributes_of({{"reduction", std::string(accumulate ? "add" : "none")}}));
  if (moved) {
    std::vector<int64_t> inverse(rank);
    for (size_t i = 0; i < rank; ++i)
      inverse[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
    y = transpose(call, y, inverse);
  }
  return call.one(y);
}

// (self, dim, index, value)
Results index_fill(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  const size_t axis = call.axis(1, rank);
  const auto size = known_size(call, x, axis);
  if (!size) call.refuse("the size of the filled dimension is not known");
  // True where an index names the place: [index] against [size] places.
  std::vector<int64_t> numbers = all_axes(static_cast<size_t>(*size));
  const ValueId wanted = call.tensor(2);
  const ValueId negative = binary(call, OpKind::kLess, wanted, 0.0);
  const ValueId positive =
      call.emit(OpKind::kWhere,
                {negative, binary(call, OpKind::kAdd, wanted, static_cast<double>(*size)), wanted});
  const ValueId equal =
      binary(call, OpKind::kEqual, reshape(call, positive, {-1, 1}), call.ints_value(numbers));
  ValueId mask = call.cast(
      reduce(call, OpKind::kReduceMax, call.cast(equal, DType::kInt32), {0}, false), DType::kBool);
  std::vector<int64_t> axes;
  for (size_t i = axis + 1; i < rank; ++i) axes.push_back(static_cast<int64_t>(i - axis));
  mask = unsqueeze(call, mask, axes);
  return call.one(call.emit(OpKind::kWhere, {mask, operand(call, 3, call.dtype_of(x)), x}));
}

constexpr AtenRow kIndexingOps[] = {
    {"embedding", embedding},
    {"index_select", index_select},
    {"gather", gather},
    {"scatter", scatter},
    {"scatter_add", scatter_add},
    {"masked_fill", masked_fill},
    {"masked_select", masked_select},
    {"nonzero argwhere", nonzero},
    {"index", keeping_grid<index>},
    {"index_put _index_put_impl", index_put},
    {"index_fill", index_fill},
};

}  // namespace

std::span<const AtenRow> indexing_aten_ops() { return kIndexingOps; }

}  // namespace lathe
