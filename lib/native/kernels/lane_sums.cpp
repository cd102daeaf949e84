#include "kernels/lane_sums.h"

#include <emmintrin.h>

#include <algorithm>
#include <limits>

namespace lathe {
namespace {

constexpr int kParts = 4;
constexpr int64_t kStepElements = 4 * kParts;

struct Lanes {
  __m128 part[kParts];
};

// Calls `step(part, four elements)` for all elements; behind the end they are `filling`.
template <class Step>
[[gnu::always_inline]] inline Lanes through_lanes(const float* x, int64_t count, float first,
                                                  float filling, Step&& step) {
  Lanes lanes;
  for (__m128& part : lanes.part) part = _mm_set1_ps(first);
  int64_t i = 0;
  for (; i + kStepElements <= count; i += kStepElements)
#pragma GCC unroll 4
    for (int k = 0; k < kParts; ++k)
      lanes.part[k] = step(lanes.part[k], _mm_loadu_ps(x + i + 4 * k));
  if (i < count) {
    float rest[kStepElements];
    std::fill_n(rest, kStepElements, filling);
    std::copy(x + i, x + count, rest);
    for (int k = 0; k < kParts; ++k)
      lanes.part[k] = step(lanes.part[k], _mm_loadu_ps(rest + 4 * k));
  }
  return lanes;
}

template <class Join>
[[gnu::always_inline]] inline float joined(const Lanes& lanes, Join&& join) {
  const __m128 four = join(join(lanes.part[0], lanes.part[2]), join(lanes.part[1], lanes.part[3]));
  const __m128 two = join(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(join(two, _mm_shuffle_ps(two, two, 1)));
}

inline __m128 add(__m128 a, __m128 b) { return _mm_add_ps(a, b); }
inline __m128 most(__m128 a, __m128 b) { return _mm_max_ps(a, b); }

}  // namespace

double lane_sum(const float* x, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i += kLaneBlock)
    sum += static_cast<double>(
        joined(through_lanes(x + i, std::min(kLaneBlock, count - i), 0, 0, add), add));
  return sum;
}

double lane_sum_squares(const float* x, int64_t count, float center) {
  const __m128 middle = _mm_set1_ps(center);
  const auto step = [&](__m128 sum, __m128 four) {
    const __m128 difference = _mm_sub_ps(four, middle);
    return _mm_add_ps(sum, _mm_mul_ps(difference, difference));
  };
  double sum = 0;
  for (int64_t i = 0; i < count; i += kLaneBlock)
    sum += static_cast<double>(
        joined(through_lanes(x + i, std::min(kLaneBlock, count - i), 0, center, step), add));
  return sum;
}

float lane_max(const float* x, int64_t count) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  return joined(through_lanes(x, count, kLowest, kLowest, most), most);
}

}  // namespace lathe
