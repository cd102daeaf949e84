#include "kernels/lane_sums.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace lathe {
namespace {

constexpr int kParts = 4;
constexpr int64_t kStepElements = 4 * kParts;

typedef float Four [[gnu::vector_size(16)]];

struct Lanes {
  Four part[kParts];
};

[[gnu::always_inline]] inline Four four_at(const float* x) {
  Four four;
  std::memcpy(&four, x, sizeof four);
  return four;
}

// Calls `step(part, four elements)` for all elements; behind the end they are `filling`.
template <class Step>
[[gnu::always_inline]] inline Lanes through_lanes(const float* x, int64_t count, float first,
                                                  float filling, Step&& step) {
  Lanes lanes;
  for (Four& part : lanes.part) part = Four{first, first, first, first};
  int64_t i = 0;
  for (; i + kStepElements <= count; i += kStepElements)
#pragma GCC unroll 4
    for (int k = 0; k < kParts; ++k) lanes.part[k] = step(lanes.part[k], four_at(x + i + 4 * k));
  if (i < count) {
    float rest[kStepElements];
    std::fill_n(rest, kStepElements, filling);
    std::copy(x + i, x + count, rest);
    for (int k = 0; k < kParts; ++k) lanes.part[k] = step(lanes.part[k], four_at(rest + 4 * k));
  }
  return lanes;
}

template <class Join>
[[gnu::always_inline]] inline float joined(const Lanes& lanes, Join&& join) {
  const Four four = join(join(lanes.part[0], lanes.part[2]), join(lanes.part[1], lanes.part[3]));
  const Four two = join(four, __builtin_shufflevector(four, four, 2, 3, 2, 3));
  return join(two, __builtin_shufflevector(two, two, 1, 1, 1, 1))[0];
}

inline Four add(Four a, Four b) { return a + b; }
inline Four most(Four a, Four b) { return a > b ? a : b; }

}  // namespace

double lane_sum(const float* x, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i += kLaneBlock)
    sum += static_cast<double>(
        joined(through_lanes(x + i, std::min(kLaneBlock, count - i), 0, 0, add), add));
  return sum;
}

double lane_sum_squares(const float* x, int64_t count, float center) {
  const auto step = [&](Four sum, Four four) {
    const Four difference = four - center;
    return sum + difference * difference;
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
