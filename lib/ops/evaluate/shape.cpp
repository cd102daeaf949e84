// Ops that rearrange, select or repeat elements without computing with them.
#include <ATen/ExpandUtils.h>

#include <algorithm>
#include <numeric>

#include "evaluate/evaluate.h"

namespace lathe {
namespace {

using Outputs = std::vector<at::Tensor>;
using Sizes = std::vector<int64_t>;

int64_t product(at::IntArrayRef sizes, int64_t begin, int64_t end) {
  int64_t out = 1;
  for (int64_t i = begin; i < end; ++i) out *= sizes[static_cast<size_t>(i)];
  return out;
}

Outputs reshape(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  Sizes sizes = call.ints(1);
  const bool allow_zero = call.attributes().int_or("allowzero", 0) != 0;
  const bool keeps_batch = !allow_zero && sizes.size() > 1 && sizes[0] == 0 && x.dim() > 1;
  for (size_t i = 0; !allow_zero && i < sizes.size(); ++i) {
    if (sizes[i] != 0) continue;
    call.require(static_cast<int64_t>(i) < x.dim(), "shape copies a dimension that is not there");
    sizes[i] = x.size(static_cast<int64_t>(i));
  }
  // Spelled without the batch size, so that a trace of it holds for other batch sizes.
  if (keeps_batch && x.numel() > 0)
    return {x.flatten(1).unflatten(1, at::IntArrayRef(sizes).slice(1))};
  return {x.reshape(sizes)};
}

Outputs flatten(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const int64_t given = call.attributes().int_or("axis", 1);
  call.require(given >= -x.dim() && given <= x.dim(), "axis is out of range");
  const int64_t axis = given < 0 ? given + x.dim() : given;
  if (axis == 1 && x.dim() >= 2) return {x.flatten(1)};
  return {x.reshape({product(x.sizes(), 0, axis), product(x.sizes(), axis, x.dim())})};
}

// Axes of an integer input, normalized against `rank` and ascending; each only once.
Sizes sorted_axes(const EvaluateCall& call, size_t input, int64_t rank) {
  Sizes axes = call.ints(input);
  for (int64_t& axis : axes) axis = call.normal_axis(axis, rank);
  std::sort(axes.begin(), axes.end());
  call.require(std::adjacent_find(axes.begin(), axes.end()) == axes.end(),
               "axes name one dimension twice");
  return axes;
}

Outputs squeeze(const EvaluateCall& call) {
  at::Tensor x = call.input(0);
  if (!call.has(1)) return {x.squeeze()};
  const Sizes axes = sorted_axes(call, 1, x.dim());
  for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
    call.require(x.size(*axis) == 1, "only dimensions of size 1 can be squeezed");
    x = x.squeeze(*axis);
  }
  return {x};
}

Outputs unsqueeze(const EvaluateCall& call) {
  at::Tensor x = call.input(0);
  const int64_t added = call.input(1).numel();
  call.require(added <= 64, "too many axes");
  for (const int64_t axis : sorted_axes(call, 1, x.dim() + added)) x = x.unsqueeze(axis);
  return {x};
}

Outputs transpose(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  Sizes order(static_cast<size_t>(x.dim()));
  std::iota(order.rbegin(), order.rend(), 0);
  return {x.permute(call.attributes().ints_or("perm", order))};
}

Outputs concat(const EvaluateCall& call) {
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i < call.inputs.size(); ++i) parts.push_back(call.input(i));
  call.require(!parts.empty(), "needs an input");
  return {at::cat(parts, call.normal_axis(call.attributes().required_int("axis"), parts[0].dim()))};
}

