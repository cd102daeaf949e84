// The cells of LSTM, GRU and RNN: what becomes of the gates' sums. Formulas:
// https://onnx.ai/onnx/operators/onnx__LSTM.html and its neighbours.
#pragma once

#include <array>
#include <cstdint>

namespace lathe {

enum class RecurrentCell : uint8_t { kRnn, kGru, kLstm };

/// In ONNX's order: i, o, f, c of an LSTM; z, r, h of a GRU.
constexpr int64_t gates_of(RecurrentCell cell) {
  return cell == RecurrentCell::kLstm ? 4 : cell == RecurrentCell::kGru ? 3 : 1;
}
/// Functions that a cell has: f, g, h of an LSTM; f, g of a GRU; f of an RNN.
constexpr int64_t functions_of(RecurrentCell cell) {
  return cell == RecurrentCell::kLstm ? 3 : cell == RecurrentCell::kGru ? 2 : 1;
}

enum class GateFunction : uint8_t {
  kSigmoid,
  kTanh,
  kRelu,
  kAffine,           // alpha * x + beta
  kLeakyRelu,        // x < 0 ? alpha * x : x
  kThresholdedRelu,  // x > alpha ? x : 0
  kScaledTanh,       // alpha * tanh(beta * x)
  kHardSigmoid,      // clip(alpha * x + beta, 0, 1)
  kElu,              // x < 0 ? alpha * (exp(x) - 1) : x
  kSoftsign,         // x / (1 + |x|)
  kSoftplus,         // log(1 + exp(x))
};

struct GateActivation {
  GateFunction function = GateFunction::kSigmoid;
  float alpha = 0;
  float beta = 0;
};

/// `functions` that the cell does not have mean nothing.
struct CellRules {
  RecurrentCell cell = RecurrentCell::kLstm;
  std::array<GateActivation, 3> functions{};
  float clip = 0;                    // of every gate's sum; 0: none
  bool input_forget = false;         // LSTM: the forget gate is 1 - the input gate
  bool linear_before_reset = false;  // GRU
};

/// Gates lie behind each other, `size` (a multiple of 16) floats each; `state` arrays have as many.
/// What a function leaves in the gates' memory means nothing.
///
/// LSTM: `peepholes` (i, o, f) may be null.
void lstm_cell(const CellRules& rules, int64_t size, float* gates, const float* peepholes,
               float* cell, float* hidden);
/// GRU, first half: z and r are functions of the first two gates; reset = r * hidden.
void gru_gates(const CellRules& rules, int64_t size, float* gates, const float* hidden,
               float* reset);
/// Second half: the third gate is complete (the products of `reset` are in it).
void gru_state(const CellRules& rules, int64_t size, float* gates, float* hidden);
/// GRU with linear_before_reset: `back` has the three gates' products of the state (and their
/// bias), `gates` those of the input.
void gru_linear_cell(const CellRules& rules, int64_t size, float* gates, const float* back,
                     float* hidden);
void rnn_cell(const CellRules& rules, int64_t size, float* gates, float* hidden);

}  // namespace lathe
