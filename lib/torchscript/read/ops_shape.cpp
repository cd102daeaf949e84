// Ops that change the shape and keep the elements: view, permute, expand, repeat, …
#include <algorithm>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

bool has_zero(const std::vector<int64_t>& numbers) {
  return std::find(numbers.begin(), numbers.end(), 0) != numbers.end();
}

// (self, size)
Results view(AtenCall& call) {
  const ValueId x = call.tensor(0);
  // view(dtype) looks at the same bytes as another type.
  call.require(call.node.overload != "dtype", "another element type for the same bytes");
  const auto known = call.known_ints(1);
  Attributes attributes;
  // PyTorch's 0 is a size, ONNX's copies one.
  if (known && has_zero(*known)) attributes.set("allowzero", int64_t{1});
  return call.one(call.emit(OpKind::kReshape, {x, call.shape_vector(1)}, std::move(attributes)));
}

// (self, other)
Results view_as(AtenCall& call) {
  const ValueId shape = shape_of(call, call.tensor(1));
  return call.one(call.emit(OpKind::kReshape, {call.tensor(0), shape}));
}

// Sizes of x with axes first to last made one.
std::vector<AbstractValue> merged_sizes(AtenCall& call, ValueId x, size_t first, size_t last) {
  const size_t rank = call.rank_of(x);
  std::vector<AbstractValue> sizes;
  for (size_t i = 0; i < first; ++i) {
    // 0 copies the size, which needs no Shape.
    const auto known = known_size(call, x, i);
    sizes.push_back(AbstractValue::of_int(known.value_or(0)));
  }
  sizes.push_back(AbstractValue::of_int(-1));
  for (size_t i = last + 1; i < rank; ++i) sizes.push_back(call.size_number(x, i));
  return sizes;
}

ValueId merge_axes(AtenCall& call, ValueId x, size_t first, size_t last) {
  if (const auto shape = known_shape(call, x); shape && has_zero(*shape)) {
    Shape merged(shape->begin(), shape->begin() + static_cast<std::ptrdiff_t>(first));
    int64_t product = 1;
    for (size_t i = first; i <= last; ++i) product *= (*shape)[i];
    merged.push_back(product);
    merged.insert(merged.end(), shape->begin() + static_cast<std::ptrdiff_t>(last) + 1,
                  shape->end());
    return call.emit(OpKind::kReshape, {x, call.ints_value(merged)},
                     attributes_of({{"allowzero", int64_t{1}}}));
  }
  const std::vector<AbstractValue> sizes = merged_sizes(call, x, first, last);
  return call.emit(OpKind::kReshape, {x, sizes_vector(call, sizes)});
}

// (self, start_dim, end_dim)
Results flatten(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  if (rank == 0) return call.one(reshape(call, x, {1}));
  const size_t first = call.is_none(1) ? 0 : call.axis(1, rank);
  const size_t last = call.is_none(2) ? rank - 1 : call.axis(2, rank);
  call.require(first <= last, "start_dim is behind end_dim");
  if (first == last) return {call.arg(0)};
  if (first == 1 && last == rank - 1)
    return call.one(call.emit(OpKind::kFlatten, {x}, attributes_of({{"axis", int64_t{1}}})));
  return call.one(merge_axes(call, x, first, last));
}

// (self, dim, sizes)
Results unflatten(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  const size_t axis = call.axis(1, rank);
  std::vector<AbstractValue> sizes;
  for (size_t i = 0; i < axis; ++i) sizes.push_back(call.size_number(x, i));
  const auto parts = call.items(2);
  sizes.insert(sizes.end(), parts.begin(), parts.end());
  for (size_t i = axis + 1; i < rank; ++i) sizes.push_back(call.size_number(x, i));
  return call.one(call.emit(OpKind::kReshape, {x, sizes_vector(call, sizes)}));
}

// (self, dims)
Results permute(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  std::vector<int64_t> order;
  for (const int64_t axis : call.ints(1))
    order.push_back(static_cast<int64_t>(call.normal_axis(axis, rank)));
  call.require(order.size() == rank, "as many dimensions as the tensor has are needed");
  return call.one(rank == 0 ? x : transpose(call, x, order));
}

// (self, dim0, dim1)
Results transpose_two(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  const size_t a = call.axis(1, rank);
  const size_t b = call.axis(2, rank);
  if (a == b || rank == 0) return {call.arg(0)};
  std::vector<int64_t> order = all_axes(rank);
  std::swap(order[a], order[b]);
  return call.one(transpose(call, x, order));
}

Results t(AtenCall& call) {
  const size_t rank = call.rank(0);
  call.require(rank <= 2, "a tensor of at most two dimensions is needed");
  if (rank < 2) return {call.arg(0)};
  return call.one(swap_last_two(call, call.tensor(0)));
}

