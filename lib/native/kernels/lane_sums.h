// Sums and the greatest of neighbouring floats in sixteen parts: element i belongs to part i mod
// 16, and the parts are added in one order. SSE2, which every x86-64 processor has, so results are
// the same everywhere.
#pragma once

#include <cstdint>

namespace lathe {

/// The float sum of at most this many elements goes into a double.
constexpr int64_t kLaneBlock = 4096;

double lane_sum(const float* x, int64_t count);
/// Sum of (x - center)^2.
double lane_sum_squares(const float* x, int64_t count, float center);
/// -inf where there is nothing. A NaN need not be noticed.
float lane_max(const float* x, int64_t count);

}  // namespace lathe
