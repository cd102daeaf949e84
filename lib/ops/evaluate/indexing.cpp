// Gathering, scattering, sorting and selecting by position.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "evaluate/evaluate.h"
#include "evaluate/quantization.h"
#include "evaluate/unsigned64.h"

namespace lathe {
namespace {

using Outputs = std::vector<at::Tensor>;
using Sizes = std::vector<int64_t>;

int64_t product(at::IntArrayRef sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

// Indices as int64 in 0..size-1; negative ones count from the end.
at::Tensor checked_index(const EvaluateCall& call, const at::Tensor& given, int64_t size) {
  const at::Tensor index = given.to(at::kLong);
  if (index.numel() == 0) return index;
  const int64_t low = index.min().item<int64_t>(), high = index.max().item<int64_t>();
  call.require(low >= -size && high < size, "an index is out of range");
  return low < 0 ? at::where(index.lt(0), index + size, index) : index;
}

// What the node's indices, its input 1, take of `x` along `axis`.
at::Tensor gathered(const EvaluateCall& call, const at::Tensor& x, int64_t axis) {
  const at::Tensor index = checked_index(call, call.input(1), x.size(axis));
  const at::Tensor picked = at::index_select(x, axis, index.reshape({index.numel()}));
  if (index.dim() == 1) return picked;
  if (index.dim() == 0) return picked.squeeze(axis);
  Sizes sizes = x.sizes().vec();
  sizes.erase(sizes.begin() + axis);
  sizes.insert(sizes.begin() + axis, index.sizes().begin(), index.sizes().end());
  return picked.reshape(sizes);
}

Outputs gather(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  return {gathered(call, x, call.normal_axis(call.attributes().int_or("axis", 0), x.dim()))};
}

// com.microsoft: of integers in blocks, expanded.
Outputs gather_block_quantized(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const Attributes& attributes = call.attributes();
  call.require(call.dtype(0) == DType::kInt4 || call.dtype(0) == DType::kUInt4,
               "only int4 and uint4 are supported");
  const int64_t axis = call.normal_axis(attributes.int_or("gather_axis", 0), x.dim());
  const int64_t along = call.normal_axis(attributes.int_or("quantize_axis", 1), x.dim());
  call.require(axis != along, "gather_axis and quantize_axis must differ");
  const auto rows = [&](const at::Tensor& of) {
    call.require(of.dim() == x.dim() && of.size(axis) == x.size(axis),
                 "scales and zero points must have as many rows as the data");
    return gathered(call, of, axis);
  };
  const int64_t moved = along > axis ? along + call.input(1).dim() - 1 : along;
  return {dequantize_values(call, rows(x), rows(call.input(2)),
                            call.has(3) ? rows(call.input(3)) : at::Tensor(),
                            {moved, attributes.int_or("block_size", 128)})};
}

Outputs gather_elements(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const int64_t axis = call.normal_axis(call.attributes().int_or("axis", 0), x.dim());
  return {at::gather(x, axis, checked_index(call, call.input(1), x.size(axis)))};
}

// The last dimension of `indices` addresses dimensions first.. of `x`: row numbers over them.
at::Tensor row_numbers(const EvaluateCall& call, const at::Tensor& x, const at::Tensor& indices,
                       int64_t first) {
  const int64_t depth = indices.size(-1);
  call.require(depth >= 1 && first + depth <= x.dim(), "indices address too many dimensions");
  at::Tensor rows =
      at::zeros(indices.sizes().slice(0, static_cast<size_t>(indices.dim() - 1)), at::kLong);
  for (int64_t i = 0; i < depth; ++i) {
    const int64_t size = x.size(first + i);
    rows = rows * size + checked_index(call, indices.select(-1, i), size);
  }
  return rows;
}

Outputs gather_nd(const EvaluateCall& call) {
  const at::Tensor &x = call.input(0), &indices = call.input(1);
  const int64_t batch_dims = call.attributes().int_or("batch_dims", 0);
  call.require(batch_dims >= 0 && batch_dims < indices.dim() && batch_dims < x.dim() &&
                   x.sizes().slice(0, static_cast<size_t>(batch_dims)) ==
                       indices.sizes().slice(0, static_cast<size_t>(batch_dims)),
               "batch dimensions do not match");
  at::Tensor rows = row_numbers(call, x, indices, batch_dims);
  const int64_t addressed = batch_dims + indices.size(-1);
  const int64_t batch = product(x.sizes().slice(0, static_cast<size_t>(batch_dims)));
  const int64_t inner = product(
      x.sizes().slice(static_cast<size_t>(batch_dims), static_cast<size_t>(indices.size(-1))));
  const at::IntArrayRef rest = x.sizes().slice(static_cast<size_t>(addressed));
  Sizes sizes = rows.sizes().vec();
  sizes.insert(sizes.end(), rest.begin(), rest.end());
  if (batch_dims > 0) {
    Sizes ones(static_cast<size_t>(rows.dim()), 1);
    for (int64_t i = 0; i < batch_dims; ++i) ones[static_cast<size_t>(i)] = x.size(i);
    rows = rows + at::arange(batch, at::kLong).mul(inner).reshape(ones);
  }
  const at::Tensor flat = x.reshape({batch * inner, product(rest)});
  return {at::index_select(flat, 0, rows.reshape({rows.numel()})).reshape(sizes)};
}

// -- scatter -----------------------------------------------------------------------------------

// out.flat[position[i]] = reduce(out.flat[position[i]], updates.flat[i]), in order of i.
at::Tensor scatter_reduced(const EvaluateCall& call, const at::Tensor& positions,
                           const std::string& reduction) {
  const DType dtype = call.dtype(0);
  at::Tensor out = ordered(call.input(0), dtype).clone(at::MemoryFormat::Contiguous);
  const at::Tensor updates = ordered(call.input(2), dtype).contiguous();
  const at::Tensor index = positions.contiguous();
  const int64_t* place = index.data_ptr<int64_t>();
  AT_DISPATCH_ALL_TYPES(out.scalar_type(), "scatter", [&] {
    scalar_t* to = out.data_ptr<scalar_t>();
    const scalar_t* from = updates.data_ptr<scalar_t>();
    for (int64_t i = 0; i < updates.numel(); ++i) {
      scalar_t& value = to[place[i]];
      if (reduction == "mul")
        value = static_cast<scalar_t>(value * from[i]);
      else if (reduction == "max" ? from[i] > value : from[i] < value)
        value = from[i];
    }
  });
  return ordered(out, dtype);
}

std::string reduction_attribute(const EvaluateCall& call) {
  const std::string reduction = call.attributes().string_or("reduction", "none");
  call.require(reduction == "none" || reduction == "add" || reduction == "mul" ||
                   reduction == "min" || reduction == "max",
               "unknown reduction");
  // Products do not survive the order-preserving form of uint64.
  call.require(reduction != "mul" || call.dtype(0) != DType::kUInt64,
               "reduction mul of uint64 is not supported");
  return reduction;
}

Outputs scatter_elements(const EvaluateCall& call) {
  const at::Tensor &x = call.input(0), &updates = call.input(2);
  const int64_t axis = call.normal_axis(call.attributes().int_or("axis", 0), x.dim());
  const at::Tensor index = checked_index(call, call.input(1), x.size(axis));
  call.require(index.sizes() == updates.sizes() && index.dim() == x.dim(),
               "data, indices and updates do not match");
  for (int64_t i = 0; i < x.dim(); ++i)
    call.require(i == axis || index.size(i) <= x.size(i), "indices are larger than data");
  const std::string reduction = reduction_attribute(call);
  if (reduction == "none") return {at::scatter(x, axis, index, updates)};
  if (reduction == "add") return {at::scatter_add(x, axis, index, updates)};
  at::Tensor positions = at::zeros_like(index);
  int64_t stride = 1;
  for (int64_t i = x.dim() - 1; i >= 0; stride *= x.size(i--)) {
    Sizes shape(static_cast<size_t>(x.dim()), 1);
    shape[static_cast<size_t>(i)] = index.size(i);
    const at::Tensor along =
        i == axis ? index : at::arange(index.size(i), at::kLong).reshape(shape);
    positions = positions + along * stride;
  }
  return {scatter_reduced(call, positions, reduction)};
}

Outputs scatter_nd(const EvaluateCall& call) {
  const at::Tensor &x = call.input(0), &indices = call.input(1), &updates = call.input(2);
  call.require(indices.dim() >= 1, "indices must have a dimension");
  const at::Tensor rows = row_numbers(call, x, indices, 0).flatten();
  const at::IntArrayRef rest = x.sizes().slice(static_cast<size_t>(indices.size(-1)));
  Sizes expected = indices.sizes().slice(0, static_cast<size_t>(indices.dim() - 1)).vec();
  expected.insert(expected.end(), rest.begin(), rest.end());
  call.require(updates.sizes() == at::IntArrayRef(expected), "updates do not match indices");
  const int64_t width = product(rest);
  const std::string reduction = reduction_attribute(call);
  if (reduction != "none" && reduction != "add") {
    const at::Tensor positions = rows.unsqueeze(1) * width + at::arange(width, at::kLong);
    return {scatter_reduced(call, positions, reduction)};
  }
  const int64_t count = product(x.sizes().slice(0, static_cast<size_t>(indices.size(-1))));
  const at::Tensor flat = x.reshape({count, width});
  const at::Tensor source = updates.reshape({rows.numel(), width});
  const at::Tensor out = reduction == "add" ? at::index_add(flat, 0, rows, source)
                                            : at::index_copy(flat, 0, rows, source);
  return {out.reshape(x.sizes())};
}

Outputs tensor_scatter(const EvaluateCall& call) {
  const at::Tensor &past = call.input(0), &update = call.input(1);
  const std::string mode = call.attributes().string_or("mode", "linear");
  call.require(mode == "linear" || mode == "circular", "mode must be linear or circular");
  const int64_t axis = call.normal_axis(call.attributes().int_or("axis", -2), past.dim());
  call.require(axis > 0 && update.dim() == past.dim(), "axis must not be the batch");
  for (int64_t i = 0; i < past.dim(); ++i)
    call.require(i == axis ? update.size(i) <= past.size(i) : update.size(i) == past.size(i),
                 "update does not fit the cache");
  const int64_t batch = past.size(0), size = past.size(axis), length = update.size(axis);
  const Sizes starts = call.has(2) ? call.ints(2) : Sizes(static_cast<size_t>(batch), 0);
  call.require(static_cast<int64_t>(starts.size()) == batch, "needs one write index per batch");
  at::Tensor out = past.clone();
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t start = starts[static_cast<size_t>(b)];
    call.require(start >= 0 && (mode == "circular" ? start <= size : start <= size - length),
                 "a write index is out of range");
    if (length == 0) continue;
    const at::Tensor index = at::remainder(at::arange(length, at::kLong) + start, size);
    out.select(0, b).index_copy_(axis - 1, index, update.select(0, b));
  }
  return {out};
}

// -- selection ---------------------------------------------------------------------------------

Outputs one_hot(const EvaluateCall& call) {
  const at::Tensor index = call.input(0).to(at::kLong);
  call.require(call.input(1).numel() == 1 && call.input(2).numel() == 2,
               "depth must be a scalar and values a pair");
  const int64_t depth = call.input(1).to(at::kLong).item<int64_t>();
  call.require(depth > 0, "depth must be positive");
  const int64_t axis = call.normal_axis(call.attributes().int_or("axis", -1), index.dim() + 1);
  Sizes sizes = index.sizes().vec();
  sizes.insert(sizes.begin() + axis, depth);
  element_count(sizes);
  Sizes shape(static_cast<size_t>(index.dim() + 1), 1);
  shape[static_cast<size_t>(axis)] = depth;
  const at::Tensor places = at::arange(depth, at::kLong).reshape(shape);
  // Indices outside of -depth..depth-1 match no place: all off.
  const at::Tensor wrapped = at::where(index.lt(0), index + depth, index).unsqueeze(axis);
  const at::Tensor values = call.input(2).flatten();
  return {at::where(wrapped.eq(places), values.select(0, 1), values.select(0, 0))};
}

Outputs non_zero(const EvaluateCall& call) { return {at::nonzero(call.input(0)).t()}; }

// A stable sort gives the lower index first among equals, which ATen's topk does not promise.
Outputs top_k(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const int64_t axis = call.normal_axis(call.attributes().int_or("axis", -1), x.dim());
  const int64_t k = call.int_value(1);
  call.require(k >= 0 && k <= x.size(axis), "k is out of range");
  const bool largest = call.attributes().int_or("largest", 1) != 0;
  const auto [values, indices] = at::sort(ordered(x, call.dtype(0)), true, axis, largest);
  return {ordered(values.narrow(axis, 0, k), call.dtype(0)).contiguous(),
          indices.narrow(axis, 0, k).contiguous()};
}

// Orders rows of `width` elements; NaN is larger than everything and equal to itself.
template <class T>
int compare_rows(const T* a, const T* b, int64_t width) {
  for (int64_t i = 0; i < width; ++i) {
    if (a[i] < b[i]) return -1;
    if (b[i] < a[i]) return 1;
    if constexpr (std::is_floating_point_v<T>)
      if (std::isnan(a[i]) != std::isnan(b[i])) return std::isnan(b[i]) ? -1 : 1;
  }
  return 0;
}

struct Groups {
  Sizes first;    // row where each group occurs first
  Sizes inverse;  // group of each row
  Sizes counts;
};

template <class T>
Groups group_rows(const T* rows, int64_t count, int64_t width, bool sorted) {
  Sizes order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  const auto compare = [&](int64_t a, int64_t b) {
    return compare_rows(rows + a * width, rows + b * width, width);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return compare(a, b) < 0; });
  Groups out;
  out.inverse.resize(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || compare(order[i - 1], order[i]) != 0) {
      out.first.push_back(order[i]);
      out.counts.push_back(0);
    }
    out.inverse[static_cast<size_t>(order[i])] = static_cast<int64_t>(out.first.size()) - 1;
    ++out.counts.back();
  }
  if (sorted) return out;
  Sizes by_occurrence(out.first.size()), rank(out.first.size());
  std::iota(by_occurrence.begin(), by_occurrence.end(), 0);
  std::sort(by_occurrence.begin(), by_occurrence.end(), [&](int64_t a, int64_t b) {
    return out.first[static_cast<size_t>(a)] < out.first[static_cast<size_t>(b)];
  });
  Groups turned;
  for (size_t i = 0; i < by_occurrence.size(); ++i) {
    const auto group = static_cast<size_t>(by_occurrence[i]);
    rank[group] = static_cast<int64_t>(i);
    turned.first.push_back(out.first[group]);
    turned.counts.push_back(out.counts[group]);
  }
  for (const int64_t group : out.inverse)
    turned.inverse.push_back(rank[static_cast<size_t>(group)]);
  return turned;
}

