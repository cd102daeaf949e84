// A small generator whose sequence is the same with every standard library.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lathe {

/// splitmix64 (Steele, Lea, Flood 2014).
class BenchRandom {
 public:
  explicit BenchRandom(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  /// In [0, bound); bound is far below 2^32.
  size_t below(size_t bound) { return static_cast<size_t>(((next() >> 32) * bound) >> 32); }
  /// In [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  uint64_t state_;
};

}  // namespace lathe
