// Pooling by windows and over whole images.
#include "evaluate/pooling.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "evaluate/constant_tensor.h"
#include "evaluate/is_traced.h"
#include "evaluate/max_pool_planes.h"
#include "evaluate/window.h"
#include "ir/error.h"

namespace lathe {
namespace {

struct Pooling {
  Window window;
  std::vector<int64_t> sizes;
  std::vector<int64_t> outputs;
  bool ceil_mode = false;

  bool dilated() const {
    return std::any_of(window.dilations.begin(), window.dilations.end(),
                       [](int64_t d) { return d != 1; });
  }
  /// ATen's own pooling takes the padding: the same in front and behind, at most half a kernel.
  bool pads_natively() const {
    for (size_t i = 0; i < sizes.size(); ++i)
      if (window.begin[i] != window.end[i] || 2 * window.begin[i] > window.kernel[i]) return false;
    return true;
  }
  /// Padding behind with which the last window just fits; negative crops what no window sees.
  std::vector<int64_t> exact_end() const {
    std::vector<int64_t> end(sizes.size());
    for (size_t i = 0; i < sizes.size(); ++i)
      end[i] = (outputs[i] - 1) * window.strides[i] + window.extent(i) - sizes[i] - window.begin[i];
    return end;
  }
};

Pooling read_pooling(const EvaluateCall& call, const at::Tensor& x) {
  Pooling pooling;
  pooling.sizes = spatial_sizes(call, x);
  call.require(pooling.sizes.size() <= 3, "more than three spatial axes are not supported");
  for (const int64_t size : pooling.sizes) call.require(size >= 1, "an empty image");
  pooling.window = read_window(call, required_kernel(call, pooling.sizes.size()), pooling.sizes);
  pooling.ceil_mode = call.attributes().int_or("ceil_mode", 0) != 0;
  pooling.outputs = window_outputs(call, pooling.window, pooling.sizes, pooling.ceil_mode);
  std::vector<int64_t> all = {x.size(0), x.size(1)};
  all.insert(all.end(), pooling.outputs.begin(), pooling.outputs.end());
  checked_elements(all);
  return pooling;
}

/// ATen's max pooling in 1 to 3 dimensions, with flat indices into each plane when wanted.
std::pair<at::Tensor, at::Tensor> max_pool_aten(const at::Tensor& x, const Pooling& p,
                                                const std::vector<int64_t>& pads, bool ceil_mode,
                                                bool indices) {
  const Window& w = p.window;
  const size_t rank = p.sizes.size();
  if (rank == 1) {
    if (!indices) return {at::max_pool1d(x, w.kernel, w.strides, pads, w.dilations, ceil_mode), {}};
    auto [y, index] =
        at::max_pool1d_with_indices(x, w.kernel, w.strides, pads, w.dilations, ceil_mode);
    return {y, index};
  }
  if (rank == 2) {
    if (!indices) return {at::max_pool2d(x, w.kernel, w.strides, pads, w.dilations, ceil_mode), {}};
    auto [y, index] =
        at::max_pool2d_with_indices(x, w.kernel, w.strides, pads, w.dilations, ceil_mode);
    return {y, index};
  }
  auto [y, index] =
      at::max_pool3d_with_indices(x, w.kernel, w.strides, pads, w.dilations, ceil_mode);
  return {y, index};
}

at::Tensor max_pool_by_rows(const at::Tensor& x, const Pooling& p) {
  const Window& w = p.window;
  const auto axis = [&](size_t i) {
    return PlaneAxis{p.sizes[i],   p.outputs[i],   w.kernel[i],
                     w.strides[i], w.dilations[i], w.begin[i]};
  };
  const at::Tensor source = x.contiguous();
  at::Tensor y = at::empty({x.size(0), x.size(1), p.outputs[0], p.outputs[1]}, x.options());
  std::vector<float> row(static_cast<size_t>(p.sizes[1]));
  max_pool_planes(source.data_ptr<float>(), x.size(0) * x.size(1), axis(0), axis(1), row.data(),
                  y.data_ptr<float>());
  return y;
}

/// Indices into padded planes become ONNX's indices into the whole input tensor.
at::Tensor flat_indices(const EvaluateCall& call, const at::Tensor& index, const Pooling& p,
                        const std::vector<int64_t>& begin, const std::vector<int64_t>& padded) {
  const bool column_major = call.attributes().int_or("storage_order", 0) != 0;
  const size_t rank = p.sizes.size();
  at::Tensor rest = index;
  at::Tensor flat = at::zeros_like(index);
  int64_t plane = 1;
  for (size_t i = rank; i-- > 0;) {
    const at::Tensor at = at::remainder(rest, padded[i]) - begin[i];
    rest = at::floor_divide(rest, padded[i]);
    int64_t pitch = plane;
    if (column_major)
      pitch = std::accumulate(p.sizes.begin(), p.sizes.begin() + static_cast<std::ptrdiff_t>(i),
                              int64_t{1}, std::multiplies<>());
    flat = flat + at * pitch;
    plane *= p.sizes[i];
  }
  std::vector<int64_t> shape(index.dim(), 1);
  shape[0] = index.size(0);
  shape[1] = index.size(1);
  return flat + (at::arange(index.size(0) * index.size(1), index.options()) * plane).reshape(shape);
}

std::vector<at::Tensor> max_pool(const EvaluateCall& call) {
  at::Tensor x = call.input(0);
  const Pooling p = read_pooling(call, x);
  const bool indices = call.node.outputs.size() > 1;
  const at::ScalarType type = x.scalar_type();
  if (!x.is_floating_point()) {
    call.require(type == at::kByte || type == at::kChar, "MaxPool of this type is not defined");
    x = x.to(at::kFloat);
  }
  if (p.sizes.size() == 2 && !indices && x.scalar_type() == at::kFloat && !is_traced(x))
    return {max_pool_by_rows(x, p).to(type)};
  std::vector<int64_t> begin(p.sizes.size(), 0);
  std::vector<int64_t> padded = p.sizes;
  std::pair<at::Tensor, at::Tensor> result;
  if (p.pads_natively()) {
    result = max_pool_aten(x, p, p.window.begin, p.ceil_mode, indices);
  } else {
    begin = p.window.begin;
    const std::vector<int64_t> end = p.exact_end();
    for (size_t i = 0; i < padded.size(); ++i) padded[i] += begin[i] + end[i];
    x = pad_spatial(x, begin, end, -std::numeric_limits<double>::infinity());
    result = max_pool_aten(x, p, std::vector<int64_t>(begin.size(), 0), false, indices);
  }
  std::vector<at::Tensor> outputs = {result.first.to(type)};
  if (indices) outputs.push_back(flat_indices(call, result.second, p, begin, padded));
  return outputs;
}

/// Sum over each window: a convolution of every plane with ones.
at::Tensor window_sums(const at::Tensor& x, const Pooling& p) {
  std::vector<int64_t> shape = {x.size(0) * x.size(1), 1};
  std::vector<int64_t> kernel = {1, 1};
  std::vector<int64_t> outputs = {x.size(0), x.size(1)};
  shape.insert(shape.end(), p.sizes.begin(), p.sizes.end());
  kernel.insert(kernel.end(), p.window.kernel.begin(), p.window.kernel.end());
  outputs.insert(outputs.end(), p.outputs.begin(), p.outputs.end());
  if (x.numel() == 0) return at::zeros(outputs, x.options());
  const std::vector<int64_t> zeros(p.sizes.size(), 0);
  const at::Tensor padded = pad_spatial(x.reshape(shape), p.window.begin, p.exact_end());
  return at::convolution(padded, at::ones(kernel, x.options()), {}, p.window.strides, zeros,
                         p.window.dilations, false, zeros, 1)
      .reshape(outputs);
}

/// Elements that each window averages over, shaped to divide the sums.
at::Tensor window_counts(const Pooling& p, bool include_padding, const at::TensorOptions& options) {
  const size_t rank = p.sizes.size();
  at::Tensor counts = at::ones(std::vector<int64_t>(rank + 2, 1), options);
  for (size_t i = 0; i < rank; ++i) {
    const int64_t low = include_padding ? -p.window.begin[i] : 0;
    const int64_t high = p.sizes[i] + (include_padding ? p.window.end[i] : 0);
    std::vector<double> axis(static_cast<size_t>(p.outputs[i]));
    for (int64_t o = 0; o < p.outputs[i]; ++o) {
      // Taps are at start + k * dilation; count those within [low, high).
      const int64_t start = o * p.window.strides[i] - p.window.begin[i];
      const int64_t dilation = p.window.dilations[i];
      const auto taps_below = [&](int64_t bound) {
        return std::clamp<int64_t>((bound - start + dilation - 1) / dilation, 0,
                                   p.window.kernel[i]);
      };
      const int64_t count =
          (high > start ? taps_below(high) : 0) - (low > start ? taps_below(low) : 0);
      axis[static_cast<size_t>(o)] = static_cast<double>(std::max<int64_t>(count, 1));
    }
    std::vector<int64_t> shape(rank + 2, 1);
    shape[i + 2] = p.outputs[i];
    counts = counts * constant_tensor(axis, options.dtype(at::kDouble)).to(options).reshape(shape);
  }
  return counts;
}

std::vector<at::Tensor> average_pool(const EvaluateCall& call) {
  return {average_pool_of(call, call.input(0))};
}

std::vector<at::Tensor> lp_pool(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const auto power = static_cast<double>(call.attributes().int_or("p", 2));
  call.require(power >= 1, "p must be at least 1");
  const Pooling p = read_pooling(call, x);
  return {at::pow(window_sums(at::pow(at::abs(x), power), p), 1.0 / power)};
}

std::vector<at::Tensor> global_average_pool(const EvaluateCall& call) {
  spatial_sizes(call, call.input(0));
  return {at::mean(call.input(0), spatial_axes(call.input(0)), true)};
}

std::vector<at::Tensor> global_max_pool(const EvaluateCall& call) {
  for (const int64_t size : spatial_sizes(call, call.input(0)))
    call.require(size >= 1, "an empty image");
  return {at::amax(call.input(0), spatial_axes(call.input(0)), true)};
}

std::vector<at::Tensor> global_lp_pool(const EvaluateCall& call) {
  const auto power = static_cast<double>(call.attributes().int_or("p", 2));
  call.require(power >= 1, "p must be at least 1");
  spatial_sizes(call, call.input(0));
  const at::Tensor powers = at::pow(at::abs(call.input(0)), power);
  return {at::pow(at::sum(powers, spatial_axes(powers), true), 1.0 / power)};
}

constexpr std::array kPoolingOps{
    EvaluateRow{OpKind::kAveragePool, average_pool},
    EvaluateRow{OpKind::kGlobalAveragePool, global_average_pool},
    EvaluateRow{OpKind::kGlobalLpPool, global_lp_pool},
    EvaluateRow{OpKind::kGlobalMaxPool, global_max_pool},
    EvaluateRow{OpKind::kLpPool, lp_pool},
    EvaluateRow{OpKind::kMaxPool, max_pool},
    EvaluateRow{OpKind::kMaxRoiPool, max_roi_pool},
    EvaluateRow{OpKind::kMaxUnpool, max_unpool},
    EvaluateRow{OpKind::kRoiAlign, roi_align},
};

}  // namespace

at::Tensor average_pool_of(const EvaluateCall& call, const at::Tensor& x) {
  const Pooling p = read_pooling(call, x);
  const bool include = call.attributes().int_or("count_include_pad", 0) != 0;
  if (p.pads_natively() && !p.dilated() && x.numel() != 0) {
    const Window& w = p.window;
    if (p.sizes.size() == 1)
      return at::avg_pool1d(x, w.kernel, w.strides, w.begin, p.ceil_mode, include);
    if (p.sizes.size() == 2)
      return at::avg_pool2d(x, w.kernel, w.strides, w.begin, p.ceil_mode, include);
    return at::avg_pool3d(x, w.kernel, w.strides, w.begin, p.ceil_mode, include);
  }
  return window_sums(x, p) / window_counts(p, include, x.options());
}

std::vector<int64_t> spatial_axes(const at::Tensor& x) {
  std::vector<int64_t> axes;
  for (int64_t axis = 2; axis < x.dim(); ++axis) axes.push_back(axis);
  return axes;
}

std::span<const EvaluateRow> pooling_ops() { return kPoolingOps; }

}  // namespace lathe
