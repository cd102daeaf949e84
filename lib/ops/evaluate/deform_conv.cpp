// Convolutions that gather or scatter by explicit positions: DeformConv and Col2Im.
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <cmath>

#include "evaluate/convolution.h"
#include "evaluate/window.h"
#include "ir/error.h"

namespace lathe {
namespace {

struct DeformShape {
  int64_t channels, height, width;  // of one input image
  int64_t kernel_h, kernel_w;
  int64_t out_h, out_w;
  int64_t stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
  int64_t channels_per_offset;  // channels that share an offset group
  int64_t taps() const { return kernel_h * kernel_w; }
  int64_t positions() const { return out_h * out_w; }
};

/// Bilinear sample; corners outside the image count as zero.
template <class T>
T sample(const T* plane, const DeformShape& s, T y, T x) {
  if (!(y > -1 && y < static_cast<T>(s.height) && x > -1 && x < static_cast<T>(s.width))) return 0;
  const T floor_y = std::floor(y);
  const T floor_x = std::floor(x);
  const auto y0 = static_cast<int64_t>(floor_y);
  const auto x0 = static_cast<int64_t>(floor_x);
  const T dy = y - floor_y;
  const T dx = x - floor_x;
  const auto at = [&](int64_t row, int64_t column) {
    const bool inside = row >= 0 && row < s.height && column >= 0 && column < s.width;
    return inside ? plane[row * s.width + column] : T{0};
  };
  return (1 - dy) * ((1 - dx) * at(y0, x0) + dx * at(y0, x0 + 1)) +
         dy * ((1 - dx) * at(y0 + 1, x0) + dx * at(y0 + 1, x0 + 1));
}

/// One image's columns [C * taps, positions]. `mask` may be null.
template <class T>
void deform_columns(const DeformShape& s, const T* image, const T* offset, const T* mask,
                    T* columns) {
  at::parallel_for(0, s.channels * s.taps(), 1, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t channel = row / s.taps();
      const int64_t tap = row % s.taps();
      const int64_t plane = (channel / s.channels_per_offset) * s.taps() + tap;
      const T* offset_y = offset + 2 * plane * s.positions();
      const T* offset_x = offset_y + s.positions();
      const T* weight = mask == nullptr ? nullptr : mask + plane * s.positions();
      T* out = columns + row * s.positions();
      const int64_t base_y = (tap / s.kernel_w) * s.dilation_h - s.pad_h;
      const int64_t base_x = (tap % s.kernel_w) * s.dilation_w - s.pad_w;
      for (int64_t p = 0; p < s.positions(); ++p) {
        const T y = static_cast<T>((p / s.out_w) * s.stride_h + base_y) + offset_y[p];
        const T x = static_cast<T>((p % s.out_w) * s.stride_w + base_x) + offset_x[p];
        const T value = sample(image + channel * s.height * s.width, s, y, x);
        out[p] = weight == nullptr ? value : value * weight[p];
      }
    }
  });
}

/// Adds one image's columns [channels * taps, positions] into `image` [channels, sizes…].
template <class T>
void scatter_columns(const Window& window, const std::vector<int64_t>& sizes,
                     const std::vector<int64_t>& steps, int64_t taps, int64_t positions,
                     const T* columns, T* image) {
  const size_t rank = sizes.size();
  for (int64_t tap = 0; tap < taps; ++tap) {
    for (int64_t p = 0; p < positions; ++p) {
      int64_t target = 0;
      int64_t pitch = 1;
      int64_t tap_rest = tap;
      int64_t position_rest = p;
      bool inside = true;
      for (size_t i = rank; i-- > 0;) {
        const int64_t at = (tap_rest % window.kernel[i]) * window.dilations[i] +
                           (position_rest % steps[i]) * window.strides[i] - window.begin[i];
        tap_rest /= window.kernel[i];
        position_rest /= steps[i];
        inside = inside && at >= 0 && at < sizes[i];
        target += at * pitch;
        pitch *= sizes[i];
      }
      if (inside) image[target] += columns[tap * positions + p];
    }
  }
}

}  // namespace

