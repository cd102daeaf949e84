// Pooling over regions given as data: MaxUnpool, MaxRoiPool, RoiAlign.
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "evaluate/pooling.h"
#include "evaluate/window.h"
#include "ir/error.h"

namespace lathe {
namespace {

constexpr int64_t kMaxPooledSize = int64_t{1} << 20;

/// One bilinear sample of RoiAlign; all weights 0 when it lies outside.
template <class T>
struct Corners {
  int64_t at[4] = {};
  T weight[4] = {};
};

template <class T>
Corners<T> corners(T y, T x, int64_t height, int64_t width) {
  Corners<T> c;
  if (!(y >= -1 && y <= static_cast<T>(height) && x >= -1 && x <= static_cast<T>(width))) return c;
  y = std::min(std::max<T>(y, 0), static_cast<T>(height - 1));
  x = std::min(std::max<T>(x, 0), static_cast<T>(width - 1));
  // Float holds no integer above 2^24 exactly: the conversion of the last index may round up.
  const int64_t y0 = std::min(static_cast<int64_t>(y), height - 1);
  const int64_t x0 = std::min(static_cast<int64_t>(x), width - 1);
  const int64_t y1 = std::min(y0 + 1, height - 1);
  const int64_t x1 = std::min(x0 + 1, width - 1);
  const T dy = y - static_cast<T>(y0);
  const T dx = x - static_cast<T>(x0);
  c.at[0] = y0 * width + x0;
  c.at[1] = y0 * width + x1;
  c.at[2] = y1 * width + x0;
  c.at[3] = y1 * width + x1;
  c.weight[0] = (1 - dy) * (1 - dx);
  c.weight[1] = (1 - dy) * dx;
  c.weight[2] = dy * (1 - dx);
  c.weight[3] = dy * dx;
  return c;
}

struct AlignShape {
  int64_t channels, height, width, out_h, out_w, sampling;
  double scale, offset;
  bool max;
};

/// Samples per bin along an axis; bounded, because the region is untrusted.
int64_t grid_size(const EvaluateCall& call, const AlignShape& s, double extent, int64_t bins) {
  if (s.sampling > 0) return s.sampling;
  const double grid = std::ceil(extent / static_cast<double>(bins));
  call.require(grid < 65536, "a region of interest is too large");
  return grid > 0 ? static_cast<int64_t>(grid) : 0;
}

template <class T>
void align_region(const EvaluateCall& call, const AlignShape& s, const T* image, const T* roi,
                  T* out) {
  T start[2];
  T bin[2];
  int64_t grid[2];
  const int64_t bins[2] = {s.out_h, s.out_w};
  for (int axis = 0; axis < 2; ++axis) {
    const T scale = static_cast<T>(s.scale);
    const T offset = static_cast<T>(s.offset);
    start[axis] = roi[1 - axis] * scale - offset;
    T extent = roi[3 - axis] * scale - offset - start[axis];
    if (offset == 0) extent = std::max<T>(extent, 1);
    call.require(std::isfinite(start[axis]) && std::isfinite(extent),
                 "a region of interest is not finite");
    bin[axis] = extent / static_cast<T>(bins[axis]);
    grid[axis] = grid_size(call, s, extent, bins[axis]);
  }
  const int64_t samples = grid[0] * grid[1];
  checked_elements({s.out_h, s.out_w, std::max<int64_t>(samples, 1), s.channels});
  std::vector<Corners<T>> table(static_cast<size_t>(samples));
  for (int64_t cell = 0; cell < s.out_h * s.out_w; ++cell) {
    const T cell_y = start[0] + static_cast<T>(cell / s.out_w) * bin[0];
    const T cell_x = start[1] + static_cast<T>(cell % s.out_w) * bin[1];
    for (int64_t i = 0; i < samples; ++i) {
      const T y =
          cell_y + (static_cast<T>(i / grid[1]) + T(0.5)) * bin[0] / static_cast<T>(grid[0]);
      const T x =
          cell_x + (static_cast<T>(i % grid[1]) + T(0.5)) * bin[1] / static_cast<T>(grid[1]);
      table[static_cast<size_t>(i)] = corners(y, x, s.height, s.width);
    }
    for (int64_t c = 0; c < s.channels; ++c) {
      const T* plane = image + c * s.height * s.width;
      T value = 0;
      bool first = true;
      for (const Corners<T>& k : table) {
        if (s.max) {
          // ONNX takes the largest weighted corner, not the interpolated value.
          T best = k.weight[0] * plane[k.at[0]];
          for (int j = 1; j < 4; ++j) best = std::max(best, k.weight[j] * plane[k.at[j]]);
          value = first ? best : std::max(value, best);
          first = false;
        } else {
          for (int j = 0; j < 4; ++j) value += k.weight[j] * plane[k.at[j]];
        }
      }
      if (!s.max) value /= static_cast<T>(std::max<int64_t>(samples, 1));
      out[c * s.out_h * s.out_w + cell] = value;
    }
  }
}

template <class T>
void max_pool_region(const T* image, int64_t channels, int64_t height, int64_t width, const T* roi,
                     T scale, int64_t out_h, int64_t out_w, T* out) {
  const auto pixel = [&](T at) {
    return static_cast<int64_t>(std::clamp<double>(std::round(at * scale), -1e9, 1e9));
  };
  const int64_t x0 = pixel(roi[1]);
  const int64_t y0 = pixel(roi[2]);
  const int64_t roi_h = std::max<int64_t>(pixel(roi[4]) - y0 + 1, 1);
  const int64_t roi_w = std::max<int64_t>(pixel(roi[3]) - x0 + 1, 1);
  const T bin_h = static_cast<T>(roi_h) / static_cast<T>(out_h);
  const T bin_w = static_cast<T>(roi_w) / static_cast<T>(out_w);
  const auto edge = [](T at, int64_t start, int64_t limit) {
    return std::clamp<int64_t>(static_cast<int64_t>(at) + start, 0, limit);
  };
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t cell = 0; cell < out_h * out_w; ++cell) {
      const auto row = static_cast<T>(cell / out_w);
      const auto column = static_cast<T>(cell % out_w);
      const int64_t top = edge(std::floor(row * bin_h), y0, height);
      const int64_t bottom = edge(std::ceil((row + 1) * bin_h), y0, height);
      const int64_t left = edge(std::floor(column * bin_w), x0, width);
      const int64_t right = edge(std::ceil((column + 1) * bin_w), x0, width);
      T best = top < bottom && left < right ? std::numeric_limits<T>::lowest() : T{0};
      for (int64_t y = top; y < bottom; ++y)
        for (int64_t x = left; x < right; ++x)
          best = std::max(best, image[(c * height + y) * width + x]);
      out[c * out_h * out_w + cell] = best;
    }
}

}  // namespace

