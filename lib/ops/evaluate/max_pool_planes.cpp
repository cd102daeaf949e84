#include "evaluate/max_pool_planes.h"

#include <algorithm>
#include <limits>

namespace lathe {
namespace {

// Which taps of a window lie inside: the first, and one behind the last.
struct Taps {
  int64_t first, end;
};
Taps taps_inside(const PlaneAxis& axis, int64_t start) {
  const int64_t first = start >= 0 ? 0 : (-start + axis.dilation - 1) / axis.dilation;
  const int64_t end =
      start >= axis.in ? 0 : (axis.in - start + axis.dilation - 1) / axis.dilation;
  return {first, std::min(axis.kernel, end)};
}

// A NaN wins.
[[gnu::always_inline]] inline float larger(float a, float b) { return b > a || b != b ? b : a; }

}  // namespace

void max_pool_planes(const float* from, int64_t planes, const PlaneAxis& rows,
                     const PlaneAxis& columns, float* row, float* to) {
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  const int64_t width = columns.in;
  for (int64_t plane = 0; plane < planes; ++plane, from += rows.in * width)
    for (int64_t y = 0; y < rows.out; ++y, to += columns.out) {
      const int64_t top = y * rows.stride - rows.begin;
      const Taps down = taps_inside(rows, top);
      std::fill_n(row, width, kNothing);
      for (int64_t tap = down.first; tap < down.end; ++tap) {
        const float* line = from + (top + tap * rows.dilation) * width;
#pragma GCC ivdep
        for (int64_t x = 0; x < width; ++x) row[x] = larger(row[x], line[x]);
      }
      for (int64_t x = 0; x < columns.out; ++x) {
        const int64_t left = x * columns.stride - columns.begin;
        const Taps across = taps_inside(columns, left);
        float most = kNothing;
        for (int64_t tap = across.first; tap < across.end; ++tap)
          most = larger(most, row[left + tap * columns.dilation]);
        to[x] = most;
      }
    }
}

}  // namespace lathe
