#include <fmt/format.h>

#include <algorithm>

#include "batch/batch_edits.h"
#include "batch/batch_trial.h"

namespace lathe {
namespace {

void repeat(BatchTrial& trial, NodeId id, size_t input, int64_t axis, ValueId source,
            const BatchPlace& from) {
  const auto& dims = trial.narrow.dims(trial.source.node(id).inputs[input]);
  if (!dims) trial.refuse(id, "has an input whose shape is not known");
  BatchEdit change = trial.edit_of(id, BatchEdit::Kind::kExpand, input,
                                   fmt::format("input {} is repeated for each item", input));
  change.axis = axis;
  change.rank = static_cast<int64_t>(dims->size());
  change.source = source;
  change.source_axis = from.axis;
  change.divisor = from.outer * from.inner;
  trial.edit(std::move(change));
}

// What all items share (a class token) stands once beside each of them.
void concat(BatchTrial& trial, NodeId id, const BatchPlaces& inputs) {
  const Node& node = trial.source.node(id);
  const auto first = std::find_if(inputs.begin(), inputs.end(),
                                  [](const auto& found) { return found.has_value(); });
  const BatchPlace from = **first;
  const ValueId source = node.inputs[static_cast<size_t>(first - inputs.begin())];
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto& dims = trial.narrow.dims(node.inputs[i]);
    if (inputs[i] || !dims || static_cast<size_t>(from.axis) >= dims->size()) continue;
    if ((*dims)[static_cast<size_t>(from.axis)].size == 1 && from.is_whole_axis())
      repeat(trial, id, i, from.axis, source, from);
  }
}

void recurrent(BatchTrial& trial, NodeId id, const BatchPlaces& inputs) {
  const Node& node = trial.source.node(id);
  const int64_t axis = node.attributes.int_or("layout", 0) != 0 ? 0 : 1;
  if (inputs[0]->axis != axis) return;
  for (const size_t input : {6, 5, 4}) {
    if (!node.input(input).valid() || trial.place(node.input(input))) continue;
    const Tensor* tensor = trial.narrow.graph.constant(node.input(input));
    const auto& dims = trial.narrow.dims(node.inputs[0]);
    const Dim steps = (*dims)[static_cast<size_t>(1 - axis)];
    const double usual = input == 4 ? static_cast<double>(steps.size) : 0.0;
    std::vector<double> values;
    if (tensor != nullptr) values = tensor->to_double();
    if (tensor != nullptr && (input != 4 || steps.known()) &&
        std::all_of(values.begin(), values.end(), [&](double v) { return v == usual; })) {
      trial.edit(trial.edit_of(
          id, BatchEdit::Kind::kDrop, input,
          input == 4 ? "lengths are those of the input" : "the state starts from zero"));
      continue;
    }
    const int64_t input_axis = input == 4 ? 0 : axis;
    const auto& state = trial.narrow.dims(node.inputs[input]);
    if (!state || static_cast<size_t>(input_axis) >= state->size() ||
        (*state)[static_cast<size_t>(input_axis)].size != 1 || !inputs[0]->is_whole_axis())
      trial.refuse(id, fmt::format("has a state or lengths for {} items", trial.plan.batch));
    repeat(trial, id, input, input_axis, node.inputs[0], *inputs[0]);
  }
}

// A constant that holds the same for every item of a larger batch needs to hold it once.
void narrow_constants(BatchTrial& trial, NodeId id, const BatchPlaces& inputs) {
  const Node& node = trial.source.node(id);
  if (trial.plan.batch == 1 || inputs.empty() || !inputs[0]) return;
  if (op_row(node.kind).channels != ChannelFlow::kElementwise && node.kind != OpKind::kGemm) return;
  const auto& dims = trial.narrow.dims(node.inputs[0]);
  if (!dims || !inputs[0]->is_whole_axis()) return;
  const int64_t from_end = static_cast<int64_t>(dims->size()) - inputs[0]->axis;
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    const Tensor* tensor = trial.narrow.graph.constant(node.inputs[i]);
    if (tensor == nullptr || tensor->rank() < from_end) continue;
    const int64_t axis = tensor->rank() - from_end;
    if (tensor->shape()[static_cast<size_t>(axis)] != trial.plan.batch) continue;
    Tensor slice = common_slice(*tensor, axis);
    if (!slice.defined()) trial.refuse(id, "has a constant with a value of its own for each item");
    BatchEdit change = trial.edit_of(id, BatchEdit::Kind::kConstant, i, "one item of a constant");
    change.constant = std::move(slice);
    trial.edit(std::move(change));
  }
}

}  // namespace

void adapt_operands(BatchTrial& trial, NodeId id, const BatchPlaces& inputs) {
  switch (trial.source.node(id).kind) {
    case OpKind::kConcat: return concat(trial, id, inputs);
    case OpKind::kLSTM:
    case OpKind::kGRU:
    case OpKind::kRNN:
      if (inputs[0]) recurrent(trial, id, inputs);
      return;
    default: return narrow_constants(trial, id, inputs);
  }
}

}  // namespace lathe
