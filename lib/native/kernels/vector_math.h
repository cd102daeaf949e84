// Functions of one float without branches, table or fused multiply-add, for loops that the compiler
// vectorizes: the same bits on every processor. Relative error below 2e-6 or absolute below 1e-6.
// Polynomials of exp, log and tanh: Cephes (Moshier); erf: Abramowitz and Stegun 7.1.26.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#include "kernels/rounding.h"

namespace lathe {

/// to[i] = function(i). The compiler vectorizes it only where floating-point operations do not trap
/// (#pragma GCC optimize("no-trapping-math") before this header): it then computes both sides of a
/// choice.
template <class Function>
[[gnu::always_inline]] inline void each(int64_t count, float* to, Function&& function) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) to[i] = function(i);
}

[[gnu::always_inline]] inline float magnitude(float x) {
  return std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0x7fffffffu);
}

[[gnu::always_inline]] inline float with_sign_of(float positive, float x) {
  return std::bit_cast<float>(std::bit_cast<uint32_t>(positive) |
                              (std::bit_cast<uint32_t>(x) & 0x80000000u));
}

/// `yes` where the condition holds, without a branch even where the compiler would like one.
[[gnu::always_inline]] inline float chosen(bool condition, float yes, float no) {
  const uint32_t mask = 0u - static_cast<uint32_t>(condition);
  return std::bit_cast<float>((std::bit_cast<uint32_t>(yes) & mask) |
                              (std::bit_cast<uint32_t>(no) & ~mask));
}

/// 2 to the power of n in -126..127.
[[gnu::always_inline]] inline float power_of_two(int32_t n) {
  return std::bit_cast<float>(static_cast<uint32_t>(n + 127) << 23);
}

/// exp(x) = number * 2^exponent, |x| up to 2^21; kRoundingTerm's bits are part of `exponent`, as
/// the sum that rounded it has them.
struct ScaledNumber {
  float number = 0;
  uint32_t exponent = 0;
};

[[gnu::always_inline]] inline ScaledNumber scaled_exponential(float x) {
  const float sum = x * 1.44269504088896341f + kRoundingTerm;
  const float n = sum - kRoundingTerm;
  const float f = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  return {p * (f * f) + f + 1.0f, std::bit_cast<uint32_t>(sum)};
}

/// Numbers below 2^-126 become 0 and those from 2^127.5 on infinite.
[[gnu::always_inline]] inline float exponential(float x) {
  const ScaledNumber y = scaled_exponential(between(x, -88.0f, 88.8f));
  // The rounding term's bits leave at the upper end; exponents of -127 and 128 make 0 and infinity.
  return y.number * std::bit_cast<float>((y.exponent << 23) + 0x3f800000u);
}

/// The same over the whole range of floats.
[[gnu::always_inline]] inline float whole_exponential(float x) {
  const ScaledNumber y = scaled_exponential(between(x, -104.0f, 89.0f));
  // One factor could not be represented at either end.
  const int32_t exponent =
      static_cast<int32_t>(y.exponent - std::bit_cast<uint32_t>(kRoundingTerm));
  const int32_t half = exponent >> 1;
  return y.number * power_of_two(half) * power_of_two(exponent - half);
}

/// Natural logarithm of x * 2^exponent for a normal positive x.
[[gnu::always_inline]] inline float normal_logarithm(float x, int32_t exponent) {
  constexpr uint32_t kOne = 0x3f800000u;
  constexpr uint32_t kSqrtHalf = 0x3f3504f3u;
  const uint32_t bits = std::bit_cast<uint32_t>(x) + (kOne - kSqrtHalf);
  const float k = static_cast<float>((static_cast<int32_t>(bits) >> 23) - 127 + exponent);
  const float f = std::bit_cast<float>((bits & 0x7fffffu) + kSqrtHalf) - 1.0f;
  const float z = f * f;
  float p = 7.0376836292e-2f;
  p = p * f + -1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f + -1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f + -1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f + -2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  const float y = p * f * z + k * -2.12194440e-4f - 0.5f * z;
  return (f + y) + k * 0.693359375f;
}

[[gnu::always_inline]] inline float logarithm(float x) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const bool is_small = x < 1.17549435e-38f;
  float result = normal_logarithm(x * (is_small ? 8388608.0f : 1.0f), is_small ? -23 : 0);
  result = chosen(x == kInfinity, kInfinity, result);
  result = chosen(x == 0.0f, -kInfinity, result);
  return chosen(x >= 0.0f, result, std::numeric_limits<float>::quiet_NaN());
}

[[gnu::always_inline]] inline float logistic(float x) { return 1.0f / (1.0f + exponential(-x)); }

[[gnu::always_inline]] inline float hyperbolic_tangent(float x) {
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z + -5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z + -3.33332819422e-1f;
  const float near = p * z * x + x;
  const float a = magnitude(x);
  const float far = with_sign_of(1.0f - 2.0f / (exponential(a + a) + 1.0f), x);
  return a < 0.625f ? near : far;
}

/// 1 - erf(x) for x >= 0.
[[gnu::always_inline]] inline float error_complement(float x) {
  const float t = 1.0f / (1.0f + 0.3275911f * x);
  float p = 1.061405429f;
  p = p * t + -1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t + -0.284496736f;
  p = p * t + 0.254829592f;
  return p * t * exponential(-x * x);
}

[[gnu::always_inline]] inline float error_function(float x) {
  const float z = x * x;
  // Taylor's series.
  float p = 5.2239776254e-3f;
  p = p * z + -2.6866170645e-2f;
  p = p * z + 1.1283791671e-1f;
  p = p * z + -3.7612638903e-1f;
  p = p * z + 1.1283791671f;
  const float a = magnitude(x);
  return a < 0.3f ? p * x : with_sign_of(1.0f - error_complement(a), x);
}

/// x / 2 * (1 + erf(x / sqrt 2)), without the difference of numbers that are nearly equal.
[[gnu::always_inline]] inline float gelu(float x) {
  const float a = between(magnitude(x), 0.0f, 20.0f);
  const float beside = 0.5f * a * error_complement(a * 0.70710678118654752f);
  return (x < 0.0f ? 0.0f : x) - beside;
}

[[gnu::always_inline]] inline float gelu_by_tanh(float x) {
  // x * sigmoid(2 u) = x / 2 * (1 + tanh(u))
  return x * logistic(1.59576912160573f * (x + 0.044715f * x * x * x));
}

[[gnu::always_inline]] inline float softplus(float x) {
  return (x < 0.0f ? 0.0f : x) + normal_logarithm(1.0f + exponential(-magnitude(x)), 0);
}

[[gnu::always_inline]] inline float mish(float x) {
  // tanh(log(1 + e)) = n / (n + 2) with n = e (e + 2)
  const float e = exponential(x > 20.0f ? 20.0f : x);
  const float n = e * (e + 2.0f);
  return x * (n / (n + 2.0f));
}

}  // namespace lathe
