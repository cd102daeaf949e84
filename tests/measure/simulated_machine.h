// A clock and workloads that behave like a busy machine: slow phases, correlated noise, spikes.
#pragma once

#include <cmath>
#include <cstdint>

#include "statistics/random.h"
#include "statistics/sampling.h"

namespace lathe {

enum class Noise { kQuiet, kAutocorrelated, kBimodal, kDrifting };

class SimulatedMachine {
 public:
  SimulatedMachine(Noise noise, uint64_t seed) : noise_(noise), random_(seed) {}
  SimulatedMachine(const SimulatedMachine&) = delete;

  /// A workload that needs `ns` when nothing disturbs it.
  Runnable workload(double ns) {
    return [this, ns](size_t) { time_ += static_cast<int64_t>(ns * slowness()); };
  }
  Conduct conduct() {
    Conduct conduct;
    conduct.clock = [this] { return time_; };
    return conduct;
  }
  int64_t time_ns() const { return time_; }

 private:
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += random_.unit();
    return sum;
  }

  double slowness() {
    const double jitter = std::exp(0.01 * std::fabs(normal()));
    const double spike = random_.unit() < 0.02 ? 1 + 2 * random_.unit() : 1;
    switch (noise_) {
      case Noise::kQuiet: return jitter;
      case Noise::kAutocorrelated:
        // Deviation 7 %: 40 pairs then leave an interval of about 1 % either way, more than a
        // loaded two-core machine does.
        state_ = 0.9 * state_ + 0.03 * normal();
        return jitter * spike * std::exp(std::fabs(state_));
      case Noise::kBimodal:  // a neighbour comes and goes, for some hundred iterations
        if (random_.unit() < 0.005) slow_ = !slow_;
        return jitter * spike * (slow_ ? 1.6 : 1.0);
      case Noise::kDrifting: return jitter * spike * (1 + 1e-10 * static_cast<double>(time_));
    }
    return 1;
  }

  Noise noise_;
  BenchRandom random_;
  int64_t time_ = 0;
  double state_ = 0;
  bool slow_ = false;
};

}  // namespace lathe