Results numpy_t(AtenCall& call) {
  std::vector<int64_t> order = all_axes(call.rank(0));
  if (order.size() < 2) return {call.arg(0)};
  std::reverse(order.begin(), order.end());
  return call.one(transpose(call, call.tensor(0), order));
}

Results matrix_t(AtenCall& call) { return call.one(swap_last_two(call, call.tensor(0))); }

// (self, source, destination)
Results movedim(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  const std::vector<int64_t> from = call.ints(1);
  const std::vector<int64_t> to = call.ints(2);
  call.require(from.size() == to.size(), "as many sources as destinations are needed");
  std::vector<int64_t> order(rank, -1);
  std::vector<bool> taken(rank, false);
  for (size_t i = 0; i < from.size(); ++i) {
    const size_t source = call.normal_axis(from[i], rank);
    const size_t target = call.normal_axis(to[i], rank);
    call.require(rank > 0 && !taken[source] && order[target] < 0, "a dimension is named twice");
    order[target] = static_cast<int64_t>(source);
    taken[source] = true;
  }
  size_t next = 0;
  for (int64_t& axis : order) {
    if (axis >= 0) continue;
    while (taken[next]) ++next;
    axis = static_cast<int64_t>(next++);
  }
  return call.one(transpose(call, x, order));
}

// (self) or (self, dim)
Results squeeze_ones(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  std::vector<int64_t> axes;
  if (call.is_none(1)) {
    for (size_t i = 0; i < rank; ++i) {
      const auto size = known_size(call, x, i);
      if (!size) call.refuse("whether it drops a dimension depends on an unknown size");
      if (*size == 1) axes.push_back(static_cast<int64_t>(i));
    }
  } else {
    const size_t axis = call.axis(1, rank);
    const auto size = known_size(call, x, axis);
    // A wrong guess fails when run: ONNX's Squeeze refuses other sizes.
    if (rank > 0 && !size) call.note("the size of the squeezed dimension is taken to be 1");
    if (rank > 0 && size.value_or(1) == 1) axes.push_back(static_cast<int64_t>(axis));
  }
  if (axes.empty()) return {call.arg(0)};
  return call.one(squeeze(call, x, axes));
}

// (self, dim)
Results unsqueeze_one(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const auto axis = static_cast<int64_t>(call.axis(1, call.rank_of(x) + 1));
  return call.one(unsqueeze(call, x, {axis}));
}

// (self, size, implicit): -1 keeps a size, as ONNX's 1 does
Results expand(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const auto items = call.items(1);
  std::vector<AbstractValue> sizes(items.begin(), items.end());
  for (AbstractValue& size : sizes)
    if (size.is_known_number() && size.integer == -1) size.integer = 1;
  return call.one(call.emit(OpKind::kExpand, {x, sizes_vector(call, sizes)}));
}

Results expand_as(AtenCall& call) {
  const ValueId shape = shape_of(call, call.tensor(1));
  return call.one(call.emit(OpKind::kExpand, {call.tensor(0), shape}));
}

// The value with axes of size 1 put in front until it has `rank`.
ValueId raised(AtenCall& call, ValueId x, size_t rank) {
  const size_t have = call.rank_of(x);
  return have >= rank ? x : unsqueeze(call, x, all_axes(rank - have));
}

// (self, repeats)
Results repeat(AtenCall& call) {
  const auto counts = call.items(1);
  call.require(counts.size() >= call.rank(0), "a count per dimension is needed");
  if (counts.empty()) return call.one(call.tensor(0));
  const ValueId x = raised(call, call.tensor(0), counts.size());
  return call.one(call.emit(OpKind::kTile, {x, sizes_vector(call, counts)}));
}

// (self, dims): fewer counts than dimensions are those of the last ones
Results tile(AtenCall& call) {
  const auto items = call.items(1);
  std::vector<AbstractValue> counts(items.begin(), items.end());
  const size_t rank = call.rank(0);
  if (counts.size() < rank)
    counts.insert(counts.begin(), rank - counts.size(), AbstractValue::of_int(1));
  if (counts.empty()) return call.one(call.tensor(0));
  const ValueId x = raised(call, call.tensor(0), counts.size());
  return call.one(call.emit(OpKind::kTile, {x, sizes_vector(call, counts)}));
}

