// Log-ratios as the processes of a comparison would measure them on bad machines.
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

#include "comparison/comparison_merge.h"
#include "statistics/random.h"

namespace lathe {

enum class Stream {
  kIndependent,     // 2 % noise
  kAutocorrelated,  // 1 % stationary noise, first-order with 0.9
  kBimodal,         // a neighbour comes and goes for some ten pairs, and slows one model more
  kDrifting,        // the ratio drifts by 2 % over a process
  kSlowProcess,     // one process of five has the candidate at an unlucky place, by 10 %
  kHeavyTailed,     // 2 % Student's t with 2 degrees of freedom
  kLayout,          // 0.7 % from process to process
  kUnlucky,         // 0.4 % from process to process, and 6 % either way of one in eight
};

inline constexpr Stream kAllStreams[] = {
    Stream::kIndependent, Stream::kAutocorrelated, Stream::kBimodal, Stream::kDrifting,
    Stream::kSlowProcess, Stream::kHeavyTailed,    Stream::kLayout,  Stream::kUnlucky};

inline std::string_view stream_name(Stream stream) {
  switch (stream) {
    case Stream::kIndependent: return "independent";
    case Stream::kAutocorrelated: return "autocorrelated";
    case Stream::kBimodal: return "bimodal";
    case Stream::kDrifting: return "drifting";
    case Stream::kSlowProcess: return "one slow process";
    case Stream::kHeavyTailed: return "heavy-tailed";
    case Stream::kLayout: return "layout";
    case Stream::kUnlucky: return "unlucky processes";
  }
  return "?";
}

class SimulatedStream {
 public:
  SimulatedStream(Stream stream, double log_ratio, uint64_t seed)
      : stream_(stream), log_ratio_(log_ratio), random_(seed) {
    slow_ = random_.below(5);
  }

  /// What process `number` measures; the effects of one process are drawn anew for each.
  ProcessRatios process(size_t number, size_t pairs) {
    ProcessRatios out;
    out.block_iterations = 5;
    out.time_ns = 1'000'000;
    state_ = 0.01 * normal();
    slowed_ = random_.below(2) == 1;
    const double drift = random_.below(2) == 1 ? 0.02 : -0.02;
    const double between = stream_ == Stream::kLayout    ? 0.007
                           : stream_ == Stream::kUnlucky ? 0.004
                                                         : 0.001;
    double level = log_ratio_ + between * normal();
    if (stream_ == Stream::kUnlucky && random_.below(8) == 0)
      level += random_.below(2) == 1 ? 0.06 : -0.06;
    if (stream_ == Stream::kSlowProcess && number % 5 == slow_) level += 0.10;
    for (size_t i = 0; i < pairs; ++i) {
      const double passed = static_cast<double>(i) / static_cast<double>(pairs) - 0.5;
      const double drifted = stream_ == Stream::kDrifting ? drift * passed : 0;
      out.log_ratios.push_back(level + drifted + noise());
    }
    return out;
  }

 private:
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += random_.unit();
    return sum;
  }

  double noise() {
    switch (stream_) {
      case Stream::kIndependent: return 0.02 * normal();
      case Stream::kAutocorrelated:
        state_ = 0.9 * state_ + 0.01 * std::sqrt(1 - 0.81) * normal();
        return state_;
      case Stream::kBimodal:
        if (random_.unit() < 0.1) slowed_ = !slowed_;
        return (slowed_ ? 0.015 : -0.015) + 0.005 * normal();
      case Stream::kHeavyTailed:
        // A normal over the root of an exponential of mean 1: t with 2 degrees of freedom.
        return 0.02 * normal() / std::sqrt(-std::log(1 - random_.unit()) + 1e-9);
      case Stream::kDrifting:
      case Stream::kSlowProcess:
      case Stream::kLayout:
      case Stream::kUnlucky: return 0.01 * normal();
    }
    return 0;
  }

  Stream stream_;
  double log_ratio_;
  BenchRandom random_;
  size_t slow_ = 0;
  double state_ = 0;
  bool slowed_ = false;
};

}  // namespace lathe
