// Pad, CenterCropPad and the old experimental Crop.
#include <algorithm>
#include <limits>
#include <numeric>

#include "evaluate/constant_tensor.h"
#include "evaluate/evaluate.h"

namespace lathe {
namespace {

using Outputs = std::vector<at::Tensor>;

// Elements to put before and after each dimension; negative: to take away.
struct Padding {
  std::vector<int64_t> before, after;
};

Padding padding_of(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const auto rank = static_cast<size_t>(x.dim());
  std::vector<int64_t> axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  if (call.has(3)) axes = call.ints(3);
  const std::vector<int64_t> pads = call.ints(1);
  call.require(pads.size() == 2 * axes.size(), "needs two pads per axis");
  Padding out{std::vector<int64_t>(rank), std::vector<int64_t>(rank)};
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max() / 4;
  std::vector<int64_t> sizes = x.sizes().vec();
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(call.normal_axis(axes[i], x.dim()));
    const int64_t before = pads[i], after = pads[axes.size() + i];
    call.require(std::abs(std::max(before, -kLargest)) < kLargest &&
                     std::abs(std::max(after, -kLargest)) < kLargest,
                 "pads are too large");
    out.before[axis] = before;
    out.after[axis] = after;
    sizes[axis] = x.size(static_cast<int64_t>(axis)) + before + after;
    call.require(sizes[axis] >= 0, "pads take away more than there is");
  }
  element_count(sizes);
  return out;
}

// Position in 0..size-1 that position `i` (anywhere) repeats.
int64_t source_position(int64_t i, int64_t size, std::string_view mode) {
  if (mode == "edge") return std::clamp<int64_t>(i, 0, size - 1);
  const int64_t period = mode == "wrap" ? size : std::max<int64_t>(1, 2 * (size - 1));
  const int64_t place = ((i % period) + period) % period;
  return place < size ? place : period - place;
}

Outputs pad(const EvaluateCall& call) {
  at::Tensor x = call.input(0);
  const Padding padding = padding_of(call);
  const std::string mode = call.attributes().string_or("mode", "constant");
  if (mode == "constant") {
    at::Scalar value = 0;
    if (call.has(2) && call.input(2).numel() > 0) {
      call.require(call.input(2).numel() == 1, "constant_value must be a scalar");
      value = call.input(2).item();
    }
    std::vector<int64_t> pads;  // last dimension first
    for (int64_t axis = x.dim() - 1; axis >= 0; --axis) {
      pads.push_back(padding.before[static_cast<size_t>(axis)]);
      pads.push_back(padding.after[static_cast<size_t>(axis)]);
    }
    return {at::constant_pad_nd(x, pads, value)};
  }
  call.require(mode == "reflect" || mode == "edge" || mode == "wrap", "unknown mode");
  for (int64_t axis = 0; axis < x.dim(); ++axis) {
    const int64_t before = padding.before[static_cast<size_t>(axis)];
    const int64_t size = x.size(axis);
    const int64_t wanted = size + before + padding.after[static_cast<size_t>(axis)];
    if (before == 0 && wanted == size) continue;
    call.require(size > 0 || wanted == 0, "an empty dimension has nothing to repeat");
    const at::Tensor index = untraced_empty({wanted}, at::kLong);
    int64_t* positions = index.data_ptr<int64_t>();
    for (int64_t i = 0; i < wanted; ++i) positions[i] = source_position(i - before, size, mode);
    x = at::index_select(x, axis, index);
  }
  return {x};
}

Outputs center_crop_pad(const EvaluateCall& call) {
  at::Tensor x = call.input(0);
  std::vector<int64_t> axes(static_cast<size_t>(x.dim()));
  std::iota(axes.begin(), axes.end(), 0);
  axes = call.attributes().ints_or("axes", axes);
  const std::vector<int64_t> sizes = call.ints(1);
  call.require(sizes.size() == axes.size(), "shape must have one size per axis");
  std::vector<int64_t> wanted = x.sizes().vec(), pads(2 * wanted.size(), 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = call.normal_axis(axes[i], x.dim());
    const int64_t target = sizes[i], size = x.size(axis);
    call.require(target >= 0, "shape must not be negative");
    wanted[static_cast<size_t>(axis)] = target;
    if (target <= size) {
      x = x.narrow(axis, (size - target) / 2, target);
    } else {
      const auto place = static_cast<size_t>(2 * (x.dim() - 1 - axis));
      pads[place] = (target - size) / 2;
      pads[place + 1] = target - size - pads[place];
    }
  }
  element_count(wanted);
  return {at::constant_pad_nd(x, pads, 0)};
}

// border: left, top, right, bottom of an NCHW image; scale: height and width instead of the last
// two.
Outputs crop(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const std::vector<int64_t> border = call.attributes().required_ints("border");
  const std::vector<int64_t> scale = call.attributes().ints_or("scale", {});
  call.require(x.dim() == 4 && border.size() == 4 && (scale.empty() || scale.size() == 2),
               "needs an NCHW input, four borders and two scales or none");
  for (const int64_t edge : border)
    call.require(edge >= 0 && edge <= std::max(x.size(2), x.size(3)), "border is out of range");
  const int64_t left = border[0], top = border[1];
  const int64_t height = scale.empty() ? x.size(2) - top - border[3] : scale[0];
  const int64_t width = scale.empty() ? x.size(3) - left - border[2] : scale[1];
  call.require(height >= 0 && height <= x.size(2) - top && width >= 0 && width <= x.size(3) - left,
               "the border leaves nothing");
  return {x.narrow(2, top, height).narrow(3, left, width)};
}

}  // namespace

std::span<const EvaluateRow> padding_ops() {
  static const EvaluateRow rows[] = {
      {OpKind::kCenterCropPad, center_crop_pad},
      {OpKind::kCrop, crop},
      {OpKind::kPad, pad},
  };
  return rows;
}

}  // namespace lathe