// (self, repeats, dim, output_size), repeats a number
Results repeat_interleave(AtenCall& call) {
  call.require(!call.is_none(1) && (call.known_int(1) || call.arg(1).is_number()),
               "a number of repetitions for each element of its own");
  ValueId x = call.tensor(0);
  size_t axis = 0;
  if (call.is_none(2)) {
    x = reshape(call, x, {-1});
  } else {
    axis = call.axis(2, call.rank_of(x));
  }
  const size_t rank = call.rank_of(x);
  const std::vector<AbstractValue> sizes = merged_sizes(call, x, axis, axis);
  std::vector<AbstractValue> counts(rank + 1, AbstractValue::of_int(1));
  counts[axis + 1] = call.known_int(1) ? AbstractValue::of_int(*call.known_int(1)) : call.arg(1);
  const ValueId raised_x = unsqueeze(call, x, {static_cast<int64_t>(axis) + 1});
  const ValueId tiled = call.emit(OpKind::kTile, {raised_x, sizes_vector(call, counts)});
  return call.one(call.emit(OpKind::kReshape, {tiled, sizes_vector(call, sizes)}));
}

// (self, upscale_factor): [.., C r r, H, W] to [.., C, H r, W r]
Results pixel_shuffle(AtenCall& call) {
  const size_t rank = call.rank(0);
  call.require(rank == 3 || rank == 4, "an image [N, C, H, W] or [C, H, W] is needed");
  const ValueId x = rank == 3 ? unsqueeze(call, call.tensor(0), {0}) : call.tensor(0);
  const ValueId y =
      call.emit(OpKind::kDepthToSpace, {x},
                attributes_of({{"blocksize", call.int_of(1)}, {"mode", std::string("CRD")}}));
  return call.one(rank == 3 ? squeeze(call, y, {0}) : y);
}

// (self, downscale_factor). ONNX's SpaceToDepth orders channels otherwise.
Results pixel_unshuffle(AtenCall& call) {
  const size_t rank = call.rank(0);
  call.require(rank == 3 || rank == 4, "an image [N, C, H, W] or [C, H, W] is needed");
  const ValueId x = rank == 3 ? unsqueeze(call, call.tensor(0), {0}) : call.tensor(0);
  const int64_t r = call.int_of(1);
  const auto height = known_size(call, x, 2);
  const auto width = known_size(call, x, 3);
  const auto channels = known_size(call, x, 1);
  call.require(height && width && channels && r >= 1 && *height % r == 0 && *width % r == 0,
               "known sizes that the factor divides are needed");
  const ValueId blocks = reshape(call, x, {0, *channels, *height / r, r, *width / r, r});
  const ValueId y = reshape(call, transpose(call, blocks, {0, 1, 3, 5, 2, 4}),
                            {0, *channels * r * r, *height / r, *width / r});
  return call.one(rank == 3 ? squeeze(call, y, {0}) : y);
}

// (self, groups)
Results channel_shuffle(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const int64_t groups = call.int_of(1);
  const auto channels = known_size(call, x, 1);
  call.require(channels && groups >= 1 && *channels % groups == 0,
               "a known number of channels that the groups divide is needed");
  const ValueId grouped = reshape(call, x, {0, groups, *channels / groups, -1});
  const ValueId shuffled = transpose(call, grouped, {0, 2, 1, 3});
  return call.one(call.emit(OpKind::kReshape, {shuffled, shape_of(call, x)}));
}

// The same tensor: its copy or its memory format makes no difference here.
Results same(AtenCall& call) {
  call.tensor(0);  // refuses what is no tensor
  return {call.arg(0)};
}

Results copy(AtenCall& call) {
  const ValueId x = call.tensor(0);
  if (const QuantParams* params = call.quantized(0)) return {call.quantized_result(x, *params)};
  return call.one(x);
}

constexpr AtenRow kShapeOps[] = {
    {"view reshape _unsafe_view _reshape_alias", keeping_grid<view>},
    {"view_as reshape_as", keeping_grid<view_as>},
    {"flatten", keeping_grid<flatten>},
    {"unflatten", keeping_grid<unflatten>},
    {"permute", keeping_grid<permute>},
    {"transpose swapaxes swapdims", keeping_grid<transpose_two>},
    {"t", keeping_grid<t>},
    {"numpy_T", keeping_grid<numpy_t>},
    {"mT adjoint", keeping_grid<matrix_t>},
    {"movedim moveaxis", keeping_grid<movedim>},
    {"squeeze", keeping_grid<squeeze_ones>},
    {"unsqueeze", keeping_grid<unsqueeze_one>},
    {"expand", keeping_grid<expand>},
    {"expand_as", keeping_grid<expand_as>},
    {"repeat", keeping_grid<repeat>},
    {"tile", tile},
    {"repeat_interleave", repeat_interleave},
    {"pixel_shuffle", keeping_grid<pixel_shuffle>},
    {"pixel_unshuffle", keeping_grid<pixel_unshuffle>},
    {"channel_shuffle", keeping_grid<channel_shuffle>},
    {"contiguous detach alias requires_grad lift_fresh cpu positive", same},
    {"clone", copy},
};

}  // namespace

std::span<const AtenRow> shape_aten_ops() { return kShapeOps; }

}  // namespace lathe
