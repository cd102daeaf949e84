// What the epilogues of integer kernels can rely on.
#pragma once

#include <cstdint>
#include <cstdlib>

#include "kernels/integer_product.h"

namespace lathe {

/// Whether |sum * scale + bias| of these weights with any bytes can reach 2^30.
inline bool may_reach_overflow(const int8_t* weights, int64_t count, float scale, float bias) {
  const auto reaches = [&](int64_t magnitude) {
    const double most = 255.0 * static_cast<double>(magnitude) * std::abs(double{scale});
    return !(most + std::abs(double{bias}) < 1073741824.0);
  };
  // Nearly never, and looking at all weights takes time.
  if (!reaches(128 * count)) return false;
  int64_t magnitude = 0;
  for (int64_t i = 0; i < count; ++i) magnitude += std::abs(int{weights[i]});
  return reaches(magnitude);
}

/// What nearly all layers do, a table aside, has its own code: with few channels it takes as long
/// as the sums.
inline bool is_plain(const ProductEpilogue& epilogue, bool may_overflow) {
  return !epilogue.float_output && epilogue.activation == ProductActivation::kNone &&
         !epilogue.has_residual && !may_overflow;
}

}  // namespace lathe
