#include "kernels/softmax.h"

#include <algorithm>

#include "kernels/lane_sums.h"

// Nobody asks for floating-point exceptions. Without this the compiler would not compute both sides
// of a choice, and so would not vectorize. Values stay the same.
#pragma GCC optimize("no-trapping-math")

#include "ir/x86_clones.h"
#include "kernels/vector_math.h"

namespace lathe {
namespace {

constexpr int64_t kBlock = 512;  // a multiple of the lanes of a sum

LATHE_X86_CLONES void exponential_row(const float* from, float* to, int64_t length, float factor,
                                      float greatest) {
#pragma GCC ivdep
  for (int64_t i = 0; i < length; ++i) to[i] = exponential(from[i] * factor - greatest);
}

// Short rows are turned: many of them side by side.
constexpr int64_t kShort = 32;
constexpr int64_t kTileRows = 64;

struct Tile {
  alignas(64) float x[kShort][kTileRows];  // rows that are not there hold anything finite
};

LATHE_X86_CLONES void softmax_tile(Tile& tile, int64_t length, float factor, bool logarithm) {
  alignas(64) float greatest[kTileRows];
  alignas(64) float sum[kTileRows];
  for (int64_t r = 0; r < kTileRows; ++r) greatest[r] = tile.x[0][r];
  for (int64_t i = 1; i < length; ++i)
    for (int64_t r = 0; r < kTileRows; ++r)
      greatest[r] = tile.x[i][r] > greatest[r] ? tile.x[i][r] : greatest[r];
  for (int64_t r = 0; r < kTileRows; ++r) {
    greatest[r] *= factor;
    sum[r] = 0;
  }
  for (int64_t i = 0; i < length; ++i)
    for (int64_t r = 0; r < kTileRows; ++r) {
      const float scaled = tile.x[i][r] * factor;
      const float power = exponential(scaled - greatest[r]);
      sum[r] += power;
      tile.x[i][r] = logarithm ? scaled : power;
    }
  if (logarithm) {
    for (int64_t r = 0; r < kTileRows; ++r) greatest[r] += lathe::logarithm(sum[r]);
    for (int64_t i = 0; i < length; ++i)
      for (int64_t r = 0; r < kTileRows; ++r) tile.x[i][r] -= greatest[r];
    return;
  }
  for (int64_t r = 0; r < kTileRows; ++r) sum[r] = 1.0f / sum[r];
  for (int64_t i = 0; i < length; ++i)
    for (int64_t r = 0; r < kTileRows; ++r) tile.x[i][r] *= sum[r];
}

void run_short_rows(const Softmax& softmax, int64_t begin, int64_t end) {
  Tile tile = {};
  for (int64_t first = begin; first < end; first += kTileRows) {
    const int64_t rows = std::min(kTileRows, end - first);
    const float* from = softmax.from + first * softmax.from_pitch;
    float* to = softmax.to + first * softmax.to_pitch;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < softmax.length; ++i) tile.x[i][r] = from[r * softmax.from_pitch + i];
    softmax_tile(tile, softmax.length, softmax.factor, softmax.logarithm);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < softmax.length; ++i) to[r * softmax.to_pitch + i] = tile.x[i][r];
  }
}

void scale_row(const float* from, float* to, int64_t length, float factor) {
  for (int64_t i = 0; i < length; ++i) to[i] = from[i] * factor;
}

}  // namespace

int64_t softmax_count(const Softmax& softmax) { return softmax.length == 0 ? 0 : softmax.rows; }

void run_softmax(const Softmax& softmax, int64_t begin, int64_t end) {
  const int64_t length = softmax.length;
  if (length < kShort) {
    run_short_rows(softmax, begin, end);
    return;
  }
  for (int64_t row = begin; row < end; ++row) {
    const float* from = softmax.from + row * softmax.from_pitch;
    float* to = softmax.to + row * softmax.to_pitch;
    const float greatest = lane_max(from, length) * softmax.factor;
    double sum = 0;
    if (!softmax.logarithm) {
      exponential_row(from, to, length, softmax.factor, greatest);
      sum = lane_sum(to, length);
      scale_row(to, to, length, static_cast<float>(1 / sum));
      continue;
    }
    float block[kBlock];
    for (int64_t i = 0; i < length; i += kBlock) {
      const int64_t count = std::min(kBlock, length - i);
      exponential_row(from + i, block, count, softmax.factor, greatest);
      sum += lane_sum(block, count);
    }
    const float term = greatest + logarithm(static_cast<float>(sum));
    for (int64_t i = 0; i < length; ++i) to[i] = from[i] * softmax.factor - term;
  }
}

}  // namespace lathe