std::vector<at::Tensor> deform_conv(const EvaluateCall& call) {
  const at::Tensor x = call.input(0).contiguous();
  const at::Tensor weight = call.input(1).contiguous();
  const at::Tensor offset = call.input(2).contiguous();
  const at::Tensor mask = call.has(4) ? call.input(4).contiguous() : at::Tensor();
  call.require(x.dim() == 4 && weight.dim() == 4, "DeformConv needs two spatial axes");
  const std::vector<int64_t> sizes = spatial_sizes(call, x);
  const Window window = read_window(call, weight.sizes().slice(2).vec());
  const std::vector<int64_t> outputs = window_outputs(call, window, sizes);
  const int64_t batch = x.size(0);
  const int64_t channels = x.size(1);
  const int64_t filters = weight.size(0);
  const int64_t group = call.attributes().int_or("group", 1);
  const int64_t offset_group = call.attributes().int_or("offset_group", 1);
  call.require(group >= 1 && offset_group >= 1 && channels % group == 0 && filters % group == 0 &&
                   channels % offset_group == 0 && weight.size(1) * group == channels &&
                   channels >= 1,
               "group or offset_group does not fit the channels");
  const DeformShape shape{channels,
                          sizes[0],
                          sizes[1],
                          window.kernel[0],
                          window.kernel[1],
                          outputs[0],
                          outputs[1],
                          window.strides[0],
                          window.strides[1],
                          window.dilations[0],
                          window.dilations[1],
                          window.begin[0],
                          window.begin[1],
                          channels / offset_group};
  const std::vector<int64_t> offset_sizes = {batch, 2 * offset_group * shape.taps(), shape.out_h,
                                             shape.out_w};
  const std::vector<int64_t> mask_sizes = {batch, offset_group * shape.taps(), shape.out_h,
                                           shape.out_w};
  call.require(offset.sizes() == offset_sizes, "offset has the wrong shape");
  call.require(!mask.defined() || mask.sizes() == mask_sizes, "mask has the wrong shape");
  call.require(!call.has(3) || (call.input(3).dim() == 1 && call.input(3).size(0) == filters),
               "bias has the wrong shape");
  checked_elements({channels, shape.taps(), shape.positions()});
  at::Tensor columns = at::empty({channels * shape.taps(), shape.positions()}, x.options());
  const at::Tensor weights = weight.reshape({group, filters / group, -1});
  std::vector<at::Tensor> images;
  for (int64_t n = 0; n < batch; ++n) {
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "DeformConv", [&] {
      deform_columns<scalar_t>(
          shape, x.data_ptr<scalar_t>() + n * x.stride(0),
          offset.data_ptr<scalar_t>() + n * offset.stride(0),
          mask.defined() ? mask.data_ptr<scalar_t>() + n * mask.stride(0) : nullptr,
          columns.data_ptr<scalar_t>());
    });
    images.push_back(at::bmm(weights, columns.reshape({group, -1, shape.positions()}))
                         .reshape({filters, shape.out_h, shape.out_w}));
  }
  at::Tensor y = images.empty() ? at::empty({0, filters, shape.out_h, shape.out_w}, x.options())
                                : at::stack(images);
  if (call.has(3)) y = y + call.input(3).reshape({1, filters, 1, 1});
  return {y};
}

std::vector<at::Tensor> col2im(const EvaluateCall& call) {
  const at::Tensor columns = call.input(0).contiguous();
  const std::vector<int64_t> sizes = call.ints(1);
  const std::vector<int64_t> block = call.ints(2);
  call.require(columns.dim() == 3 && sizes.size() == block.size() && !sizes.empty(),
               "Col2Im needs an input of rank 3 and equally many image and block sizes");
  for (const int64_t size : sizes)
    call.require(size >= 1 && size < (int64_t{1} << 31), "image size out of range");
  const Window window = read_window(call, block);
  const std::vector<int64_t> steps = window_outputs(call, window, sizes);
  const int64_t taps = checked_elements(block);
  const int64_t positions = checked_elements(steps);
  call.require(columns.size(1) % taps == 0 && columns.size(2) == positions,
               fmt::format("input must be [N, C * {}, {}]", taps, positions));
  const int64_t channels = columns.size(1) / taps;
  std::vector<int64_t> shape = {columns.size(0), channels};
  shape.insert(shape.end(), sizes.begin(), sizes.end());
  checked_elements(shape);
  const at::Tensor image = at::zeros(shape, columns.options());
  const int64_t planes = columns.size(0) * channels;
  AT_DISPATCH_ALL_TYPES_AND(at::kBool, columns.scalar_type(), "Col2Im", [&] {
    const scalar_t* source = columns.data_ptr<scalar_t>();
    scalar_t* target = image.data_ptr<scalar_t>();
    const int64_t plane_elements = planes == 0 ? 0 : image.numel() / planes;
    at::parallel_for(0, planes, 1, [&](int64_t first, int64_t last) {
      for (int64_t plane = first; plane < last; ++plane)
        scatter_columns(window, sizes, steps, taps, positions, source + plane * taps * positions,
                        target + plane * plane_elements);
    });
  });
  return {image};
}

}  // namespace lathe
