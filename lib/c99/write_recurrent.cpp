// LSTM, GRU and RNN: kernels/recurrent.c.
#include <fmt/format.h>

#include <algorithm>

#include "c99/c_text.h"
#include "c99/code_context.h"
#include "ir/error.h"

namespace lathe {
namespace {

void require_plain(const CodeContext& code, const PlanStep& whole, const RecurrentStep& step) {
  using enum GateFunction;
  if (step.peepholes.valid()) refuse_step(whole, "peepholes");
  if (step.lengths.valid()) refuse_step(whole, "sequences of several lengths");
  if (step.clip != 0 || step.input_forget) refuse_step(whole, "clipped or coupled gates");
  const bool is_rnn = step.cell == RecurrentCell::kRnn;
  const size_t each = step.functions.size() / (code.view(step.weights).shape[0]);
  for (size_t i = 0; i < step.functions.size(); ++i)
    if (step.functions[i].function != (is_rnn || i % each > 0 ? kTanh : kSigmoid))
      refuse_step(whole, "other activations than sigmoid and tanh");
}

// An array of the step at one direction; "NULL" where there is none.
std::string part(CodeContext& code, ViewId id, size_t axis, int64_t direction, bool is_written) {
  if (!id.valid()) return "NULL";
  const PlanView& view = code.view(id);
  const int64_t offset = direction * view.strides[axis];
  const std::string address = code.address(id, is_written);
  return offset == 0 ? address : fmt::format("{} + {}", address, offset);
}

void require_dense_states(const CodeContext& code, const PlanStep& whole, ViewId id,
                          int64_t hidden) {
  if (!id.valid()) return;
  const PlanView& view = code.view(id);
  if (view.strides[2] != 1 || (view.shape[1] > 1 && view.strides[1] != hidden))
    refuse_step(whole, "states that do not lie side by side");
}

}  // namespace

namespace {

// Sums of so many products of weights and 16-bit numbers stay within 32 bits.
float most_number(int64_t columns) {
  return static_cast<float>(
      std::min<int64_t>(32767, INT32_MAX / (128 * std::max<int64_t>(1, columns))));
}

int64_t fours(int64_t columns) { return (columns + 3) / 4 * 4; }

// One direction of weights: a `matrix` of kernels/recurrent.c.
std::string matrix_text(CodeContext& code, ViewId weights, ViewId scales, const char* name,
                        size_t index, int64_t direction) {
  const Shape& shape = code.view(weights).shape;
  const int64_t rows = shape[1];
  const int64_t columns = shape[2];
  if (!scales.valid())
    return fmt::format("{{{}, NULL, NULL, {}, 0, 0.0f}}",
                       part(code, weights, 0, direction, false), columns);
  code.use(KernelText::kRecurrentBytes);
  const int64_t length = fours(columns);
  const std::vector<int8_t> all = code.values<int8_t>(weights);
  const int8_t* own = all.data() + direction * rows * columns;
  std::vector<int8_t> pairs(static_cast<size_t>((rows + 1) / 2 * 2 * length));
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t k = 0; k < columns; ++k)
      pairs[static_cast<size_t>(row / 2 * 2 * length + k / 4 * 8 + row % 2 * 4 + k % 4)] =
          own[row * columns + k];
  const std::vector<float> every = code.values<float>(scales);
  const std::vector<float> factors(every.begin() + direction * rows,
                                   every.begin() + (direction + 1) * rows);
  const std::string label = fmt::format("{}{}", name, direction);
  return fmt::format("{{NULL, {}, {}, {}, {}, {}}}", code.add_array(label, index, pairs),
                     code.add_array(label + "_scale", index, factors), columns, length,
                     c_float(most_number(columns)));
}

}  // namespace

StepNeeds needs_of_recurrent(const NativePlan& plan, const RecurrentStep& step) {
  const int64_t hidden = view_of(plan, step.feedback).shape[2];
  StepNeeds needs;
  needs.scratch_bytes = 4 * hidden * (3 + 2 * gates_of(step.cell));
  if (step.weights_scale.valid() || step.feedback_scale.valid())
    needs.scratch_bytes += 2 * fours(std::max(hidden, view_of(plan, step.weights).shape[2]));
  return needs;
}

std::string write_recurrent(CodeContext& code, const PlanStep& whole, size_t index) {
  const auto& step = std::get<RecurrentStep>(whole.kind);
  require_plain(code, whole, step);
  code.use(KernelText::kMath);
  code.use(KernelText::kRecurrent);
  const PlanView& input = code.view(step.input);
  const Shape& feedback = code.view(step.feedback).shape;
  const int64_t directions = feedback[0];
  const int64_t hidden = feedback[2];
  for (const ViewId state :
       {step.initial_hidden, step.initial_cell, step.last_hidden, step.last_cell})
    require_dense_states(code, whole, state, hidden);
  if (input.strides[2] != 1) refuse_step(whole, "inputs that do not lie side by side");
  std::string text;
  for (int64_t d = 0; d < directions; ++d) {
    const bool is_reverse = d == 1 || step.reverse;
    const PlanView* output = step.output.valid() ? &code.view(step.output) : nullptr;
    if (output != nullptr && output->strides[3] != 1)
      refuse_step(whole, "results that do not lie side by side");
    code.constants += fmt::format(
        "static const recurrent recurrent_{}_{} = {{\n    .weights = {}, .feedback = {},\n"
        "    .bias = {}, .gates = {}, .inputs = {}, .hidden = {}, .time = {}, .batch = {},\n"
        "    .in_time = {}, .in_batch = {}, .out_time = {}, .out_batch = {}, .is_reverse = {},\n"
        "    .is_linear_before_reset = {}}};\n",
        index, d, matrix_text(code, step.weights, step.weights_scale, "weights", index, d),
        matrix_text(code, step.feedback, step.feedback_scale, "feedback", index, d),
        part(code, step.bias, 0, d, false), gates_of(step.cell), input.shape[2], hidden,
        input.shape[0], input.shape[1], input.strides[0], input.strides[1],
        output != nullptr ? output->strides[0] : 0, output != nullptr ? output->strides[2] : 0,
        is_reverse ? 1 : 0, step.linear_before_reset ? 1 : 0);
    text += fmt::format(
        "  run_recurrent(&recurrent_{}_{}, {}, {}, {},\n                {}, {}, {}, {});\n", index, d,
        code.address(step.input, false), part(code, step.initial_hidden, 0, d, false),
        part(code, step.initial_cell, 0, d, false), part(code, step.output, 1, d, true),
        part(code, step.last_hidden, 0, d, true), part(code, step.last_cell, 0, d, true),
        code.scratch(index, "float"));
  }
  return text;
}

}  // namespace lathe
