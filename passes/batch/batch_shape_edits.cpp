#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "batch/batch_edits.h"
#include "batch/batch_trial.h"

namespace lathe {
namespace {

// Exporters write ends of slices that are to mean all in many ways.
constexpr int64_t kEndless = 1'000'000;

std::string numbers_text(const std::vector<int64_t>& numbers) {
  return fmt::format("[{}]", fmt::join(numbers, ", "));
}

// Targets that may say the same with an open size on `axis`.
std::vector<std::vector<int64_t>> open_targets(const std::vector<int64_t>& target, const Dims& to,
                                               size_t axis) {
  std::vector<std::vector<int64_t>> targets;
  std::vector<int64_t> next = target;
  next[axis] = -1;
  if (std::count(next.begin(), next.end(), -1) == 1) targets.push_back(next);
  next[axis] = 0;
  targets.push_back(next);
  for (size_t i = 0; i < next.size(); ++i)
    if (i != axis && next[i] <= 0 && to[i].known()) next[i] = to[i].size;
  targets.push_back(next);
  next[axis] = -1;
  targets.push_back(next);
  return targets;
}

// The sizes behind a node as a Reshape target.
std::vector<int64_t> output_target(BatchTrial& trial, NodeId id) {
  const auto& dims = trial.narrow.dims(trial.source.node(id).outputs[0]);
  if (!dims) trial.refuse(id, "has an output whose shape is not known");
  std::vector<int64_t> target;
  for (const Dim& dim : *dims) target.push_back(dim.known() ? dim.size : -1);
  if (std::count(target.begin(), target.end(), -1) > 1)
    trial.refuse(id, "drops the batch of a value with unknown sizes");
  return target;
}

void reshape(BatchTrial& trial, NodeId id, const BatchPlace& from,
             const std::vector<int64_t>& target) {
  const Node& node = trial.source.node(id);
  const ValueId data = node.inputs[0];
  const auto& to = trial.narrow.dims(node.outputs[0]);
  if (!to) trial.refuse(id, "has an output whose shape is not known");
  const auto places = reshaped_places(*trial.narrow.dims(data), from, *to, trial.plan.batch);
  if (places.empty())
    trial.refuse(id, fmt::format("folds the batch into {}: it is on axis {} of {}", dims_text(*to),
                                 from.axis, dims_text(*trial.narrow.dims(data))));
  const BatchPlace chosen = places[trial.decisions.choose(places.size())];
  const auto axis = static_cast<size_t>(chosen.axis);
  Dims wanted = *to;
  wanted[axis] = Dim::of(wanted[axis].size * kBatchFactor);
  const bool is_reshape = node.kind == OpKind::kReshape;
  if (is_reshape && trial.gives(id, wanted)) return;
  for (const std::vector<int64_t>& next : open_targets(target, *to, axis)) {
    BatchEdit change =
        trial.edit_of(id, is_reshape ? BatchEdit::Kind::kConstant : BatchEdit::Kind::kReshape, 1,
                      fmt::format("shape {} becomes {}", numbers_text(target), numbers_text(next)));
    change.constant = Tensor::vector(next);
    Graph saved = trial.wide.graph;
    apply_batch_edit(trial.wide.graph, change);
    if (trial.gives(id, wanted)) return trial.plan.edits.push_back(std::move(change));
    trial.wide.graph = std::move(saved);
  }
  if (!is_reshape)
    trial.refuse(id, "drops the batch, and no Reshape to " + dims_text(*to) + " says so for any");
  BatchEdit change = trial.edit_of(
      id, BatchEdit::Kind::kPatch, 1,
      fmt::format("element {} of shape {} becomes the batch", axis, numbers_text(target)));
  change.constant = Tensor::vector(target);
  change.axis = chosen.axis;
  change.source = data;
  change.source_axis = from.axis;
  change.divisor = from.outer * from.inner;
  change.factor = chosen.outer * chosen.inner;
  trial.edit(std::move(change));
  if (!trial.gives(id, wanted))
    trial.refuse(id, fmt::format("folds the batch into {}", dims_text(*to)));
}

void squeeze(BatchTrial& trial, NodeId id, const BatchPlace& from) {
  const Node& node = trial.source.node(id);
  const Dims& dims = *trial.narrow.dims(node.inputs[0]);
  std::vector<int64_t> axes;
  const auto given = trial.constant_ints(node, 1);
  if (node.input(1).valid()) {
    if (!given) trial.refuse(id, "has computed axes");
    for (const int64_t axis : *given)
      axes.push_back(axis < 0 ? axis + static_cast<int64_t>(dims.size()) : axis);
  } else {
    for (size_t i = 0; i < dims.size(); ++i)
      if (dims[i].size == 1) axes.push_back(static_cast<int64_t>(i));
  }
  // The item's own axes that are left over take the batch in, if they stand next to it.
  if (std::find(axes.begin(), axes.end(), from.axis) != axes.end())
    return reshape(trial, id, from, output_target(trial, id));
  if (given) return;
  BatchEdit change = trial.edit_of(id, BatchEdit::Kind::kConstant, 1, "axes " + numbers_text(axes));
  change.constant = Tensor::vector(axes);
  trial.edit(std::move(change));
}

// x[0] of a batch of one, which is a Squeeze.
void gather(BatchTrial& trial, NodeId id, const BatchPlace& from) {
  const Node& node = trial.source.node(id);
  const Dims& dims = *trial.narrow.dims(node.inputs[0]);
  int64_t axis = node.attributes.int_or("axis", 0);
  if (axis < 0) axis += static_cast<int64_t>(dims.size());
  if (axis != from.axis) return;
  const auto index = trial.constant_ints(node, 1);
  if (!trial.plan.symbol.empty() || dims[static_cast<size_t>(axis)].size != 1 || !index ||
      index->size() != 1)
    return;
  reshape(trial, id, from, output_target(trial, id));
}

void expand(BatchTrial& trial, NodeId id, const BatchPlace& from) {
  const Node& node = trial.source.node(id);
  auto target = trial.constant_ints(node, 1);
  if (!target) return;
  const Dims& dims = *trial.narrow.dims(node.inputs[0]);
  const int64_t from_end = static_cast<int64_t>(dims.size()) - from.axis;
  const int64_t at = static_cast<int64_t>(target->size()) - from_end;
  if (at < 0) return;
  int64_t& size = (*target)[static_cast<size_t>(at)];
  if (size == 1 || size != dims[static_cast<size_t>(from.axis)].size) return;
  size = 1;
  BatchEdit change =
      trial.edit_of(id, BatchEdit::Kind::kConstant, 1, "shape " + numbers_text(*target));
  change.constant = Tensor::vector(*target);
  trial.edit(std::move(change));
}

void tile(BatchTrial& trial, NodeId id, const BatchPlace& from) {
  const auto repeats = trial.constant_ints(trial.source.node(id), 1);
  const auto at = static_cast<size_t>(from.axis);
  if (!repeats || at >= repeats->size() || (*repeats)[at] != 1)
    trial.refuse(id, "repeats the batch or a computed number of times");
}

void slice(BatchTrial& trial, NodeId id, const BatchPlace& from) {
  const Node& node = trial.source.node(id);
  const Dims& dims = *trial.narrow.dims(node.inputs[0]);
  const auto starts = trial.constant_ints(node, 1);
  auto ends = trial.constant_ints(node, 2);
  if (!starts || !ends || starts->size() != ends->size()) trial.refuse(id, "has computed bounds");
  std::vector<int64_t> axes;
  for (size_t i = 0; i < starts->size(); ++i) axes.push_back(static_cast<int64_t>(i));
  if (node.input(3).valid()) axes = trial.constant_ints(node, 3).value_or(std::vector<int64_t>{});
  std::vector<int64_t> steps(starts->size(), 1);
  if (node.input(4).valid()) steps = trial.constant_ints(node, 4).value_or(std::vector<int64_t>{});
  if (axes.size() != starts->size() || steps.size() != starts->size())
    trial.refuse(id, "has computed axes");
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + static_cast<int64_t>(dims.size()) : axes[i];
    if (axis != from.axis) continue;
    // Where the batch is free already, an end is meant as it stands.
    const bool open_end = (*ends)[i] >= kEndless;
    if ((*starts)[i] != 0 || steps[i] != 1 || (!open_end && !trial.plan.symbol.empty()) ||
        (*ends)[i] < dims[static_cast<size_t>(axis)].size)
      trial.refuse(id, "selects among the items of the batch");
    if (open_end) continue;
    (*ends)[i] = INT64_MAX;
    BatchEdit change =
        trial.edit_of(id, BatchEdit::Kind::kConstant, 2, "no end on the batch's axis");
    const Tensor* given = trial.narrow.graph.constant(node.inputs[2]);
    if (given->dtype() == DType::kInt32) {
      (*ends)[i] = INT32_MAX;
      change.constant = Tensor::vector(std::vector<int32_t>(ends->begin(), ends->end()));
    } else {
      change.constant = Tensor::vector(*ends);
    }
    trial.edit(std::move(change));
  }
}

void resize(BatchTrial& trial, NodeId id, const BatchPlace& from) {
  const Node& node = trial.source.node(id);
  const auto sizes = trial.constant_ints(node, 3);
  const auto axes = node.attributes.ints_or("axes", {});
  if (!sizes || from.axis != 0) return;
  if (!axes.empty() && std::find(axes.begin(), axes.end(), 0) == axes.end()) return;
  if (!axes.empty()) trial.refuse(id, "gives the batch among the sizes of chosen axes");
  BatchEdit change = trial.edit_of(id, BatchEdit::Kind::kPatch, 3, "sizes take the batch as it is");
  change.constant = Tensor::vector(*sizes);
  change.source = node.inputs[0];
  change.divisor = 1;
  trial.edit(std::move(change));
}

}  // namespace

void adapt_shape(BatchTrial& trial, NodeId id, const BatchPlace& from) {
  const Node& node = trial.source.node(id);
  switch (node.kind) {
    case OpKind::kReshape:
      if (const auto target = trial.constant_ints(node, 1)) reshape(trial, id, from, *target);
      break;
    case OpKind::kSqueeze: squeeze(trial, id, from); break;
    case OpKind::kGather: gather(trial, id, from); break;
    case OpKind::kExpand: expand(trial, id, from); break;
    case OpKind::kTile: tile(trial, id, from); break;
    case OpKind::kSlice: slice(trial, id, from); break;
    case OpKind::kResize: resize(trial, id, from); break;
    default: break;
  }
}

}  // namespace lathe
