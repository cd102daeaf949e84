#include "kernels/dynamic_range.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

// As in vector_math.h: choices become vectors.
#pragma GCC optimize("no-trapping-math")

#include "ir/x86_clones.h"
#include "kernels/rounding.h"

namespace lathe {

LATHE_X86_CLONES DynamicRange range_of(const float* x, int64_t count) {
  // The order of the lanes does not matter for the least and the greatest.
  constexpr int64_t kLanes = 32;
  float low[kLanes] = {};
  float high[kLanes] = {};
  uint32_t nan[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const float v = x[i + lane];
      low[lane] = v < low[lane] ? v : low[lane];
      high[lane] = v > high[lane] ? v : high[lane];
      nan[lane] |= static_cast<uint32_t>(v != v);
    }
  for (int64_t lane = 0; i < count; ++i, ++lane) {
    const float v = x[i];
    low[lane] = v < low[lane] ? v : low[lane];
    high[lane] = v > high[lane] ? v : high[lane];
    nan[lane] |= static_cast<uint32_t>(v != v);
  }
  DynamicRange range;
  uint32_t any = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    range.low = low[lane] < range.low ? low[lane] : range.low;
    range.high = high[lane] > range.high ? high[lane] : range.high;
    any |= nan[lane];
  }
  range.has_nan = any != 0;
  return range;
}

DynamicRange joined(const DynamicRange& a, const DynamicRange& b) {
  return {std::min(a.low, b.low), std::max(a.high, b.high), a.has_nan || b.has_nan};
}

DynamicScale dynamic_scale(const DynamicRange& range) {
  if (range.has_nan) return {std::numeric_limits<float>::quiet_NaN(), 0};
  const float extent = range.high - range.low;
  const float scale = extent == 0.0f ? 1.0f : extent / 255.0f;
  const float zero = (0.0f - range.low) / scale;
  // Infinity by infinity.
  return {scale, zero == zero ? rounded_number(between(zero, 0.0f, 255.0f)) : 0};
}

}  // namespace lathe