Outputs split(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const int64_t axis = call.normal_axis(call.attributes().int_or("axis", 0), x.dim());
  const int64_t size = x.size(axis), outputs = static_cast<int64_t>(call.node.outputs.size());
  Sizes parts;
  if (call.has(1)) {
    parts = call.ints(1);
  } else {
    const int64_t count = call.attributes().int_or("num_outputs", outputs);
    call.require(count > 0 && count == outputs, "num_outputs does not match the outputs");
    const int64_t chunk = size / count + (size % count != 0);
    for (int64_t i = 0, left = size; i < count; ++i, left -= parts.back())
      parts.push_back(std::min(chunk, left));
  }
  Outputs out;
  int64_t begin = 0;
  for (const int64_t part : parts) {
    call.require(part >= 0 && part <= size - begin, "split does not fit the dimension");
    out.push_back(x.narrow(axis, begin, part));
    begin += part;
  }
  call.require(begin == size, "split does not cover the dimension");
  return out;
}

at::Tensor slice_axis(const at::Tensor& x, int64_t axis, int64_t start, int64_t end, int64_t step) {
  const int64_t size = x.size(axis);
  // Longer steps select the same single element; bounded, the arithmetic below cannot overflow.
  step = std::clamp(step, -size - 1, size + 1);
  if (start < 0) start += size;
  if (end < 0) end += size;
  if (step > 0) {
    start = std::clamp<int64_t>(start, 0, size);
    end = std::clamp<int64_t>(end, 0, size);
    return x.slice(axis, start, std::max(start, end), step);
  }
  if (size == 0) return x;
  start = std::clamp<int64_t>(start, 0, size - 1);
  end = std::clamp<int64_t>(end, -1, size - 1);
  if (end >= start) return x.slice(axis, 0, 0);
  // ATen has no negative step: the same elements ascending, then turned round.
  const int64_t count = (start - end - step - 1) / -step;
  return x.slice(axis, start + (count - 1) * step, start + 1, -step).flip({axis});
}

Outputs slice(const EvaluateCall& call) {
  at::Tensor x = call.input(0);
  const Sizes starts = call.ints(1), ends = call.ints(2);
  Sizes axes(starts.size()), steps(starts.size(), 1);
  std::iota(axes.begin(), axes.end(), 0);
  if (call.has(3)) axes = call.ints(3);
  if (call.has(4)) steps = call.ints(4);
  call.require(
      ends.size() == starts.size() && axes.size() == starts.size() && steps.size() == starts.size(),
      "starts, ends, axes and steps differ in length");
  for (size_t i = 0; i < starts.size(); ++i) {
    call.require(steps[i] != 0, "step must not be 0");
    x = slice_axis(x, call.normal_axis(axes[i], x.dim()), starts[i], ends[i], steps[i]);
  }
  return {x};
}

Outputs expand(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const Sizes wanted = call.ints(1);
  call.require(std::all_of(wanted.begin(), wanted.end(), [](int64_t n) { return n >= 0; }),
               "shape must not be negative");
  const Sizes sizes = at::infer_size(x.sizes(), wanted);
  element_count(sizes);
  return {x.expand(sizes)};
}

Outputs tile(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const Sizes repeats = call.ints(1);
  call.require(static_cast<int64_t>(repeats.size()) == x.dim(), "needs one repeat per dimension");
  Sizes sizes = x.sizes().vec();
  for (size_t i = 0; i < repeats.size(); ++i) {
    call.require(repeats[i] >= 0, "repeats must not be negative");
    sizes[i] = element_count({sizes[i], repeats[i]});
  }
  element_count(sizes);
  return {x.repeat(repeats)};
}

Outputs shape(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const int64_t rank = x.dim();
  const auto bounded = [rank](int64_t position) {
    if (position < 0) position += rank;
    return std::clamp<int64_t>(position, 0, rank);
  };
  const int64_t start = bounded(call.attributes().int_or("start", 0));
  const int64_t end = bounded(call.attributes().int_or("end", rank));
  return {at::_shape_as_tensor(x).slice(0, start, std::max(start, end))};
}

Outputs size(const EvaluateCall& call) {
  return {at::scalar_tensor(call.input(0).numel(), at::kLong)};
}

int64_t block_size(const EvaluateCall& call) {
  const int64_t block = call.attributes().required_int("blocksize");
  call.require(block > 0 && block <= (1 << 20), "blocksize is out of range");
  call.require(call.input(0).dim() == 4, "needs an NCHW input");
  return block;
}