Outputs unique(const EvaluateCall& call) {
  at::Tensor x = call.input(0);
  int64_t axis = 0;
  if (call.attributes().has("axis"))
    axis = call.normal_axis(call.attributes().required_int("axis"), x.dim());
  else
    x = x.flatten();
  const bool sorted = call.attributes().int_or("sorted", 1) != 0;
  const int64_t count = x.size(axis);
  const at::Tensor rows = ordered(x, call.dtype(0)).movedim(axis, 0).contiguous();
  Groups groups;
  AT_DISPATCH_ALL_TYPES_AND(at::kBool, rows.scalar_type(), "unique", [&] {
    groups =
        group_rows(rows.data_ptr<scalar_t>(), count, count == 0 ? 0 : rows.numel() / count, sorted);
  });
  const at::Tensor first = at::tensor(groups.first, at::kLong);
  return {at::index_select(x, axis, first), first, at::tensor(groups.inverse, at::kLong),
          at::tensor(groups.counts, at::kLong)};
}

}  // namespace

std::span<const EvaluateRow> indexing_ops() {
  static const EvaluateRow rows[] = {
      {OpKind::kGather, gather},
      {OpKind::kGatherElements, gather_elements},
      {OpKind::kGatherBlockQuantized, gather_block_quantized},
      {OpKind::kGatherND, gather_nd},
      {OpKind::kNonZero, non_zero},
      {OpKind::kOneHot, one_hot},
      {OpKind::kScatterElements, scatter_elements},
      {OpKind::kScatterND, scatter_nd},
      {OpKind::kTensorScatter, tensor_scatter},
      {OpKind::kTopK, top_k},
      {OpKind::kUnique, unique},
  };
  return rows;
}

}  // namespace lathe
