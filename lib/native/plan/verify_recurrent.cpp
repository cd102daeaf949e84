// Recurrent networks and dynamically quantized products.

#include "plan/verify_step_kinds.h"

namespace lathe {
namespace {

/// Of inputs and units: products of two such sizes with the gates stay far from overflow.
constexpr int64_t kMostUnits = int64_t{1} << 20;
/// Steps, and sequences: an input may be broadcast, and has no bound by its memory then.
constexpr int64_t kMostSteps = int64_t{1} << 24;

/// Sizes of a recurrent step.
struct Sizes {
  int64_t time, batch, inputs, directions, hidden, gates;
};

void has_shape(const PlanCheck& check, const PlanView& view, const Shape& shape) {
  check.require(view.shape == shape, "an array of a recurrent network has another shape");
}

/// Vectors without gaps.
void vectors(const PlanCheck& check, const PlanView& view) {
  check.require(view.shape.back() == 1 || view.strides.back() == 1,
                "vectors of a recurrent network have gaps");
}

void verify_weights(const PlanCheck& check, ViewId id, const Shape& shape, DType dtype) {
  check.constant_row(id, dtype, element_count(shape));
  has_shape(check, check.view(id), shape);
}

Sizes sizes_of(const PlanCheck& check, const RecurrentStep& s) {
  const PlanView& input = check.view(s.input, DType::kFloat32);
  const PlanView& feedback = check.view(s.feedback);
  check.require(input.shape.size() == 3 && feedback.shape.size() == 3,
                "a recurrent network's input or weights have another rank");
  const Sizes sizes{input.shape[0],    input.shape[1],    input.shape[2],
                    feedback.shape[0], feedback.shape[2], gates_of(s.cell)};
  check.require(sizes.directions == 1 || sizes.directions == 2, "neither one direction nor two");
  check.require(sizes.inputs <= kMostUnits && sizes.hidden >= 1 && sizes.hidden <= kMostUnits,
                "too many units of a recurrent network");
  check.require(sizes.time <= kMostSteps && sizes.batch <= kMostSteps &&
                    element_count(input.shape) <= int64_t{1} << 36,
                "too long an input of a recurrent network");
  return sizes;
}

void verify_state(const PlanCheck& check, ViewId id, const Sizes& sizes, bool written) {
  if (!id.valid()) return;
  const PlanView& state = check.view(id, DType::kFloat32);
  has_shape(check, state, {sizes.directions, sizes.batch, sizes.hidden});
  vectors(check, state);
  if (written) check.written_once(state);
}

void verify_functions(const PlanCheck& check, const RecurrentStep& s, const Sizes& sizes) {
  check.require(static_cast<int64_t>(s.functions.size()) == functions_of(s.cell) * sizes.directions,
                "another number of functions than the cells have");
  for (const GateActivation& activation : s.functions)
    check.require(activation.function <= GateFunction::kSoftplus, "an unknown activation");
  check.require(s.clip >= 0, "a bound of gates that is negative or no number");
}

void one_element(const PlanCheck& check, ViewId id, DType dtype) {
  check.require(element_count(check.view(id, dtype).shape) == 1, "a parameter of more than one");
}

/// What an integer sum's columns have one of, in any memory.
void column_row(const PlanCheck& check, const PlanView& view, int64_t columns) {
  check.require(element_count(view.shape) == columns, "scales for another number of columns");
  check.dense(view);
}

}  // namespace

void verify(const PlanCheck& check, const RecurrentStep& s) {
  check.require(s.cell <= RecurrentCell::kLstm, "an unknown kind of cell");
  const Sizes sizes = sizes_of(check, s);
  const int64_t rows = sizes.gates * sizes.hidden;
  verify_functions(check, s, sizes);
  const PlanView& input = check.view(s.input);
  vectors(check, input);
  const bool integers = s.weights_scale.valid();
  check.require(
      integers == s.feedback_scale.valid() && (!integers || s.cell == RecurrentCell::kLstm),
      "scales of weights that have none");
  const DType dtype = integers ? DType::kInt8 : DType::kFloat32;
  verify_weights(check, s.weights, {sizes.directions, rows, sizes.inputs}, dtype);
  verify_weights(check, s.feedback, {sizes.directions, rows, sizes.hidden}, dtype);
  if (integers) {
    check.require(sizes.inputs <= kMostProductTerms && sizes.hidden <= kMostProductTerms,
                  "sums of too many products");
    for (const ViewId id : {s.weights_scale, s.feedback_scale})
      verify_weights(check, id, {sizes.directions, rows}, DType::kFloat32);
  }
  if (s.bias.valid()) verify_weights(check, s.bias, {sizes.directions, 2 * rows}, DType::kFloat32);
  const bool lstm = s.cell == RecurrentCell::kLstm;
  check.require(lstm || (!s.peepholes.valid() && !s.initial_cell.valid() && !s.last_cell.valid()),
                "a cell that only an LSTM has");
  if (s.peepholes.valid())
    verify_weights(check, s.peepholes, {sizes.directions, 3 * sizes.hidden}, DType::kFloat32);
  if (s.lengths.valid()) {
    const PlanView& lengths = check.view(s.lengths, DType::kInt32);
    has_shape(check, lengths, {sizes.batch});
    check.dense(lengths);
  }
  verify_state(check, s.initial_hidden, sizes, false);
  verify_state(check, s.initial_cell, sizes, false);
  check.require(s.output.valid() || s.last_hidden.valid() || s.last_cell.valid(),
                "a step that writes nothing");
  if (s.output.valid()) {
    const PlanView& output = check.view(s.output, DType::kFloat32);
    has_shape(check, output, {sizes.time, sizes.directions, sizes.batch, sizes.hidden});
    vectors(check, output);
    check.written_once(output);
  }
  verify_state(check, s.last_hidden, sizes, true);
  verify_state(check, s.last_cell, sizes, true);
}

void verify(const PlanCheck& check, const DynamicQuantizeStep& s) {
  const PlanView& input = check.view(s.input, DType::kFloat32);
  const PlanView& output = check.view(s.output, DType::kUInt8);
  check.same_shape(input, output);
  check.dense(input);
  check.dense(output);
  one_element(check, s.scale, DType::kFloat32);
  one_element(check, s.zero_point, DType::kUInt8);
}

void verify(const PlanCheck& check, const IntegerMatMulStep& s) {
  const PlanView& input = check.view(s.input, DType::kUInt8);
  const PlanView& output = check.view(s.output);
  const PlanView& weights = check.view(s.weights, DType::kInt8);
  check.require(!input.shape.empty() && weights.shape.size() == 2,
                "rows or weights of a matrix product have another rank");
  const int64_t columns = weights.shape[0];
  const int64_t depth = weights.shape[1];
  check.constant_row(s.weights, DType::kInt8, element_count(weights.shape));
  check.require(depth <= kMostProductTerms, "sums of too many products");
  check.require(input.shape.back() == depth, "weights for another number of inputs");
  const int64_t rows = element_count(input.shape) / depth;
  int64_t elements = 0;
  check.require(
      !__builtin_mul_overflow(rows, columns, &elements) && element_count(output.shape) == elements,
      "an output of another size than the rows give");
  check.dense(input);
  check.dense(output);
  if (s.zero_point.valid()) one_element(check, s.zero_point, DType::kUInt8);
  if (s.shifts.valid()) check.constant_row(s.shifts, DType::kInt32, columns);
  if (output.dtype == DType::kInt32) {
    check.require(!s.scale.valid() && !s.factor.valid() && !s.bias.valid(),
                  "a scale of sums that stay integers");
    return;
  }
  check.require(output.dtype == DType::kFloat32, "a product of another type");
  const PlanView& scale = check.view(s.scale, DType::kFloat32);
  if (element_count(scale.shape) != 1) column_row(check, scale, columns);
  if (s.factor.valid()) check.constant_row(s.factor, DType::kFloat32, columns);
  if (s.bias.valid()) column_row(check, check.view(s.bias, DType::kFloat32), columns);
}

}  // namespace lathe
