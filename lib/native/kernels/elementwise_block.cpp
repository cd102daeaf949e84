#include "kernels/elementwise_block.h"

#include <cmath>

// Nobody asks for floating-point exceptions or errno. Without this the compiler would not compute
// both sides of a choice, and would call sqrtf, and so would not vectorize. Values stay the same.
#pragma GCC optimize("no-trapping-math", "no-math-errno")

#include "ir/x86_clones.h"
#include "kernels/vector_math.h"

namespace lathe {
namespace {

[[gnu::always_inline]] inline float integral(float x, float result) {
  // Numbers of 2^22 and more, and NaN, are as they are.
  return magnitude(x) < 4194304.0f ? with_sign_of(magnitude(result), x) : x;
}

[[gnu::always_inline]] inline float floor_of(float x) {
  const float r = rounded(x);
  return integral(x, r - (r > x ? 1.0f : 0.0f));
}

[[gnu::always_inline]] inline float ceil_of(float x) {
  const float r = rounded(x);
  return integral(x, r + (r < x ? 1.0f : 0.0f));
}

[[gnu::always_inline]] inline float sign_of(float x) {
  const float sign = (x > 0.0f ? 1.0f : 0.0f) - (x < 0.0f ? 1.0f : 0.0f);
  return x != x ? x : sign;
}

[[gnu::always_inline]] inline float smaller(float a, float b) {
  const float least = a < b ? a : b;
  return a != a ? a : least;
}

[[gnu::always_inline]] inline float greater(float a, float b) {
  const float greatest = a > b ? a : b;
  return a != a ? a : greatest;
}

[[gnu::always_inline]] inline float below_zero(float x, float negative) {
  return x < 0.0f ? negative : x;
}

void powers(const float* a, const float* b, float* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = b[i] == 2.0f ? a[i] * a[i] : std::pow(a[i], b[i]);
}

void sines(const float* a, float* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = std::sin(a[i]);
}

void cosines(const float* a, float* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = std::cos(a[i]);
}

}  // namespace

LATHE_X86_CLONES void run_elementwise_block(const ElementwiseOp& op, const float* a, const float* b,
                                            const float* c, float* to, int64_t n) {
  const float p = op.p;
  const float q = op.q;
  switch (op.kind) {
    using enum ElementwiseKind;
    case kConstant: return each(n, to, [=](int64_t) { return p; });
    case kAdd: return each(n, to, [=](int64_t i) { return a[i] + b[i]; });
    case kSub: return each(n, to, [=](int64_t i) { return a[i] - b[i]; });
    case kMul: return each(n, to, [=](int64_t i) { return a[i] * b[i]; });
    case kDiv: return each(n, to, [=](int64_t i) { return a[i] / b[i]; });
    case kMin: return each(n, to, [=](int64_t i) { return smaller(a[i], b[i]); });
    case kMax: return each(n, to, [=](int64_t i) { return greater(a[i], b[i]); });
    case kPow: return powers(a, b, to, n);
    case kPRelu: return each(n, to, [=](int64_t i) { return below_zero(a[i], a[i] * b[i]); });
    case kLess: return each(n, to, [=](int64_t i) { return a[i] < b[i] ? 1.0f : 0.0f; });
    case kGreater: return each(n, to, [=](int64_t i) { return a[i] > b[i] ? 1.0f : 0.0f; });
    case kEqual: return each(n, to, [=](int64_t i) { return a[i] == b[i] ? 1.0f : 0.0f; });
    case kWhere: return each(n, to, [=](int64_t i) { return a[i] != 0.0f ? b[i] : c[i]; });
    case kNeg: return each(n, to, [=](int64_t i) { return -a[i]; });
    case kAbs: return each(n, to, [=](int64_t i) { return magnitude(a[i]); });
    case kSqrt: return each(n, to, [=](int64_t i) { return __builtin_sqrtf(a[i]); });
    case kExp: return each(n, to, [=](int64_t i) { return whole_exponential(a[i]); });
    case kLog: return each(n, to, [=](int64_t i) { return logarithm(a[i]); });
    case kReciprocal: return each(n, to, [=](int64_t i) { return 1.0f / a[i]; });
    case kFloor: return each(n, to, [=](int64_t i) { return floor_of(a[i]); });
    case kCeil: return each(n, to, [=](int64_t i) { return ceil_of(a[i]); });
    case kRound: return each(n, to, [=](int64_t i) { return integral(a[i], rounded(a[i])); });
    case kSign: return each(n, to, [=](int64_t i) { return sign_of(a[i]); });
    case kRelu: return each(n, to, [=](int64_t i) { return below_zero(a[i], 0.0f); });
    case kClip: return each(n, to, [=](int64_t i) { return between(a[i], p, q); });
    case kLeakyRelu: return each(n, to, [=](int64_t i) { return below_zero(a[i], p * a[i]); });
    case kElu: return each(n, to, [=](int64_t i) { return elu(a[i], p); });
    case kCelu:
      return each(n, to,
                  [=](int64_t i) { return below_zero(a[i], p * exponential_less_one(a[i] / p)); });
    case kSelu: return each(n, to, [=](int64_t i) { return q * elu(a[i], p); });
    case kHardSigmoid:
      return each(n, to, [=](int64_t i) { return between(p * a[i] + q, 0.0f, 1.0f); });
    case kHardSwish: return each(n, to, [=](int64_t i) { return hard_swish(a[i]); });
    case kSigmoid: return each(n, to, [=](int64_t i) { return logistic(a[i]); });
    case kSilu: return each(n, to, [=](int64_t i) { return silu(a[i]); });
    case kTanh: return each(n, to, [=](int64_t i) { return hyperbolic_tangent(a[i]); });
    case kGelu: return each(n, to, [=](int64_t i) { return gelu(a[i]); });
    case kGeluTanh: return each(n, to, [=](int64_t i) { return gelu_by_tanh(a[i]); });
    case kErf: return each(n, to, [=](int64_t i) { return error_function(a[i]); });
    case kSoftplus: return each(n, to, [=](int64_t i) { return softplus(a[i]); });
    case kMish: return each(n, to, [=](int64_t i) { return mish(a[i]); });
    case kSoftsign: return each(n, to, [=](int64_t i) { return a[i] / (1.0f + magnitude(a[i])); });
    case kSin: return sines(a, to, n);
    case kCos: return cosines(a, to, n);
    case kThresholdedRelu: return each(n, to, [=](int64_t i) { return a[i] <= p ? 0.0f : a[i]; });
  }
}

}  // namespace lathe
