#include <algorithm>
#include <cmath>

#include "evaluate/resize.h"

namespace lathe {
namespace {

using Coordinates = ResizeRule::Coordinates;
using Mode = ResizeRule::Mode;
using Nearest = ResizeRule::Nearest;

int64_t nearest_index(Nearest nearest, float x) {
  switch (nearest) {
    case Nearest::kPreferFloor: return static_cast<int64_t>(std::ceil(x - 0.5F));
    case Nearest::kPreferCeil: return static_cast<int64_t>(std::floor(x + 0.5F));
    case Nearest::kFloor: return static_cast<int64_t>(std::floor(x));
    case Nearest::kCeil: return static_cast<int64_t>(std::ceil(x));
  }
  return 0;
}

/// Keys' cubic convolution kernel with parameter a.
float cubic(float a, float x) {
  x = std::abs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

}  // namespace

float resize_position(const ResizeRule& rule, const ResizeAxis& axis, int64_t o) {
  const auto x = static_cast<float>(o);
  const auto last = static_cast<float>(axis.input - 1);
  switch (rule.coordinates) {
    case Coordinates::kAsymmetric: return x / axis.scale;
    case Coordinates::kHalfPixel: return (x + 0.5F) / axis.scale - 0.5F;
    case Coordinates::kTfHalfPixelForNn: return (x + 0.5F) / axis.scale;
    case Coordinates::kPytorchHalfPixel:
      return axis.output > 1 ? (x + 0.5F) / axis.scale - 0.5F : 0.0F;
    case Coordinates::kHalfPixelSymmetric: {
      const float adjustment = static_cast<float>(axis.output) / axis.wanted_output;
      const float offset = static_cast<float>(axis.input) / 2 * (1 - adjustment);
      return offset + (x + 0.5F) / axis.scale - 0.5F;
    }
    case Coordinates::kAlignCorners:
      return axis.output > 1 ? x * last / (axis.wanted_output - 1) : 0.0F;
    case Coordinates::kCropAndResize:
      if (axis.output > 1)
        return axis.roi_start * last +
               x * (axis.roi_end - axis.roi_start) * last / (axis.wanted_output - 1);
      return 0.5F * (axis.roi_start + axis.roi_end) * last;
  }
  return 0;
}

ResizeTable resize_table(const ResizeRule& rule, const ResizeAxis& axis) {
  const float support = rule.mode == Mode::kCubic ? 2.0F : 1.0F;
  const float stretch = rule.antialias ? std::min(axis.scale, 1.0F) : 1.0F;
  // Taps first..first+taps-1 relative to the left neighbour of the position.
  const int64_t first =
      rule.mode == Mode::kNearest ? 0 : static_cast<int64_t>(std::floor(-support / stretch)) + 1;
  const int64_t taps = rule.mode == Mode::kNearest ? 1 : 2 - 2 * first;
  const auto outputs = static_cast<size_t>(axis.output);
  ResizeTable table;
  table.index.assign(static_cast<size_t>(taps), std::vector<int64_t>(outputs));
  table.weight.assign(static_cast<size_t>(taps), std::vector<float>(outputs, 1.0F));
  const bool crop = rule.coordinates == Coordinates::kCropAndResize;
  if (crop) table.outside.assign(outputs, 0);
  const int64_t limit = axis.input - 1;
  for (size_t o = 0; o < outputs; ++o) {
    float x = resize_position(rule, axis, static_cast<int64_t>(o));
    if (crop && !(x >= 0 && x <= static_cast<float>(limit))) {
      table.outside[o] = 1;
      x = 0;
    }
    if (rule.mode == Mode::kNearest) {
      table.index[0][o] = std::clamp<int64_t>(nearest_index(rule.nearest, x), 0, limit);
      continue;
    }
    const float left = std::floor(x);
    const float ratio = x - left;
    float total = 0;
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t source = static_cast<int64_t>(left) + first + t;
      const float distance = stretch * (static_cast<float>(first + t) - ratio);
      float weight = rule.mode == Mode::kCubic ? cubic(rule.cubic_a, distance)
                                               : std::max(0.0F, 1 - std::abs(distance));
      if (rule.exclude_outside && (source < 0 || source > limit)) weight = 0;
      table.index[static_cast<size_t>(t)][o] = std::clamp<int64_t>(source, 0, limit);
      table.weight[static_cast<size_t>(t)][o] = weight;
      total += weight;
    }
    if ((rule.antialias || rule.exclude_outside) && total != 0)
      for (std::vector<float>& weights : table.weight) weights[o] /= total;
  }
  return table;
}

}  // namespace lathe
