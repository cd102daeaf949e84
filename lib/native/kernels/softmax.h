// Softmax and its logarithm over contiguous rows of floats.
#pragma once

#include <cstdint>

namespace lathe {

/// `rows` rows of `length` neighbouring elements; pitches in elements. `to` may be `from`.
/// y = exp(factor * x - greatest) / sum, or factor * x - greatest - log(sum).
struct Softmax {
  const float* from = nullptr;
  int64_t from_pitch = 0;
  float* to = nullptr;
  int64_t to_pitch = 0;
  int64_t rows = 1;
  int64_t length = 1;
  bool logarithm = false;
  float factor = 1;  // of all elements, above 0
};

/// One unit is one row. The sum is lane_sum's (lane_sums.h), of rows below 32 elements that in
/// their order: the same on all processors.
int64_t softmax_count(const Softmax& softmax);
void run_softmax(const Softmax& softmax, int64_t begin, int64_t end);

}  // namespace lathe
