#include "kernels/softmax.h"

#include <algorithm>

#include "kernels/lane_sums.h"

// Nobody asks for floating-point exceptions. Without this the compiler would not compute both sides
// of a choice, and so would not vectorize. Values stay the same.
#pragma GCC optimize("no-trapping-math")

#include "kernels/vector_math.h"

namespace lathe {
namespace {

constexpr int64_t kBlock = 512;  // a multiple of the lanes of a sum

[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void exponential_row(
    const float* from, float* to, int64_t length, float factor, float greatest) {
#pragma GCC ivdep
  for (int64_t i = 0; i < length; ++i) to[i] = exponential(from[i] * factor - greatest);
}

void scale_row(const float* from, float* to, int64_t length, float factor) {
  for (int64_t i = 0; i < length; ++i) to[i] = from[i] * factor;
}

}  // namespace

int64_t softmax_count(const Softmax& softmax) { return softmax.length == 0 ? 0 : softmax.rows; }

void run_softmax(const Softmax& softmax, int64_t begin, int64_t end) {
  const int64_t length = softmax.length;
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
