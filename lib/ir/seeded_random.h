// Seeded random numbers, the same on every machine, compiler and library version.
#pragma once

#include <cstdint>

namespace lathe {

/// SplitMix64 (Steele, Lea, Flood 2014).
class SeededRandom {
 public:
  /// `stream` separates sequences under one seed.
  SeededRandom(uint64_t seed, uint64_t stream);

  uint64_t next();
  /// Approximately standard normal, within -6..6: the sum of twelve uniform numbers minus 6, exact
  /// in binary, so no mathematical library is involved.
  double normal();

 private:
  uint64_t state_;
};

}  // namespace lathe
