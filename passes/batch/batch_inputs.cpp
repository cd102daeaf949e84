#include <fmt/format.h>

#include <algorithm>

#include "batch/batch_trial.h"

namespace lathe {
namespace {

// Axes that may hold the batch of an input; -1: it has none.
std::vector<int64_t> possible_axes(const Dims& dims, const Dim& batch) {
  std::vector<int64_t> axes;
  for (size_t i = 0; i < dims.size(); ++i) {
    const bool named = !batch.symbol.empty() && dims[i].symbol == batch.symbol;
    if (named) return {static_cast<int64_t>(i)};
    if ((i == 0 && !dims[i].known()) ||
        (dims[i].known() && dims[i].size == std::max(batch.size, int64_t{1})))
      axes.push_back(static_cast<int64_t>(i));
  }
  axes.push_back(-1);
  return axes;
}

// The first input that looks like data.
ValueId main_input(const BatchTrial& trial) {
  ValueId fallback;
  for (const ValueId id : trial.source.inputs()) {
    const auto& dims = trial.source.value(id).type.dims;
    if (!dims || dims->empty()) continue;
    if (dims->size() >= 2) return id;
    if (!fallback.valid()) fallback = id;
  }
  return fallback;
}

void set_place(BatchTrial& trial, ValueId id, int64_t axis) {
  Dims narrow = *trial.narrow.dims(id);
  Dims wide = narrow;
  narrow[static_cast<size_t>(axis)] = Dim::of(trial.plan.batch);
  wide[static_cast<size_t>(axis)] = Dim::of(trial.plan.batch * kBatchFactor);
  trial.narrow.graph.edit_type(id).dims = std::move(narrow);
  trial.wide.graph.edit_type(id).dims = std::move(wide);
  trial.places[id] = BatchPlace{axis, 1, 1};
  trial.plan.inputs.push_back({id, axis});
}

}  // namespace

void place_batch_inputs(BatchTrial& trial) {
  const ValueId main = main_input(trial);
  if (!main.valid()) throw BatchRefused{"no input has a dimension that could be the batch"};
  const Dims& dims = *trial.source.value(main).type.dims;
  std::vector<int64_t> axes{0};
  for (size_t i = 1; i < dims.size(); ++i)
    if (dims[i].size == 1 && dims[0].known() && dims[0].size != 1)
      axes.push_back(static_cast<int64_t>(i));
  const int64_t axis = axes[trial.decisions.choose(axes.size())];
  const Dim batch = dims[static_cast<size_t>(axis)];
  trial.plan.batch = batch.known() ? batch.size : 1;
  if (trial.plan.batch < 1 || trial.plan.batch > (int64_t{1} << 32))
    throw BatchRefused{fmt::format("a batch of {} cannot be freed", trial.plan.batch)};
  trial.plan.symbol = batch.symbol;
  set_place(trial, main, axis);
  for (const ValueId id : trial.source.inputs()) {
    const auto& others = trial.source.value(id).type.dims;
    if (id == main || !others || others->empty()) continue;
    const std::vector<int64_t> found =
        possible_axes(*others, batch.known() ? batch : Dim{trial.plan.batch, batch.symbol});
    const int64_t chosen = found[trial.decisions.choose(found.size())];
    if (chosen >= 0) set_place(trial, id, chosen);
  }
}

}  // namespace lathe
