// Sums, means, extremes and products of floats over some dimensions of a strided array.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/nest.h"

namespace lathe {

enum class ReduceKind : uint8_t { kSum, kMean, kMax, kMin, kProd, kSumSquares };

struct Reduce {
  ReduceKind kind = ReduceKind::kSum;
  TiledNest kept;       // array 0 is written, array 1 is where the read elements begin
  Nest reduced;         // array 0 is read
  int64_t count = 1;    // elements that become one
  bool across = false;  // outputs are computed side by side
};

/// `shape`: of the input; `reduced[d]`: dimension d is reduced. `to_strides` has one stride for
/// each dimension of the input, those of reduced dimensions are not used. Floats are
/// summed in at most 512 steps, then in double. Nothing to reduce (a dimension of 0): sums 0,
/// product 1, extremes -inf and +inf, mean NaN.
Reduce prepare_reduce(ReduceKind kind, const std::vector<int64_t>& shape,
                      const std::vector<bool>& reduced, const Strides& from_strides,
                      const Strides& to_strides);
int64_t reduce_count(const Reduce& reduce);
void run_reduce(const Reduce& reduce, const float* from, float* to, int64_t begin, int64_t end);

}  // namespace lathe
