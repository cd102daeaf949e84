// The elementwise functions of an epilogue, one number at a time. The vector variants do the same
// operations in the same order, so that all processors give the same bytes.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/integer_product.h"

namespace lathe {

/// exp(x) = 2^n * p(f) with n + f = x / ln 2 and |f| <= 1/2; p of degree 5 (Cephes' expf),
/// relative error below 2e-7. x is bounded to -87.3 ... 88, where the result is a normal number.
inline float epilogue_exp(float x) {
  x = std::fmax(std::fmin(x, 88.0f), -87.3f);
  const float n = std::nearbyint(x * 1.44269504088896341f);
  float f = std::fma(-n, 0.693359375f, x);
  f = std::fma(-n, -2.12194440e-4f, f);
  float p = 1.9875691500e-4f;
  p = std::fma(p, f, 1.3981999507e-3f);
  p = std::fma(p, f, 8.3334519073e-3f);
  p = std::fma(p, f, 4.1665795894e-2f);
  p = std::fma(p, f, 1.6666665459e-1f);
  p = std::fma(p, f, 5.0000001201e-1f);
  p = std::fma(p, f * f, f + 1.0f);
  return p * std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
}

inline float sigmoid(float x) { return 1.0f / (1.0f + epilogue_exp(0.0f - x)); }

inline float epilogue_tanh(float x) { return std::fma(2.0f, sigmoid(x + x), -1.0f); }

/// Abramowitz and Stegun 7.1.26, absolute error below 2e-7.
inline float epilogue_erf(float x) {
  const float a = std::fabs(x);
  const float t = 1.0f / std::fma(a, 0.3275911f, 1.0f);
  float p = 1.061405429f;
  p = std::fma(p, t, -1.453152027f);
  p = std::fma(p, t, 1.421413741f);
  p = std::fma(p, t, -0.284496736f);
  p = std::fma(p, t, 0.254829592f);
  p = p * t;
  const float y = std::fma(-p, epilogue_exp(0.0f - a * a), 1.0f);
  return x < 0.0f ? 0.0f - y : y;
}

inline float activated(float x, ProductActivation activation) {
  switch (activation) {
    case ProductActivation::kNone: return x;
    case ProductActivation::kSilu: return x * sigmoid(x);
    case ProductActivation::kHardSwish:
      return x * std::fmin(std::fmax(std::fma(x, 1.0f / 6.0f, 0.5f), 0.0f), 1.0f);
    case ProductActivation::kSigmoid: return sigmoid(x);
    case ProductActivation::kGelu: {
      const float half = x * 0.5f;
      return std::fma(half, epilogue_erf(x * 0.70710678f), half);
    }
    case ProductActivation::kTanh: return epilogue_tanh(x);
  }
  return x;
}

}  // namespace lathe
