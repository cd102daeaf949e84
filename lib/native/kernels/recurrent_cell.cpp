#include "kernels/recurrent_cell.h"

// Nobody asks for floating-point exceptions. Without this the compiler would not compute both sides
// of a choice, and so would not vectorize. Values stay the same.
#pragma GCC optimize("no-trapping-math")

#include "ir/x86_clones.h"
#include "kernels/vector_math.h"

namespace lathe {
namespace {

[[gnu::always_inline]] inline void activate_inline(GateActivation activation, int64_t n, float* x) {
  const float alpha = activation.alpha;
  const float beta = activation.beta;
  switch (activation.function) {
    case GateFunction::kSigmoid: return each(n, x, [&](int64_t i) { return logistic(x[i]); });
    case GateFunction::kTanh:
      return each(n, x, [&](int64_t i) { return hyperbolic_tangent(x[i]); });
    case GateFunction::kRelu:
      return each(n, x, [&](int64_t i) { return x[i] > 0.0f ? x[i] : 0.0f; });
    case GateFunction::kAffine: return each(n, x, [&](int64_t i) { return x[i] * alpha + beta; });
    case GateFunction::kLeakyRelu:
      return each(n, x, [&](int64_t i) { return x[i] < 0.0f ? x[i] * alpha : x[i]; });
    case GateFunction::kThresholdedRelu:
      return each(n, x, [&](int64_t i) { return x[i] > alpha ? x[i] : 0.0f; });
    case GateFunction::kScaledTanh:
      return each(n, x, [&](int64_t i) { return hyperbolic_tangent(x[i] * beta) * alpha; });
    case GateFunction::kHardSigmoid:
      return each(n, x, [&](int64_t i) { return between(x[i] * alpha + beta, 0.0f, 1.0f); });
    case GateFunction::kElu: return each(n, x, [&](int64_t i) { return elu(x[i], alpha); });
    case GateFunction::kSoftsign:
      return each(n, x, [&](int64_t i) { return x[i] / (magnitude(x[i]) + 1.0f); });
    case GateFunction::kSoftplus: return each(n, x, [&](int64_t i) { return softplus(x[i]); });
  }
}

LATHE_X86_CLONES void activate(GateActivation activation, int64_t n, float* x) {
  activate_inline(activation, n, x);
}

LATHE_X86_CLONES void clip_to(float bound, int64_t n, float* x) {
  each(n, x, [&](int64_t i) { return between(x[i], -bound, bound); });
}

void clip_gates(const CellRules& rules, int64_t n, float* x) {
  if (rules.clip > 0) clip_to(rules.clip, n, x);
}

LATHE_X86_CLONES void add_products(const float* a, const float* b, int64_t n, float* to) {
  each(n, to, [&](int64_t i) { return to[i] + a[i] * b[i]; });
}

bool is_usual(const CellRules& rules) {
  return rules.functions[0].function == GateFunction::kSigmoid &&
         rules.functions[1].function == GateFunction::kTanh &&
         rules.functions[2].function == GateFunction::kTanh && rules.clip == 0 &&
         !rules.input_forget;
}

// The compiler may not take the arrays for parts of each other.
LATHE_X86_CLONES void usual_lstm(int64_t n, const float* __restrict gates, float* __restrict cell,
                                 float* __restrict hidden) {
  for (int64_t i = 0; i < n; ++i) {
    const float input = logistic(gates[i]);
    const float forget = logistic(gates[2 * n + i]);
    const float state = forget * cell[i] + input * hyperbolic_tangent(gates[3 * n + i]);
    cell[i] = state;
    hidden[i] = logistic(gates[n + i]) * hyperbolic_tangent(state);
  }
}

LATHE_X86_CLONES void forget_and_add(int64_t n, const float* input, const float* forget,
                                     const float* news, float* cell) {
  each(n, cell, [&](int64_t i) { return forget[i] * cell[i] + input[i] * news[i]; });
}

LATHE_X86_CLONES void complement(int64_t n, const float* x, float* to) {
  each(n, to, [&](int64_t i) { return 1.0f - x[i]; });
}

LATHE_X86_CLONES void multiply(int64_t n, const float* a, const float* b, float* to) {
  each(n, to, [&](int64_t i) { return a[i] * b[i]; });
}

LATHE_X86_CLONES void update_state(int64_t n, const float* update, const float* candidate,
                                   float* hidden) {
  each(n, hidden,
       [&](int64_t i) { return (1.0f - update[i]) * candidate[i] + update[i] * hidden[i]; });
}

LATHE_X86_CLONES void add(int64_t n, const float* a, float* to) {
  each(n, to, [&](int64_t i) { return to[i] + a[i]; });
}

LATHE_X86_CLONES void usual_linear_gru(int64_t n, const float* __restrict gates,
                                       const float* __restrict back, float* __restrict hidden) {
  for (int64_t i = 0; i < n; ++i) {
    const float update = logistic(gates[i] + back[i]);
    const float reset = logistic(gates[n + i] + back[n + i]);
    const float candidate = hyperbolic_tangent(gates[2 * n + i] + reset * back[2 * n + i]);
    hidden[i] = (1.0f - update) * candidate + update * hidden[i];
  }
}

}  // namespace

void lstm_cell(const CellRules& rules, int64_t size, float* gates, const float* peepholes,
               float* cell, float* hidden) {
  if (peepholes == nullptr && is_usual(rules)) return usual_lstm(size, gates, cell, hidden);
  float* input = gates;
  float* output = gates + size;
  float* forget = gates + 2 * size;
  float* news = gates + 3 * size;
  if (peepholes != nullptr) {
    add_products(peepholes, cell, size, input);
    add_products(peepholes + 2 * size, cell, size, forget);
  }
  clip_gates(rules, size, input);
  activate(rules.functions[0], size, input);
  if (rules.input_forget) {
    complement(size, input, forget);
  } else {
    clip_gates(rules, size, forget);
    activate(rules.functions[0], size, forget);
  }
  clip_gates(rules, size, news);
  activate(rules.functions[1], size, news);
  forget_and_add(size, input, forget, news, cell);
  if (peepholes != nullptr) add_products(peepholes + size, cell, size, output);
  clip_gates(rules, size, output);
  activate(rules.functions[0], size, output);
  for (int64_t i = 0; i < size; ++i) hidden[i] = cell[i];
  activate(rules.functions[2], size, hidden);
  multiply(size, output, hidden, hidden);
}

void gru_gates(const CellRules& rules, int64_t size, float* gates, const float* hidden,
               float* reset) {
  clip_gates(rules, 2 * size, gates);
  activate(rules.functions[0], 2 * size, gates);
  multiply(size, gates + size, hidden, reset);
}

void gru_state(const CellRules& rules, int64_t size, float* gates, float* hidden) {
  clip_gates(rules, size, gates + 2 * size);
  activate(rules.functions[1], size, gates + 2 * size);
  update_state(size, gates, gates + 2 * size, hidden);
}

void gru_linear_cell(const CellRules& rules, int64_t size, float* gates, const float* back,
                     float* hidden) {
  if (rules.functions[0].function == GateFunction::kSigmoid &&
      rules.functions[1].function == GateFunction::kTanh && rules.clip == 0)
    return usual_linear_gru(size, gates, back, hidden);
  add(2 * size, back, gates);
  clip_gates(rules, 2 * size, gates);
  activate(rules.functions[0], 2 * size, gates);
  add_products(gates + size, back + 2 * size, size, gates + 2 * size);
  gru_state(rules, size, gates, hidden);
}

void rnn_cell(const CellRules& rules, int64_t size, float* gates, float* hidden) {
  clip_gates(rules, size, gates);
  activate(rules.functions[0], size, gates);
  for (int64_t i = 0; i < size; ++i) hidden[i] = gates[i];
}

}  // namespace lathe
