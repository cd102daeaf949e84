// Resize: every axis on its own, by index and weight tables.
#include "evaluate/resize.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "evaluate/constant_tensor.h"
#include "evaluate/evaluate.h"
#include "evaluate/window.h"
#include "ir/error.h"

namespace lathe {
namespace {

using Coordinates = ResizeRule::Coordinates;
using Mode = ResizeRule::Mode;
using Nearest = ResizeRule::Nearest;

template <class T, size_t N>
T choice(const EvaluateCall& call, const char* attribute, const char* fallback,
         const std::array<std::pair<std::string_view, T>, N>& choices) {
  const std::string name = call.attributes().string_or(attribute, fallback);
  for (const auto& [text, value] : choices)
    if (text == name) return value;
  throw bad_input("node.invalid",
                  fmt::format("Resize: unknown {} {}", attribute, escape_untrusted(name)));
}

ResizeRule read_rule(const EvaluateCall& call) {
  using ModeRow = std::pair<std::string_view, Mode>;
  using NearestRow = std::pair<std::string_view, Nearest>;
  using CoordinatesRow = std::pair<std::string_view, Coordinates>;
  ResizeRule rule;
  rule.mode = choice(call, "mode", "nearest",
                     std::array{ModeRow{"nearest", Mode::kNearest},
                                ModeRow{"linear", Mode::kLinear}, ModeRow{"cubic", Mode::kCubic}});
  rule.nearest =
      choice(call, "nearest_mode", "round_prefer_floor",
             std::array{NearestRow{"round_prefer_floor", Nearest::kPreferFloor},
                        NearestRow{"round_prefer_ceil", Nearest::kPreferCeil},
                        NearestRow{"floor", Nearest::kFloor}, NearestRow{"ceil", Nearest::kCeil}});
  rule.coordinates =
      choice(call, "coordinate_transformation_mode", "half_pixel",
             std::array{CoordinatesRow{"half_pixel", Coordinates::kHalfPixel},
                        CoordinatesRow{"half_pixel_symmetric", Coordinates::kHalfPixelSymmetric},
                        CoordinatesRow{"pytorch_half_pixel", Coordinates::kPytorchHalfPixel},
                        CoordinatesRow{"align_corners", Coordinates::kAlignCorners},
                        CoordinatesRow{"asymmetric", Coordinates::kAsymmetric},
                        CoordinatesRow{"tf_crop_and_resize", Coordinates::kCropAndResize},
                        CoordinatesRow{"tf_half_pixel_for_nn", Coordinates::kTfHalfPixelForNn}});
  rule.antialias = call.attributes().int_or("antialias", 0) != 0;
  call.require(!rule.antialias || rule.mode != Mode::kNearest,
               "antialias is not defined for nearest");
  rule.exclude_outside = call.attributes().int_or("exclude_outside", 0) != 0;
  rule.cubic_a = call.attributes().float_or("cubic_coeff_a", -0.75F);
  return rule;
}

std::vector<float> host_floats(const at::Tensor& x) {
  const at::Tensor host = x.detach().to(at::kFloat).contiguous();
  const float* values = host.data_ptr<float>();
  return {values, values + host.numel()};
}

/// An input that is present and not empty.
bool given(const EvaluateCall& call, size_t index) {
  return call.has(index) && call.input(index).numel() != 0;
}

std::vector<ResizeAxis> read_axes(const EvaluateCall& call, const at::Tensor& x, bool crop) {
  std::vector<int64_t> axes = call.attributes().ints_or("axes", {});
  if (axes.empty())
    for (int64_t i = 0; i < x.dim(); ++i) axes.push_back(i);
  std::vector<ResizeAxis> result;
  std::vector<char> seen(static_cast<size_t>(x.dim()), 0);
  for (const int64_t axis : axes) {
    ResizeAxis row;
    row.axis = call.normal_axis(axis, x.dim());
    call.require(!std::exchange(seen[static_cast<size_t>(row.axis)], 1), "an axis repeats");
    row.input = x.size(row.axis);
    result.push_back(row);
  }
  if (!crop || !given(call, 1)) return result;
  const std::vector<float> roi = host_floats(call.input(1));
  call.require(roi.size() == 2 * result.size(), "roi needs a start and an end per axis");
  for (size_t i = 0; i < result.size(); ++i) {
    result[i].roi_start = roi[i];
    result[i].roi_end = roi[result.size() + i];
    call.require(std::isfinite(result[i].roi_start) && std::isfinite(result[i].roi_end),
                 "roi is not finite");
  }
  return result;
}

/// Fills output, scale and wanted_output from scales or sizes.
void size_axes(const EvaluateCall& call, std::vector<ResizeAxis>& axes) {
  call.require(given(call, 2) != given(call, 3) || axes.empty(),
               "exactly one of scales and sizes must be given");
  if (given(call, 2)) {
    const std::vector<float> scales = host_floats(call.input(2));
    call.require(scales.size() == axes.size(), "scales needs one entry per axis");
    for (size_t i = 0; i < axes.size(); ++i) {
      ResizeAxis& axis = axes[i];
      axis.scale = scales[i];
      axis.wanted_output = static_cast<float>(axis.input) * axis.scale;
      call.require(axis.scale > 0 && axis.wanted_output < 2147483648.0F, "a scale is out of range");
      axis.output = static_cast<int64_t>(std::floor(axis.wanted_output));
    }
    return;
  }
  const std::vector<int64_t> sizes = axes.empty() ? std::vector<int64_t>{} : call.ints(3);
  call.require(sizes.size() == axes.size(), "sizes needs one entry per axis");
  const std::string policy = call.attributes().string_or("keep_aspect_ratio_policy", "stretch");
  const bool smaller = policy == "not_larger";
  call.require(smaller || policy == "not_smaller" || policy == "stretch",
               "unknown keep_aspect_ratio_policy " + escape_untrusted(policy));
  std::optional<double> common;
  for (size_t i = 0; i < axes.size(); ++i) {
    call.require(sizes[i] >= 0 && sizes[i] < (int64_t{1} << 31), "a size is out of range");
    axes[i].output = sizes[i];
    if (axes[i].input == 0) continue;
    const double scale = static_cast<double>(sizes[i]) / static_cast<double>(axes[i].input);
    common = !common ? scale : smaller ? std::min(*common, scale) : std::max(*common, scale);
  }
  for (ResizeAxis& axis : axes) {
    if (policy != "stretch" && common)
      axis.output = static_cast<int64_t>(*common * static_cast<double>(axis.input) + 0.5);
    if (axis.input > 0)
      axis.scale = static_cast<float>(axis.output) / static_cast<float>(axis.input);
    if (policy != "stretch" && common) axis.scale = static_cast<float>(*common);
    axis.wanted_output = static_cast<float>(axis.input) * axis.scale;
    if (policy == "stretch") axis.wanted_output = static_cast<float>(axis.output);
  }
}

at::Tensor resample(const at::Tensor& x, const ResizeRule& rule, const ResizeAxis& axis,
                    double extrapolation) {
  const ResizeTable table = resize_table(rule, axis);
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[static_cast<size_t>(axis.axis)] = axis.output;
  at::Tensor y;
  for (size_t tap = 0; tap < table.index.size(); ++tap) {
    at::Tensor part = at::index_select(x, axis.axis, constant_tensor(table.index[tap], at::kLong));
    if (rule.mode != Mode::kNearest)
      part =
          part * constant_tensor(table.weight[tap], at::kFloat).to(x.scalar_type()).reshape(shape);
    y = y.defined() ? y + part : part;
  }
  if (std::find(table.outside.begin(), table.outside.end(), 1) == table.outside.end()) return y;
  std::vector<int64_t> outside(table.outside.begin(), table.outside.end());
  const at::Tensor mask = constant_tensor(outside, at::kLong).reshape(shape).to(at::kBool);
  return at::where(mask, at::full({}, extrapolation, y.options()), y);
}

at::Tensor to_integers(const at::Tensor& y, DType dtype) {
  if (dtype == DType::kInt64 || dtype == DType::kUInt64) return at::round(y).to(at::kLong);
  if (!is_integer(dtype)) return y.to(storage_type(dtype));
  return at::clamp(at::round(y), integer_min(dtype), integer_max(dtype)).to(storage_type(dtype));
}

std::vector<at::Tensor> resize(const EvaluateCall& call) {
  at::Tensor y = call.input(0);
  const ResizeRule rule = read_rule(call);
  const bool crop = rule.coordinates == Coordinates::kCropAndResize;
  std::vector<ResizeAxis> axes = read_axes(call, y, crop);
  size_axes(call, axes);
  std::vector<int64_t> shape = y.sizes().vec();
  for (const ResizeAxis& axis : axes) {
    call.require(axis.input > 0 || axis.output == 0, "an empty axis cannot grow");
    shape[static_cast<size_t>(axis.axis)] = axis.output;
  }
  if (checked_elements(shape) == 0) return {at::empty(shape, y.options())};
  const bool widen = rule.mode != Mode::kNearest && !y.is_floating_point();
  if (widen) y = y.to(y.element_size() < 4 ? at::kFloat : at::kDouble);
  // What shrinks goes first, so that less is left for the others.
  std::stable_sort(axes.begin(), axes.end(),
                   [](const ResizeAxis& a, const ResizeAxis& b) { return a.scale < b.scale; });
  const double extrapolation = call.attributes().float_or("extrapolation_value", 0.0F);
  for (const ResizeAxis& axis : axes) {
    const bool whole = !crop || (axis.roi_start == 0 && axis.roi_end == 1);
    if (axis.output == axis.input && axis.scale == 1 && whole) continue;
    y = resample(y, rule, axis, extrapolation);
  }
  return {widen ? to_integers(y, call.dtype(0)) : y};
}

constexpr std::array kResizeOps{
    EvaluateRow{OpKind::kAffineGrid, affine_grid},
    EvaluateRow{OpKind::kGridSample, grid_sample},
    EvaluateRow{OpKind::kResize, resize},
};

}  // namespace

std::span<const EvaluateRow> resize_ops() { return kResizeOps; }

}  // namespace lathe
