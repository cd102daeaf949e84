// The generator of everything random in lathe's evaluation: the same seed gives the same numbers
// on every machine and standard library (std::*_distribution does not promise that).
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "ir/graph.h"

namespace lathe {

/// SplitMix64 (Steele, Lea, Flood 2014).
class RandomBits {
 public:
  explicit RandomBits(uint64_t seed) : state_(seed) {}
  uint64_t next();
  /// In [0, 1), 53 bits.
  double uniform();
  /// Standard normal (Box-Muller).
  double normal();

 private:
  uint64_t state_;
};

/// Seeded by the node's attribute `seed`, else by its name, so that nodes differ from each other.
RandomBits random_bits(const Node& node);

/// `count` draws of uniform() or normal() as float64.
at::Tensor uniform_values(RandomBits& bits, at::IntArrayRef sizes);
at::Tensor normal_values(RandomBits& bits, at::IntArrayRef sizes);

}  // namespace lathe
