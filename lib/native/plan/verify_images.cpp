// Pools, resizing, normalizations and reductions.
#include <cmath>

#include "plan/verify_step_kinds.h"

namespace lathe {
namespace {

struct Floats {
  const PlanView& input;
  const PlanView& output;
};

Floats floats_of(const PlanCheck& check, ViewId input, ViewId output) {
  const Floats both{check.view(input, DType::kFloat32), check.view(output, DType::kFloat32)};
  check.written_once(both.output);
  return both;
}

/// float32 or uint8 on both sides, whatever their sizes.
struct Images {
  DType dtype;
  PlanPixels from;
  PlanPixels to;
};

Images images_of(const PlanCheck& check, ViewId input, ViewId output) {
  const PlanView& from = check.view(input);
  check.require(from.dtype == DType::kFloat32 || from.dtype == DType::kUInt8,
                "images of another type");
  check.view(input, from.dtype);
  const PlanView& to = check.view(output, from.dtype);
  check.written_once(to);
  const Images images{from.dtype, check.pixels(from, ChannelAxis::kSecond),
                      check.pixels(to, ChannelAxis::kSecond)};
  check.require(from.shape.size() == to.shape.size() && from.shape.size() >= 3 &&
                    images.from.images == images.to.images &&
                    images.from.channels == images.to.channels,
                "another number of images or channels");
  return images;
}

/// Positions of one axis: `first` and, for interpolation, `second` and `weight` of each output.
void verify_positions(const PlanCheck& check, const std::vector<int32_t>& first,
                      const std::vector<int32_t>& second, const std::vector<float>& weight,
                      int64_t in, int64_t out) {
  const auto count = static_cast<size_t>(out);
  const bool nearest = weight.empty();
  check.require(first.size() == count && (second.size() == count || (nearest && second.empty())) &&
                    (nearest || weight.size() == count),
                "another number of positions");
  for (const std::vector<int32_t>* positions : {&first, &second})
    for (const int32_t position : *positions)
      check.require(position >= 0 && position < in, "a position outside of the image");
  for (const float part : weight) check.require(std::isfinite(part), "a weight that is no number");
}

bool is_channels_last(const PlanView& view) {
  int64_t expected = view.shape[1];
  if (view.shape[1] > 1 && view.strides[1] != 1) return false;
  for (size_t i = view.shape.size(); i-- > 0;) {
    if (i == 1) continue;
    if (view.shape[i] > 1 && view.strides[i] != expected) return false;
    expected *= view.shape[i];
  }
  return true;
}

void verify_factors(const PlanCheck& check, ViewId id, int64_t count) {
  if (!id.valid()) return;
  const PlanView& factors = check.view(id, DType::kFloat32);
  check.require(element_count(factors.shape) == count, "another number of factors");
  check.dense(factors);
}

}  // namespace

void verify(const PlanCheck& check, const PoolStep& s) {
  constexpr int64_t kMostTaps = 65536;
  const Images images = images_of(check, s.input, s.output);
  verify_window(check, s.window, images.from, images.to);
  check.require(s.window.kernel_height * s.window.kernel_width <= kMostTaps,
                "a window of too many elements");
  for (const int64_t pad : {s.pad_bottom, s.pad_right})
    check.require(pad >= 0 && pad <= kMostWindow, "padding that is too large or negative");
}

void verify(const PlanCheck& check, const ResizeStep& s) {
  const Images images = images_of(check, s.input, s.output);
  const bool nearest = s.row_weight.empty();
  check.require(nearest == s.column_weight.empty(), "interpolation along one axis only");
  check.require(nearest || images.dtype == DType::kFloat32, "interpolation of integers");
  verify_positions(check, s.row_first, s.row_second, s.row_weight, images.from.height,
                   images.to.height);
  verify_positions(check, s.column_first, s.column_second, s.column_weight, images.from.width,
                   images.to.width);
}

void verify(const PlanCheck& check, const SoftmaxStep& s) {
  const auto [input, output] = floats_of(check, s.input, s.output);
  check.require(!input.shape.empty(), "a scalar where rows are needed");
  check.same_shape(input, output);
  check.dense(input);
  check.dense(output);
}

void verify(const PlanCheck& check, const LayerNormStep& s) {
  const auto [input, output] = floats_of(check, s.input, s.output);
  check.same_shape(input, output);
  const size_t rank = input.shape.size();
  int64_t length = 1;
  if (s.axes == -1) {
    check.require(rank >= 3, "no spatial axes");
    length = input.shape[1];
    // Both in one layout.
    if (is_dense(input))
      check.dense(output);
    else
      check.require(is_channels_last(input) && is_channels_last(output),
                    "images in another layout");
  } else {
    check.require(s.axes >= 1 && static_cast<size_t>(s.axes) <= rank, "another number of axes");
    for (size_t i = rank - static_cast<size_t>(s.axes); i < rank; ++i) length *= input.shape[i];
    check.dense(input);
    check.dense(output);
  }
  verify_factors(check, s.scale, length);
  verify_factors(check, s.bias, length);
}

void verify(const PlanCheck& check, const ReduceStep& s) {
  const auto [input, output] = floats_of(check, s.input, s.output);
  check.require(s.kind <= ReduceStep::Kind::kSumSquare, "an unknown reduction");
  Shape kept = input.shape;
  std::vector<bool> reduced(kept.size(), false);
  for (const int64_t axis : s.axes) {
    check.require(axis >= 0 && static_cast<size_t>(axis) < kept.size(), "there is no such axis");
    kept[static_cast<size_t>(axis)] = 1;
    reduced[static_cast<size_t>(axis)] = true;
  }
  check.require(output.shape == kept, "an output of another shape");
  Shape shapes[2];
  std::vector<int64_t> from[2];
  std::vector<int64_t> to;
  for (size_t i = 0; i < kept.size(); ++i) {
    shapes[reduced[i]].push_back(input.shape[i]);
    from[reduced[i]].push_back(input.strides[i]);
    if (!reduced[i]) to.push_back(output.strides[i]);
  }
  check.loops(shapes[0], {to, from[0]});
  check.loops(shapes[1], {from[1]});
}

}  // namespace lathe
