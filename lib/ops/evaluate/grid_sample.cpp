// GridSample and AffineGrid, which ONNX took over from PyTorch.

#include <algorithm>

#include "evaluate/evaluate.h"
#include "evaluate/resize.h"
#include "evaluate/window.h"
#include "ir/error.h"

namespace lathe {
namespace {

/// Reflects positions at `low` and `low + span`.
at::Tensor reflected(const at::Tensor& x, double low, double span) {
  if (span <= 0) return at::zeros_like(x);
  const at::Tensor distance = at::abs(x - low);
  const at::Tensor extra = at::fmod(distance, span);
  const at::Tensor odd = at::remainder(at::floor(distance / span), 2) != 0;
  return at::where(odd, span - extra, extra) + low;
}

/// Nearest sampling of any number of spatial axes. ATen's volumetric sampler rounds ties away from
/// zero, ONNX to even.
at::Tensor sample_nearest(const at::Tensor& x, const at::Tensor& grid, int64_t padding,
                          bool align) {
  at::Tensor index;  // into a flattened image
  at::Tensor inside;
  int64_t pitch = 1;
  for (int64_t i = 0; i < x.dim() - 2; ++i) {
    const int64_t elements = x.size(x.dim() - 1 - i);
    const auto size = static_cast<double>(elements);
    const at::Tensor g = grid.select(-1, i);
    at::Tensor at = align ? (g + 1) * ((size - 1) / 2) : ((g + 1) * size - 1) / 2;
    if (padding == 2) at = align ? reflected(at, 0, size - 1) : reflected(at, -0.5, size);
    if (padding != 0) at = at::clamp(at, 0, size - 1);
    at = at::round(at);
    const at::Tensor fits = at::logical_and(at >= 0, at < size);
    const at::Tensor part = at::where(fits, at, at::zeros_like(at)).to(at::kLong) * pitch;
    inside = inside.defined() ? at::logical_and(inside, fits) : fits;
    index = index.defined() ? index + part : part;
    pitch *= elements;
  }
  std::vector<int64_t> shape = grid.sizes().vec();
  shape.pop_back();
  shape.insert(shape.begin() + 1, x.size(1));
  const at::Tensor flat = index.reshape({x.size(0), 1, -1}).expand({-1, x.size(1), -1});
  const at::Tensor y = at::gather(x.reshape({x.size(0), x.size(1), -1}), 2, flat).reshape(shape);
  return at::where(inside.unsqueeze(1), y, at::zeros({}, y.options()));
}

}  // namespace

std::vector<at::Tensor> grid_sample(const EvaluateCall& call) {
  at::Tensor x = call.input(0);
  call.require(x.dim() == 4 || x.dim() == 5, "GridSample needs two or three spatial axes");
  const at::ScalarType type = x.scalar_type();
  // Float cannot address more pixels, and ATen's sampler does not check what it clamped.
  constexpr int64_t kExactFloats = int64_t{1} << 24;
  const std::vector<int64_t> sizes = spatial_sizes(call, x);
  if (!x.is_floating_point() || *std::max_element(sizes.begin(), sizes.end()) > kExactFloats)
    x = x.to(at::kDouble);
  const at::Tensor grid = call.input(1).to(x.scalar_type());
  call.require(grid.dim() == x.dim() && grid.size(0) == x.size(0) && grid.size(-1) == x.dim() - 2,
               "the grid does not fit the input");
  for (const int64_t size : sizes) call.require(size >= 1, "an empty image");
  const std::string mode = call.attributes().string_or("mode", "linear");
  const std::string padding = call.attributes().string_or("padding_mode", "zeros");
  const bool align = call.attributes().int_or("align_corners", 0) != 0;
  int64_t interpolation = -1;
  if (mode == "linear" || mode == "bilinear") interpolation = 0;
  if (mode == "nearest") interpolation = 1;
  if (mode == "cubic" || mode == "bicubic") interpolation = 2;
  int64_t outside = -1;
  if (padding == "zeros") outside = 0;
  if (padding == "border") outside = 1;
  if (padding == "reflection") outside = 2;
  call.require(interpolation >= 0, "unknown mode " + escape_untrusted(mode));
  call.require(outside >= 0, "unknown padding_mode " + escape_untrusted(padding));
  call.require(x.dim() == 4 || interpolation != 2,
               "cubic sampling of three spatial axes is not supported");
  std::vector<int64_t> shape = grid.sizes().vec();
  shape.back() = x.size(1);
  checked_elements(shape);
  if (interpolation == 1) return {sample_nearest(x, grid, outside, align).to(type)};
  const at::Tensor y = x.dim() == 4 ? at::grid_sampler_2d(x, grid, interpolation, outside, align)
                                    : at::grid_sampler_3d(x, grid, interpolation, outside, align);
  return {at::isFloatingType(type) ? y.to(type) : at::round(y).to(type)};
}

std::vector<at::Tensor> affine_grid(const EvaluateCall& call) {
  const at::Tensor& theta = call.input(0);
  const std::vector<int64_t> size = call.ints(1);
  const auto rank = static_cast<int64_t>(size.size()) - 2;
  call.require(rank == 2 || rank == 3, "AffineGrid needs a size of 4 or 5 entries");
  for (const int64_t s : size) call.require(s >= 1 && s < (int64_t{1} << 31), "size out of range");
  call.require(theta.dim() == 3 && theta.size(0) == size[0] && theta.size(1) == rank &&
                   theta.size(2) == rank + 1,
               "theta does not fit the size");
  std::vector<int64_t> elements = size;
  elements[1] = rank;
  checked_elements(elements);
  return {
      at::affine_grid_generator(theta, size, call.attributes().int_or("align_corners", 0) != 0)};
}

}  // namespace lathe