Outputs space_to_depth(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const int64_t b = block_size(call);
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2) / b, w = x.size(3) / b;
  call.require(x.size(2) % b == 0 && x.size(3) % b == 0, "height and width must divide evenly");
  return {x.reshape({n, c, h, b, w, b}).permute({0, 3, 5, 1, 2, 4}).reshape({n, c * b * b, h, w})};
}

Outputs depth_to_space(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const int64_t b = block_size(call);
  const std::string mode = call.attributes().string_or("mode", "DCR");
  call.require(mode == "DCR" || mode == "CRD", "mode must be DCR or CRD");
  call.require(x.size(1) % (b * b) == 0, "channels must divide evenly");
  const int64_t n = x.size(0), c = x.size(1) / (b * b), h = x.size(2), w = x.size(3);
  const at::Tensor out = mode == "DCR" ? x.reshape({n, b, b, c, h, w}).permute({0, 3, 4, 1, 5, 2})
                                       : x.reshape({n, c, b, b, h, w}).permute({0, 1, 4, 2, 5, 3});
  return {out.reshape({n, c, h * b, w * b})};
}

Outputs trilu(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  call.require(x.dim() >= 2, "needs at least two dimensions");
  const int64_t reach = x.size(-1) + x.size(-2);
  const int64_t k = call.has(1) ? std::clamp(call.int_value(1), -reach, reach) : 0;
  const bool upper = call.attributes().int_or("upper", 1) != 0;
  return {upper ? at::triu(x, k) : at::tril(x, k)};
}

Outputs reverse_sequence(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const int64_t batch = call.normal_axis(call.attributes().int_or("batch_axis", 1), x.dim());
  const int64_t time = call.normal_axis(call.attributes().int_or("time_axis", 0), x.dim());
  call.require(batch != time && batch < 2 && time < 2, "batch_axis and time_axis must be 0 and 1");
  const Sizes given = call.ints(1);
  call.require(static_cast<int64_t>(given.size()) == x.size(batch),
               "needs one sequence length per batch entry");
  for (const int64_t length : given)
    call.require(length >= 0 && length <= x.size(time), "sequence length is out of range");
  const at::Tensor lengths = call.input(1).to(at::kLong).unsqueeze(1);
  const at::Tensor steps = at::arange(x.size(time), at::kLong).unsqueeze(0);
  at::Tensor index = at::where(steps.lt(lengths), lengths - 1 - steps, steps);  // [batch, time]
  if (batch == 1) index = index.t();
  while (index.dim() < x.dim()) index = index.unsqueeze(-1);
  return {at::gather(x, time, index.expand(x.sizes()))};
}

Outputs compress(const EvaluateCall& call) {
  at::Tensor x = call.input(0);
  int64_t axis = 0;
  if (call.attributes().has("axis"))
    axis = call.normal_axis(call.attributes().required_int("axis"), x.dim());
  else
    x = x.flatten();
  const at::Tensor& condition = call.input(1);
  call.require(condition.dim() == 1 && condition.numel() <= x.size(axis),
               "condition must be one-dimensional and no longer than the axis");
  return {at::index_select(x, axis, at::nonzero(condition).flatten())};
}

}  // namespace

std::span<const EvaluateRow> shape_ops() {
  static const EvaluateRow rows[] = {
      {OpKind::kCompress, compress},
      {OpKind::kConcat, concat},
      {OpKind::kDepthToSpace, depth_to_space},
      {OpKind::kExpand, expand},
      {OpKind::kFlatten, flatten},
      {OpKind::kReshape, reshape},
      {OpKind::kReverseSequence, reverse_sequence},
      {OpKind::kShape, shape},
      {OpKind::kSize, size},
      {OpKind::kSlice, slice},
      {OpKind::kSpaceToDepth, space_to_depth},
      {OpKind::kSplit, split},
      {OpKind::kSqueeze, squeeze},
      {OpKind::kTile, tile},
      {OpKind::kTranspose, transpose},
      {OpKind::kTrilu, trilu},
      {OpKind::kUnsqueeze, unsqueeze},
  };
  return rows;
}

}  // namespace lathe