std::vector<at::Tensor> max_unpool(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const at::Tensor& index = call.input(1);
  const std::vector<int64_t> sizes = spatial_sizes(call, x);
  call.require(index.sizes() == x.sizes(), "values and indices differ in shape");
  const Window window = read_window(call, required_kernel(call, sizes.size()));
  std::vector<int64_t> shape = {x.size(0), x.size(1)};
  for (size_t i = 0; i < sizes.size(); ++i)
    shape.push_back((sizes[i] - 1) * window.strides[i] - window.begin[i] - window.end[i] +
                    window.kernel[i]);
  for (const int64_t size : shape) call.require(size >= 0, "the output would be empty");
  const int64_t count = checked_elements(shape);
  const at::Tensor flat = index.reshape({-1});
  call.require(flat.numel() == 0 ||
                   (at::min(flat).item<int64_t>() >= 0 && at::max(flat).item<int64_t>() < count),
               "an index lies outside the output");
  at::Tensor y = at::zeros({count}, x.options()).scatter(0, flat, x.reshape({-1})).reshape(shape);
  if (!call.has(2)) return {y};
  const std::vector<int64_t> wanted = call.ints(2);
  call.require(wanted.size() == shape.size() && wanted[0] == shape[0] && wanted[1] == shape[1],
               "output_shape does not fit the input");
  std::vector<int64_t> end;
  for (size_t i = 2; i < wanted.size(); ++i) {
    call.require(wanted[i] >= shape[i] && wanted[i] < (int64_t{1} << 31),
                 "output_shape is smaller than what is unpooled");
    end.push_back(wanted[i] - shape[i]);
  }
  return {pad_spatial(y, std::vector<int64_t>(end.size(), 0), end)};
}

