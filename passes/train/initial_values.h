// Random first values of parameters: the same on every machine, and a function of the seed and the
// parameter's name alone, so that what else a graph holds, and in which order, does not matter.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace lathe {

/// Normal around 0, within six deviations (SeededRandom::normal).
std::vector<double> normal_values(uint64_t seed, std::string_view name, size_t count,
                                  double deviation);
/// Uniform within ±bound.
std::vector<double> uniform_values(uint64_t seed, std::string_view name, size_t count,
                                   double bound);

}  // namespace lathe
