// What becomes of a sum: the epilogue of integer kernels, one number at a time.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "kernels/integer_product.h"
#include "kernels/real_functions.h"

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

/// Rounds half to even; what is not a number becomes `low`.
inline uint8_t clamped(float y, uint8_t low, uint8_t high) {
  if (!(y > static_cast<float>(low))) return low;
  if (y >= static_cast<float>(high)) return high;
  return static_cast<uint8_t>(std::nearbyint(y));
}

inline float finished_float(float y, const ProductEpilogue& epilogue) {
  return std::fmin(std::fmax(activated(y, epilogue.activation), epilogue.float_low),
                   epilogue.float_high);
}

inline uint8_t finished_byte(float y, uint8_t residual, const ProductEpilogue& epilogue) {
  if (epilogue.activation != ProductActivation::kNone)
    y = std::fma(activated(y, epilogue.activation), epilogue.inverse_scale, epilogue.zero_point);
  uint8_t q = clamped(y, epilogue.low, epilogue.high);
  if (epilogue.has_residual) {
    const float own = std::fma(static_cast<float>(q), epilogue.own_factor, epilogue.offset);
    q = clamped(std::fma(static_cast<float>(residual), epilogue.residual_factor, own),
                epilogue.sum_low, epilogue.sum_high);
  }
  return epilogue.table != nullptr ? epilogue.table[q] : q;
}

}  // namespace lathe
