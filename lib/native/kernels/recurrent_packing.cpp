#include <algorithm>

#include "kernels/recurrent.h"

namespace lathe {
namespace {

constexpr int64_t kGateLanes = 16;
/// Products of so many rows read their weights rarely enough.
constexpr int64_t kRowsAtOnce = 48;

/// Rows of `gates` gates from number `first` on, each gate padded to `padded` rows.
template <class T>
std::vector<T> padded_rows(const T* rows, int64_t first, int64_t gates, int64_t hidden,
                           int64_t padded, int64_t depth) {
  std::vector<T> all(static_cast<size_t>(gates * padded * depth), T{0});
  for (int64_t g = 0; g < gates; ++g)
    std::copy_n(rows + (first + g) * hidden * depth, hidden * depth,
                all.data() + g * padded * depth);
  return all;
}

size_t lines(int64_t floats) { return static_cast<size_t>(floats / kGateLanes); }

}  // namespace

PackedRecurrence pack_recurrence(KernelIsa isa, const CellRules& rules, int64_t inputs,
                                 int64_t hidden, const RecurrentWeights& weights) {
  const int64_t gates = gates_of(rules.cell);
  const int64_t padded = (hidden + kGateLanes - 1) / kGateLanes * kGateLanes;
  PackedRecurrence packed;
  packed.rules = rules;
  packed.inputs = inputs;
  packed.hidden = hidden;
  packed.padded = padded;
  packed.is_integer = weights.integer_weights != nullptr;
  const auto spread = [&](const auto* rows, int64_t first, int64_t count, int64_t depth) {
    return padded_rows(rows, first, count, hidden, padded, depth);
  };
  if (packed.is_integer) {
    packed.input_bytes = pack_bytes(isa, spread(weights.integer_weights, 0, gates, inputs).data(),
                                    gates * padded, inputs);
    packed.feedback_bytes = pack_bytes(
        isa, spread(weights.integer_feedback, 0, gates, hidden).data(), gates * padded, hidden);
    packed.input_scale = spread(weights.weights_scale, 0, gates, 1);
    packed.feedback_scale = spread(weights.feedback_scale, 0, gates, 1);
  } else {
    packed.input =
        pack_matrix(isa, spread(weights.weights, 0, gates, inputs).data(), gates * padded, inputs);
    const bool apart = rules.cell == RecurrentCell::kGru && !rules.linear_before_reset;
    const int64_t first_gates = apart ? 2 : gates;
    packed.feedback = pack_matrix(isa, spread(weights.feedback, 0, first_gates, hidden).data(),
                                  first_gates * padded, hidden);
    if (apart)
      packed.candidate =
          pack_matrix(isa, spread(weights.feedback, 2, 1, hidden).data(), padded, hidden);
  }
  packed.bias.assign(static_cast<size_t>(gates * padded), 0.0f);
  const bool linear = rules.cell == RecurrentCell::kGru && rules.linear_before_reset;
  if (linear) packed.feedback_bias = packed.bias;
  if (weights.bias != nullptr) {
    packed.bias = spread(weights.bias, 0, gates, 1);
    const std::vector<float> back = spread(weights.bias, gates, gates, 1);
    // The candidate's is scaled by the reset gate.
    const int64_t common = linear ? 2 * padded : gates * padded;
    for (int64_t i = 0; i < common; ++i)
      packed.bias[static_cast<size_t>(i)] += back[static_cast<size_t>(i)];
    if (linear) std::copy(back.begin() + common, back.end(), packed.feedback_bias.begin() + common);
  }
  if (weights.peepholes != nullptr) packed.peepholes = spread(weights.peepholes, 0, 3, 1);
  return packed;
}

RecurrentScratch recurrent_scratch(const PackedRecurrence& weights, int64_t time, int64_t batch) {
  const int64_t state = batch * weights.padded;
  const int64_t width = gates_of(weights.rules.cell) * weights.padded;
  RecurrentScratch scratch;
  scratch.steps =
      std::clamp<int64_t>(kRowsAtOnce / std::max<int64_t>(batch, 1), 1, std::max<int64_t>(time, 1));
  scratch.gates.resize(lines(scratch.steps * batch * width));
  scratch.hidden.resize(lines(state));
  if (weights.rules.cell == RecurrentCell::kLstm) scratch.cell.resize(lines(state));
  if (weights.rules.cell == RecurrentCell::kGru)
    scratch.reset.resize(lines(weights.rules.linear_before_reset ? batch * width : state));
  scratch.rows.resize(static_cast<size_t>(scratch.steps * batch));
  if (weights.is_integer) {
    scratch.byte_rows.resize(scratch.rows.size());
    scratch.bytes.resize(static_cast<size_t>(batch * weights.hidden));
  }
  return scratch;
}

}  // namespace lathe
