// What becomes of a sum: the epilogue of integer kernels, one number at a time.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/product_activation.h"

namespace lathe {

/// Rounds half to even; what is not a number becomes `low`.
inline uint8_t clamped(float y, uint8_t low, uint8_t high) {
  if (!(y > static_cast<float>(low))) return low;
  if (y >= static_cast<float>(high)) return high;
  return static_cast<uint8_t>(std::nearbyint(y));
}

inline float finished_float(float y, const ProductEpilogue& epilogue) {
  return between(activated(y, epilogue.activation), epilogue.float_low, epilogue.float_high);
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

/// Both places count from an array's first element.
inline void store_finished(float y, const ProductEpilogue& epilogue, const uint8_t* residual,
                           int64_t residual_place, void* output, int64_t place) {
  if (epilogue.float_output)
    static_cast<float*>(output)[place] = finished_float(y, epilogue);
  else
    static_cast<uint8_t*>(output)[place] =
        finished_byte(y, epilogue.has_residual ? residual[residual_place] : uint8_t{0}, epilogue);
}

}  // namespace lathe
