#include "ir/quantization.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lathe {
namespace {

float usable_scale(double scale) {
  if (!std::isfinite(scale) || scale <= 0) return 1.0f;
  const double smallest = std::numeric_limits<float>::min();
  const double largest = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(scale, smallest, largest));
}

}  // namespace

ScaleZeroPoint choose_asymmetric(double min, double max, int32_t qmin, int32_t qmax) {
  if (!std::isfinite(min) || !std::isfinite(max)) return {1.0f, qmin};
  min = std::min(min, 0.0);
  max = std::max(max, 0.0);
  if (min == max) return {1.0f, std::clamp(0, qmin, qmax)};
  const float scale = usable_scale((max - min) / (double(qmax) - qmin));
  const double zero_point = std::nearbyint(qmin - min / scale);
  return {scale, static_cast<int32_t>(std::clamp<double>(zero_point, qmin, qmax))};
}

ScaleZeroPoint choose_symmetric(double max_abs, int32_t qmax) {
  return {usable_scale(max_abs / qmax), 0};
}

int32_t quantize(float x, float scale, int32_t zero_point, int32_t qmin, int32_t qmax) {
  if (std::isnan(x)) return std::clamp(zero_point, qmin, qmax);
  // float division and rounding, as runtimes do it; the clamp before the cast avoids overflow.
  const float rounded = std::nearbyint(x / scale);
  const float shifted = std::clamp(rounded + static_cast<float>(zero_point),
                                   static_cast<float>(qmin), static_cast<float>(qmax));
  return static_cast<int32_t>(shifted);
}

}  // namespace lathe
