// Ops that leave every channel where it is, and those that work across some axes.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "prune/channel_flow.h"

namespace lathe::flow {
namespace {

void pass_axis(FlowCall& call, int64_t axis) {
  const Positions positions = call.take(0, axis);
  for (size_t output = 0; output < call.node.outputs.size(); ++output)
    call.give(axis, positions, output);
}

// Passes every axis of input 0 but `worked`, which are kept with size 1 or dropped.
void pass_others(FlowCall& call, const std::set<int64_t>& worked, bool kept) {
  int64_t to = 0;
  for (int64_t axis = 0; axis < call.rank(0); ++axis) {
    const bool is_worked = worked.contains(axis);
    if (!is_worked) {
      const Positions positions = call.take(0, axis);
      for (size_t output = 0; output < call.node.outputs.size(); ++output)
        call.give(to, positions, output);
    }
    to += !is_worked || kept ? 1 : 0;
  }
}

}  // namespace

void broadcast(FlowCall& call) {
  const int64_t rank = call.out_rank();
  for (size_t i = 0; i < call.node.inputs.size(); ++i)
    if (!call.has(i) || call.rank(i) < 0 || call.rank(i) > rank) return;
  for (int64_t axis = 0; axis < rank; ++axis) {
    std::vector<InputAxis> axes;
    for (size_t i = 0; i < call.node.inputs.size(); ++i)
      if (const int64_t at = axis - (rank - call.rank(i)); at >= 0) axes.push_back({i, at});
    call.give(axis, call.meet(axes));
  }
}

// The other operands are scalars or tell a type.
void first_only(FlowCall& call) {
  for (int64_t axis = 0; axis < call.rank(0); ++axis) pass_axis(call, axis);
  for (size_t i = 1; i < call.node.inputs.size(); ++i)
    if (call.node.kind == OpKind::kCastLike)
      for (int64_t axis = 0; axis < call.rank(i); ++axis) call.take(i, axis);
}

void batch_normalization(FlowCall& call) {
  if (call.node.attributes.int_or("training_mode", 0) != 0 || call.rank(0) < 2) return;
  for (int64_t axis = 0; axis < call.rank(0); ++axis) call.pass(0, axis, axis);
  for (size_t i = 1; i < 5; ++i) call.join(call.look(0, 1), i, 0, ChannelRole::kScales);
}

void instance_normalization(FlowCall& call) {
  call.pass(0, 0, 0);
  call.pass(0, 1, 1);
  for (size_t i = 1; i < 3; ++i) call.join(call.look(0, 1), i, 0, ChannelRole::kScales);
}

void behind_axis(FlowCall& call) {
  const auto first = from_front(call.node.attributes.int_or("axis", -1), call.rank(0));
  for (int64_t axis = 0; first && axis < *first; ++axis) pass_axis(call, axis);
}

void all_but_axis(FlowCall& call) {
  const auto worked = from_front(call.node.attributes.int_or("axis", -1), call.rank(0));
  if (worked) pass_others(call, {*worked}, true);
}

void all_but_channels(FlowCall& call) { pass_others(call, {1}, true); }

void mean_variance(FlowCall& call) {
  std::set<int64_t> worked;
  for (const int64_t axis : call.node.attributes.ints_or("axes", {0, 2, 3})) {
    const auto found = from_front(axis, call.rank(0));
    if (!found) return;
    worked.insert(*found);
  }
  pass_others(call, worked, true);
}

void cumulative(FlowCall& call) {
  const auto axis = call.ints(1);
  if (!axis || axis->size() != 1) return;
  if (const auto worked = from_front(axis->front(), call.rank(0)))
    pass_others(call, {*worked}, true);
}

void batch_only(FlowCall& call) { call.pass(0, 0, 0); }

void pool(FlowCall& call) {
  // Indices of a MaxPool count through all channels.
  if (call.node.kind == OpKind::kMaxPool && call.node.output(1).valid()) return;
  if (call.node.kind != OpKind::kGridSample) call.pass(0, 0, 0);
  call.pass(0, 1, 1);
}

void reduce(FlowCall& call) {
  const int64_t rank = call.rank(0);
  const bool kept = call.node.attributes.int_or("keepdims", 1) != 0;
  std::set<int64_t> worked;
  std::vector<int64_t> axes;
  if (call.has(1)) {
    const auto given = call.ints(1);
    if (!given) return;
    axes = *given;
  } else {
    axes = call.node.attributes.ints_or("axes", {});
  }
  if (axes.empty() && call.node.attributes.int_or("noop_with_empty_axes", 0) == 0) return;
  for (const int64_t axis : axes) {
    const auto found = from_front(axis, rank);
    if (!found) return;
    worked.insert(*found);
  }
  pass_others(call, worked, kept);
}

void arg_reduce(FlowCall& call) {
  const auto worked = from_front(call.node.attributes.int_or("axis", 0), call.rank(0));
  if (worked) pass_others(call, {*worked}, call.node.attributes.int_or("keepdims", 1) != 0);
}

void trilu(FlowCall& call) {
  const int64_t rank = call.rank(0);
  pass_others(call, {rank - 2, rank - 1}, true);
}

void reverse_sequence(FlowCall& call) {
  const int64_t rank = call.rank(0);
  const auto time = from_front(call.node.attributes.int_or("time_axis", 0), rank);
  const auto batch = from_front(call.node.attributes.int_or("batch_axis", 1), rank);
  if (time && batch) pass_others(call, {*time, *batch}, true);
}

}  // namespace lathe::flow