std::vector<at::Tensor> max_roi_pool(const EvaluateCall& call) {
  const at::Tensor x = call.input(0).contiguous();
  const at::Tensor rois = call.input(1).to(x.scalar_type()).contiguous();
  const std::vector<int64_t> pooled = call.attributes().required_ints("pooled_shape");
  call.require(x.dim() == 4 && rois.dim() == 2 && rois.size(1) == 5,
               "MaxRoiPool needs images of rank 4 and rois [count, 5]");
  call.require(pooled.size() == 2 && pooled[0] >= 1 && pooled[1] >= 1 &&
                   pooled[0] < kMaxPooledSize && pooled[1] < kMaxPooledSize,
               "pooled_shape is out of range");
  checked_elements({rois.size(0), x.size(1), pooled[0], pooled[1]});
  const at::Tensor y = at::empty({rois.size(0), x.size(1), pooled[0], pooled[1]}, x.options());
  const float scale = call.attributes().float_or("spatial_scale", 1.0F);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "MaxRoiPool", [&] {
    const scalar_t* roi = rois.data_ptr<scalar_t>();
    for (int64_t i = 0; i < rois.size(0); ++i) {
      for (int64_t j = 0; j < 5; ++j)
        call.require(std::isfinite(roi[i * 5 + j]), "a region of interest is not finite");
      const scalar_t batch = roi[i * 5];
      call.require(batch >= 0 && batch < static_cast<scalar_t>(x.size(0)),
                   "a region's batch index is out of range");
    }
    at::parallel_for(0, rois.size(0), 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        max_pool_region(x.data_ptr<scalar_t>() + static_cast<int64_t>(roi[i * 5]) * x.stride(0),
                        x.size(1), x.size(2), x.size(3), roi + i * 5, static_cast<scalar_t>(scale),
                        pooled[0], pooled[1], y.data_ptr<scalar_t>() + i * y.stride(0));
    });
  });
  return {y};
}

std::vector<at::Tensor> roi_align(const EvaluateCall& call) {
  const at::Tensor x = call.input(0).contiguous();
  const at::Tensor rois = call.input(1).to(x.scalar_type()).contiguous();
  const std::vector<int64_t> batches = call.ints(2);
  const Attributes& attributes = call.attributes();
  call.require(x.dim() == 4 && rois.dim() == 2 && rois.size(1) == 4 && x.size(2) >= 1 &&
                   x.size(3) >= 1 && static_cast<int64_t>(batches.size()) == rois.size(0),
               "RoiAlign needs images of rank 4, rois [count, 4] and as many batch indices");
  for (const int64_t batch : batches)
    call.require(batch >= 0 && batch < x.size(0), "a region's batch index is out of range");
  const std::string mode = attributes.string_or("mode", "avg");
  const std::string transform =
      attributes.string_or("coordinate_transformation_mode", "half_pixel");
  call.require(mode == "avg" || mode == "max", "unknown mode " + escape_untrusted(mode));
  call.require(transform == "half_pixel" || transform == "output_half_pixel",
               "unknown coordinate_transformation_mode " + escape_untrusted(transform));
  const AlignShape shape{x.size(1),
                         x.size(2),
                         x.size(3),
                         attributes.int_or("output_height", 1),
                         attributes.int_or("output_width", 1),
                         attributes.int_or("sampling_ratio", 0),
                         attributes.float_or("spatial_scale", 1.0F),
                         transform == "half_pixel" ? 0.5 : 0.0,
                         mode == "max"};
  call.require(shape.out_h >= 1 && shape.out_w >= 1 && shape.out_h < kMaxPooledSize &&
                   shape.out_w < kMaxPooledSize && shape.sampling >= 0 && shape.sampling < 65536,
               "an output size or sampling_ratio is out of range");
  checked_elements({rois.size(0), shape.channels, shape.out_h, shape.out_w});
  const at::Tensor y =
      at::empty({rois.size(0), shape.channels, shape.out_h, shape.out_w}, x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "RoiAlign", [&] {
    at::parallel_for(0, rois.size(0), 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        align_region(call, shape,
                     x.data_ptr<scalar_t>() + batches[static_cast<size_t>(i)] * x.stride(0),
                     rois.data_ptr<scalar_t>() + i * 4, y.data_ptr<scalar_t>() + i * y.stride(0));
    });
  });
  return {y};
}

}  // namespace lathe
