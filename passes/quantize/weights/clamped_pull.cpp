#include "quantize/weights/clamped_pull.h"

#include <algorithm>
#include <cstddef>

namespace lathe {
namespace {

// Rows that are summed up in float, for the vector units.
constexpr size_t kPullRows = 256;

// Not inlined, where the compiler forgets what the arrays do not share.
__attribute__((noinline)) void add_row(const float* __restrict made, const float* __restrict wanted,
                                       const float* __restrict shift, ClampBounds bounds,
                                       size_t channels, float* __restrict pull,
                                       float* __restrict open) {
  for (size_t i = 0; i < channels; ++i) {
    const float out = made[i] + shift[i];
    const float above = out < bounds.low ? bounds.low : out;
    const float clamped = above > bounds.high ? bounds.high : above;
    const float goal = wanted[i] < bounds.low ? bounds.low : wanted[i];
    const float inside = clamped == out ? 1.0f : 0.0f;
    pull[i] += ((goal > bounds.high ? bounds.high : goal) - clamped) * inside;
    open[i] += inside;
  }
}

}  // namespace

ClampedPull clamped_pull(std::span<const float> made, std::span<const float> wanted,
                         std::span<const float> shift, const ClampBounds& bounds) {
  const size_t channels = shift.size();
  const size_t rows = channels == 0 ? 0 : made.size() / channels;
  ClampedPull sums{std::vector<double>(channels), std::vector<double>(channels)};
  std::vector<float> pull(channels);
  std::vector<float> open(channels);
  for (size_t begin = 0; begin < rows; begin += kPullRows) {
    std::fill(pull.begin(), pull.end(), 0.0f);
    std::fill(open.begin(), open.end(), 0.0f);
    for (size_t row = begin; row < std::min(rows, begin + kPullRows); ++row)
      add_row(made.data() + row * channels, wanted.data() + row * channels, shift.data(), bounds,
              channels, pull.data(), open.data());
    for (size_t i = 0; i < channels; ++i) {
      sums.pull[i] += pull[i];
      sums.open[i] += open[i];
    }
  }
  return sums;
}

}  // namespace lathe
