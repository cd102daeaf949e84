#include <algorithm>
#include <set>

#include "ir/error.h"
#include "prune/axis_segments.h"
#include "prune/removal.h"
#include "prune/size_operands.h"
#include "prune/size_readers.h"
#include "prune/slice_range.h"

namespace lathe {
namespace {

const Dims& dims_in(const Graph& graph, ValueId value) { return *graph.value(value).type.dims; }

int64_t rank_of(const Graph& graph, ValueId value) {
  return static_cast<int64_t>(dims_in(graph, value).size());
}

std::vector<int64_t> ints_of(const Graph& graph, ValueId value) {
  return graph.constant(value)->to_int64();
}

int64_t normal(int64_t axis, int64_t rank) { return axis < 0 ? axis + rank : axis; }

int64_t below(const std::vector<int64_t>& kept, int64_t position) {
  return std::lower_bound(kept.begin(), kept.end(), position) - kept.begin();
}

void fix_reshape(const Graph& before, Graph& graph, NodeId id, const Removal& removal) {
  const Node& node = before.node(id);
  const Dims from = removal.left(node.input(0), dims_in(before, node.input(0)));
  const Dims to = removal.left(node.output(0), dims_in(before, node.output(0)));
  const bool zero_copies = node.attributes.int_or("allowzero", 0) == 0;
  if (before.constant(node.input(1)) == nullptr) {
    const auto target = reshape_target(from, to, zero_copies);
    if (!target) throw InternalError("prune: a Reshape's target cannot be written down");
    return set_ints(graph, id, 1, *target);
  }
  std::vector<int64_t> target = ints_of(before, node.input(1));
  const std::vector<int64_t> old = target;
  for (size_t i = 0; i < target.size(); ++i) {
    if (target[i] == -1 || !to[i].known()) continue;
    if (target[i] == 0 && zero_copies && i < from.size() && from[i] == to[i]) continue;
    target[i] = to[i].size;
  }
  if (target != old) set_ints(graph, id, 1, target);
}

void fix_split(const Graph& before, Graph& graph, NodeId id, const Removal& removal) {
  const Node& node = before.node(id);
  const int64_t axis = normal(node.attributes.int_or("axis", 0), rank_of(before, node.input(0)));
  if (!removal.kept(node.input(0), axis)) return;
  std::vector<int64_t> sizes;
  for (const ValueId output : node.outputs)
    sizes.push_back(removal.left(output, dims_in(before, output))[static_cast<size_t>(axis)].size);
  graph.edit(id).attributes.erase("num_outputs");
  set_ints(graph, id, 1, sizes);
}

void fix_slice(const Graph& before, Graph& graph, NodeId id, const Removal& removal) {
  const Node& node = before.node(id);
  const auto ranges = slice_ranges(before, node);
  if (!ranges) return;
  std::vector<int64_t> starts = ints_of(before, node.input(1));
  std::vector<int64_t> ends = ints_of(before, node.input(2));
  std::vector<int64_t> axes;
  if (node.input(3).valid()) axes = ints_of(before, node.input(3));
  bool changed = false;
  for (size_t i = 0; i < starts.size(); ++i) {
    const int64_t axis =
        axes.empty() ? static_cast<int64_t>(i) : normal(axes[i], rank_of(before, node.input(0)));
    const auto kept = removal.kept(node.input(0), axis);
    const SliceRange& range = ranges->at(axis);
    if (!kept || range.is_whole()) continue;
    starts[i] = below(*kept, range.begin);
    ends[i] = below(*kept, range.end);
    changed = true;
  }
  if (!changed) return;
  set_ints(graph, id, 1, starts);
  set_ints(graph, id, 2, ends);
}

void fix_gather(const Graph& before, Graph& graph, NodeId id, const Removal& removal) {
  const Node& node = before.node(id);
  const int64_t rank = rank_of(before, node.input(0));
  const int64_t axis = normal(node.attributes.int_or("axis", 0), rank);
  const auto kept = removal.kept(node.input(0), axis);
  if (!kept) return;
  const Tensor& indices = *before.constant(node.input(1));
  const int64_t size = dims_in(before, node.input(0))[static_cast<size_t>(axis)].size;
  std::vector<int64_t> moved;
  for (const int64_t index : indices.to_int64()) {
    const int64_t at = below(*kept, normal(index, size));
    const bool stays = at < static_cast<int64_t>(kept->size()) &&
                       (*kept)[static_cast<size_t>(at)] == normal(index, size);
    if (stays) moved.push_back(at);
  }
  Shape shape = indices.shape();
  if (!shape.empty()) shape = {static_cast<int64_t>(moved.size())};
  set_constant_input(graph, id, 1, like(before, node.input(1), shape, moved));
}

void fix_pad(const Graph& before, Graph& graph, NodeId id, const Removal& removal) {
  const Node& node = before.node(id);
  const int64_t rank = rank_of(before, node.input(0));
  std::vector<int64_t> pads = ints_of(before, node.input(1));
  const std::vector<int64_t> old = pads;
  const size_t count = pads.size() / 2;
  std::vector<int64_t> axes;
  if (node.input(3).valid()) axes = ints_of(before, node.input(3));
  for (size_t i = 0; i < count; ++i) {
    const int64_t axis = axes.empty() ? static_cast<int64_t>(i) : normal(axes[i], rank);
    const auto kept = removal.kept(node.output(0), axis);
    if (!kept || (pads[i] == 0 && pads[i + count] == 0)) continue;
    const int64_t inside = dims_in(before, node.input(0))[static_cast<size_t>(axis)].size;
    const int64_t from = pads[i];
    pads[i] = below(*kept, from);
    pads[i + count] = static_cast<int64_t>(kept->size()) - below(*kept, from + inside);
  }
  if (pads != old) set_ints(graph, id, 1, pads);
}

// Input `operand` is the shape of what the node fills.
void fix_filled(const Graph& before, Graph& graph, NodeId id, size_t operand,
                const Removal& removal) {
  const Node& node = before.node(id);
  const int64_t rank = rank_of(before, node.output(0));
  const int64_t length = dims_in(before, node.input(operand))[0].size;
  for (int64_t i = 0; i < length; ++i) {
    const auto kept = removal.kept(node.output(0), rank - length + i);
    const auto element = size_element(before, node.input(operand), static_cast<size_t>(i));
    if (kept && element && element->value != 1)
      set_size(graph, id, operand, static_cast<size_t>(i), static_cast<int64_t>(kept->size()));
  }
}

void fix_resize(const Graph& before, Graph& graph, NodeId id, const Removal& removal) {
  const Node& node = before.node(id);
  if (!node.input(3).valid() || before.constant(node.input(3)) == nullptr) return;
  std::vector<int64_t> sizes = ints_of(before, node.input(3));
  const std::vector<int64_t> old = sizes;
  const auto axes = node.attributes.ints_or("axes", {});
  const int64_t rank = rank_of(before, node.input(0));
  for (size_t i = 0; i < sizes.size(); ++i) {
    const int64_t axis =
        node.attributes.has("axes") ? normal(axes[i], rank) : static_cast<int64_t>(i);
    if (const auto kept = removal.kept(node.output(0), axis))
      sizes[i] = static_cast<int64_t>(kept->size());
  }
  if (sizes != old) set_ints(graph, id, 3, sizes);
}

// Without axes it would also drop an axis that has one channel left.
void fix_squeeze(const Graph& before, Graph& graph, NodeId id) {
  const Node& node = before.node(id);
  if (node.input(1).valid()) return;
  std::vector<int64_t> axes;
  const Dims& dims = dims_in(before, node.input(0));
  for (size_t axis = 0; axis < dims.size(); ++axis)
    if (dims[axis].size == 1) axes.push_back(static_cast<int64_t>(axis));
  set_ints(graph, id, 1, axes);
}

// Reshapes whose targets come from this Shape, as far as they can be written.
std::set<NodeId> written_readers(const Graph& graph, const Node& shape) {
  if (const auto all = reshape_readers(graph, shape.output(0))) return *all;
  std::set<NodeId> found;
  for (const NodeId user : graph.value(shape.output(0)).users) {
    const ValueId output = graph.node(user).output(0);
    const auto some = output.valid() ? reshape_readers(graph, output) : std::nullopt;
    if (some) found.insert(some->begin(), some->end());
  }
  return found;
}

// Depthwise: as many groups as channels.
void fix_groups(const Graph& before, Graph& graph, NodeId id, const Removal& removal) {
  const Node& node = before.node(id);
  const int64_t groups = node.attributes.int_or("group", 1);
  const auto kept = removal.kept(node.input(0), 1);
  const Dims& dims = dims_in(before, node.input(0));
  if (kept && groups > 1 && dims[1].size == groups)
    graph.edit(id).attributes.set("group", static_cast<int64_t>(kept->size()));
}

void fix_hidden_size(Graph& graph, NodeId id, const Removal& removal) {
  for (const ConstantAxis& use : removal.flows().constants) {
    if (use.node != id || use.axis != 2 || use.role != ChannelRole::kConsumes ||
        use.constant != graph.node(id).input(2))
      continue;
    if (const auto kept = removal.kept(use.atoms))
      graph.edit(id).attributes.set("hidden_size", static_cast<int64_t>(kept->size()));
  }
}

void fix_heads(const Graph& before, Graph& graph, NodeId id, const Removal& removal) {
  const Node& node = before.node(id);
  const int64_t heads = node.attributes.int_or("q_num_heads", 0);
  const auto kept = removal.kept(node.input(0), 2);
  if (!kept || heads < 1 || rank_of(before, node.input(0)) != 3) return;
  const int64_t width = dims_in(before, node.input(0))[2].size / heads;
  const int64_t left = static_cast<int64_t>(kept->size()) / width;
  graph.edit(id).attributes.set("q_num_heads", left);
  graph.edit(id).attributes.set("kv_num_heads", left);
}

}  // namespace

void fix_sizes(const Graph& before, Graph& graph, NodeId id, const Removal& removal) {
  const Node& node = before.node(id);
  const bool touched = std::any_of(node.inputs.begin(), node.inputs.end(),
                                   [&](ValueId value) { return removal.touches(value); }) ||
                       std::any_of(node.outputs.begin(), node.outputs.end(),
                                   [&](ValueId value) { return removal.touches(value); });
  switch (node.kind) {
    case OpKind::kLSTM:
    case OpKind::kGRU:
    case OpKind::kRNN: return fix_hidden_size(graph, id, removal);
    case OpKind::kShape: {
      // Sizes that are read go into Reshapes, which get constants instead.
      if (!removal.touches(node.input(0)) || !node.output(0).valid()) return;
      const auto readers = written_readers(before, node);
      for (const NodeId reader : readers) fix_reshape(before, graph, reader, removal);
      return;
    }
    default: break;
  }
  if (!touched) return;
  switch (node.kind) {
    case OpKind::kReshape: return fix_reshape(before, graph, id, removal);
    case OpKind::kSplit: return fix_split(before, graph, id, removal);
    case OpKind::kSlice: return fix_slice(before, graph, id, removal);
    case OpKind::kGather: return fix_gather(before, graph, id, removal);
    case OpKind::kPad: return fix_pad(before, graph, id, removal);
    case OpKind::kExpand: return fix_filled(before, graph, id, 1, removal);
    case OpKind::kConstantOfShape: return fix_filled(before, graph, id, 0, removal);
    case OpKind::kResize: return fix_resize(before, graph, id, removal);
    case OpKind::kSqueeze: return fix_squeeze(before, graph, id);
    case OpKind::kConv:
    case OpKind::kFusedConv:
    case OpKind::kConvTranspose: return fix_groups(before, graph, id, removal);
    case OpKind::kAttention: return fix_heads(before, graph, id, removal);
    default: return;
  }
}

}  // namespace lathe
