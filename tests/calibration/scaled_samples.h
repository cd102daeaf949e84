// Samples whose sums depend on the order of addition when they are added in floating point.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace lathe {

/// 200 samples of `size` normal values with magnitudes over six decades.
inline std::vector<std::vector<float>> scaled_samples(size_t size, std::mt19937_64& random) {
  std::normal_distribution<float> normal(0.1f, 30);
  std::vector<std::vector<float>> samples(200, std::vector<float>(size));
  for (auto& sample : samples)
    for (float& value : sample)
      value = normal(random) * std::ldexp(1.0f, static_cast<int>(random() % 20) - 10);
  return samples;
}

/// Whether `Sums`, merged from four parts of the shuffled samples, [channels, inner] each, have the
/// same result as in order: `result(sums)`. Ten trials.
template <class Sums, class Result>
bool same_in_any_order(std::vector<std::vector<float>> samples, int64_t channels, int64_t inner,
                       std::mt19937_64& random, const Result& result) {
  Sums in_order;
  for (const auto& sample : samples) in_order.add(sample, channels, inner);
  for (int trial = 0; trial < 10; ++trial) {
    std::shuffle(samples.begin(), samples.end(), random);
    std::vector<Sums> parts(4);
    for (const auto& sample : samples) parts[random() % 4].add(sample, channels, inner);
    Sums merged;
    for (const Sums& part : parts) merged.merge(part);
    if (result(merged) != result(in_order)) return false;
  }
  return true;
}

}  // namespace lathe
