// Functions of floats without branches, table or fused multiply-add: the same bits on every
// processor, whether the compiler vectorizes a loop of them or Real is a vector (__m256, __m512)
// between the instructions of a kernel. What takes a Real is both; the rest takes one float.
//
// Greatest errors against double precision, in units in the last place (ulp) of normal results:
//   exponential 1, logistic 3, hyperbolic_tangent 2, error_function 12, exponential_less_one 10;
//   silu 4 ulp or 1e-35 absolute; hard_swish and gelu 2 ulp or 4e-7 absolute.
// The others: 2e-6 relative or 1e-6 absolute.
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

/// Integers of a Real's size.
template <class Real>
struct BitsOf {
  typedef uint32_t type [[gnu::vector_size(sizeof(Real))]];
};
template <>
struct BitsOf<float> {
  using type = uint32_t;
};
template <class Real>
using Bits = typename BitsOf<Real>::type;

template <class Real>
[[gnu::always_inline]] inline Bits<Real> bits_of(Real x) {
  return __builtin_bit_cast(Bits<Real>, x);
}

template <class Real>
[[gnu::always_inline]] inline Real between(Real x, float least, float greatest) {
  x = x < least ? least : x;
  return x > greatest ? greatest : x;
}

template <class Real>
[[gnu::always_inline]] inline Real magnitude(Real x) {
  return __builtin_bit_cast(Real, bits_of(x) & 0x7fffffffu);
}

template <class Real>
[[gnu::always_inline]] inline Real with_sign_of(Real positive, Real x) {
  return __builtin_bit_cast(Real, bits_of(positive) | (bits_of(x) & 0x80000000u));
}

/// `yes` where the condition holds, without a branch even where the compiler would like one.
[[gnu::always_inline]] inline float chosen(bool condition, float yes, float no) {
  const uint32_t mask = 0u - static_cast<uint32_t>(condition);
  return std::bit_cast<float>((std::bit_cast<uint32_t>(yes) & mask) |
                              (std::bit_cast<uint32_t>(no) & ~mask));
}

/// Horner's scheme, coefficients from the highest power on.
template <class Real, class... Lower>
[[gnu::always_inline]] inline Real polynomial(Real x, float highest, float next, Lower... lower) {
  Real p = highest * x + next;
  ((p = p * x + lower), ...);
  return p;
}

/// 2 to the power of n in -126..127.
[[gnu::always_inline]] inline float power_of_two(int32_t n) {
  return std::bit_cast<float>(static_cast<uint32_t>(n + 127) << 23);
}

/// exp(x) = number * 2^exponent, |x| up to 2^21; kRoundingTerm's bits are part of `exponent`, as
/// the sum that rounded it has them.
template <class Real>
struct ScaledNumber {
  Real number;
  Bits<Real> exponent;
};

template <class Real>
[[gnu::always_inline]] inline ScaledNumber<Real> scaled_exponential(Real x) {
  const Real sum = x * 1.44269504088896341f + kRoundingTerm;
  const Real n = sum - kRoundingTerm;
  const Real f = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  const Real p = polynomial(f, 1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                            4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f);
  return {p * (f * f) + f + 1.0f, bits_of(sum)};
}

/// Numbers below 2^-126 become 0 and those from 2^127.5 on infinite.
template <class Real>
[[gnu::always_inline]] inline Real exponential(Real x) {
  const ScaledNumber<Real> y = scaled_exponential(between(x, -88.0f, 88.8f));
  // The rounding term's bits leave at the upper end; exponents of -127 and 128 make 0 and infinity.
  return y.number * __builtin_bit_cast(Real, (y.exponent << 23) + 0x3f800000u);
}

/// The same over the whole range of floats.
[[gnu::always_inline]] inline float whole_exponential(float x) {
  const ScaledNumber<float> y = scaled_exponential(between(x, -104.0f, 89.0f));
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
  const float p = polynomial(f, 7.0376836292e-2f, -1.1514610310e-1f, 1.1676998740e-1f,
                             -1.2420140846e-1f, 1.4249322787e-1f, -1.6668057665e-1f,
                             2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f);
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

template <class Real>
[[gnu::always_inline]] inline Real logistic(Real x) {
  return 1.0f / (1.0f + exponential(-x));
}

template <class Real>
[[gnu::always_inline]] inline Real silu(Real x) {
  return x * logistic(x);
}

template <class Real>
[[gnu::always_inline]] inline Real hard_swish(Real x) {
  return x * between(x * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f);
}

template <class Real>
[[gnu::always_inline]] inline Real hyperbolic_tangent(Real x) {
  const Real z = x * x;
  const Real p = polynomial(z, -5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f,
                            1.33314422036e-1f, -3.33332819422e-1f);
  const Real near = p * z * x + x;
  const Real a = magnitude(x);
  const Real far = with_sign_of(1.0f - 2.0f / (exponential(a + a) + 1.0f), x);
  return a < 0.625f ? near : far;
}

/// 1 - erf(x) for x >= 0.
template <class Real>
[[gnu::always_inline]] inline Real error_complement(Real x) {
  const Real t = 1.0f / (1.0f + 0.3275911f * x);
  const Real p =
      polynomial(t, 1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f);
  return p * t * exponential(-x * x);
}

[[gnu::always_inline]] inline float error_function(float x) {
  // Near 0 Taylor's series.
  const float p = polynomial(x * x, 5.2239776254e-3f, -2.6866170645e-2f, 1.1283791671e-1f,
                             -3.7612638903e-1f, 1.1283791671f);
  const float a = magnitude(x);
  return a < 0.3f ? p * x : with_sign_of(1.0f - error_complement(a), x);
}

/// x / 2 * (1 + erf(x / sqrt 2)), without the difference of numbers that are nearly equal.
template <class Real>
[[gnu::always_inline]] inline Real gelu(Real x) {
  const Real a = between(magnitude(x), 0.0f, 20.0f);
  const Real beside = 0.5f * a * error_complement(a * 0.70710678118654752f);
  return (x < 0.0f ? 0.0f : x) - beside;
}

[[gnu::always_inline]] inline float gelu_by_tanh(float x) {
  // x * sigmoid(2 u) = x / 2 * (1 + tanh(u))
  return x * logistic(1.59576912160573f * (x + 0.044715f * x * x * x));
}

/// exp(x) - 1.
[[gnu::always_inline]] inline float exponential_less_one(float x) {
  // Near 0 the difference has no digits; Taylor's series has.
  const float near = x * polynomial(x, 0.041666667f, 0.16666667f, 0.5f, 1.0f);
  return magnitude(x) < 0.05f ? near : exponential(x) - 1.0f;
}

[[gnu::always_inline]] inline float elu(float x, float alpha) {
  return x < 0.0f ? alpha * exponential_less_one(x) : x;
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
