#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "ir/error.h"
#include "ir/verify.h"
#include "ops/op_row.h"
#include "passes/passes.h"
#include "prune/removal.h"
#include "prune/size_operands.h"

namespace lathe {
namespace {

struct AxisRuns {
  size_t outer = 1;   // how often the axis is walked
  size_t length = 0;  // its positions
  size_t bytes = 0;   // of one position
};

AxisRuns runs(const Tensor& tensor, int64_t axis) {
  AxisRuns out;
  const auto at = static_cast<size_t>(axis);
  for (size_t i = 0; i < at; ++i) out.outer *= static_cast<size_t>(tensor.shape()[i]);
  out.length = static_cast<size_t>(tensor.shape()[at]);
  out.bytes = static_cast<size_t>(dtype_bits(tensor.dtype())) / 8;
  for (size_t i = at + 1; i < tensor.shape().size(); ++i)
    out.bytes *= static_cast<size_t>(tensor.shape()[i]);
  return out;
}

Tensor select(const Tensor& tensor, int64_t axis, const std::vector<int64_t>& kept) {
  const AxisRuns from = runs(tensor, axis);
  std::vector<std::byte> bytes(from.outer * kept.size() * from.bytes);
  std::byte* to = bytes.data();
  for (size_t o = 0; o < from.outer; ++o) {
    const std::byte* run = tensor.bytes().data() + o * from.length * from.bytes;
    for (const int64_t position : kept) {
      if (from.bytes > 0)
        std::memcpy(to, run + static_cast<size_t>(position) * from.bytes, from.bytes);
      to += from.bytes;
    }
  }
  Shape shape = tensor.shape();
  shape[static_cast<size_t>(axis)] = static_cast<int64_t>(kept.size());
  return Tensor::from_bytes(tensor.dtype(), std::move(shape), std::move(bytes));
}

// Zero is all bits zero in every type that has whole bytes.
Tensor zeroed(const Tensor& tensor, int64_t axis, const std::vector<int64_t>& kept) {
  const AxisRuns in = runs(tensor, axis);
  std::vector<bool> stays(in.length, false);
  for (const int64_t position : kept) stays[static_cast<size_t>(position)] = true;
  std::vector<std::byte> bytes(tensor.bytes().begin(), tensor.bytes().end());
  for (size_t o = 0; o < in.outer; ++o)
    for (size_t i = 0; i < in.length; ++i)
      if (!stays[i] && in.bytes > 0)
        std::memset(bytes.data() + (o * in.length + i) * in.bytes, 0, in.bytes);
  return Tensor::from_bytes(tensor.dtype(), tensor.shape(), std::move(bytes));
}

using EditAxis = Tensor (*)(const Tensor&, int64_t axis, const std::vector<int64_t>& kept);

// Applies `edit` to every axis of a constant that loses positions; a constant with several readers
// is copied for the one that the axis belongs to.
void edit_constants(const Graph& before, Graph& graph, const Removal& removal, EditAxis edit,
                    bool only_consumers) {
  std::map<std::pair<NodeId, ValueId>, Tensor> edited;
  for (const ConstantAxis& use : removal.flows().constants) {
    if (only_consumers && use.role != ChannelRole::kConsumes) continue;
    const auto kept = removal.kept(use.atoms);
    if (!kept) continue;
    Tensor& tensor =
        edited.try_emplace({use.node, use.constant}, *before.constant(use.constant)).first->second;
    tensor = edit(tensor, use.axis, *kept);
  }
  for (const auto& [place, tensor] : edited) {
    // Several operands may be of this one constant.
    const std::vector<ValueId> inputs = before.node(place.first).inputs;
    const auto first = std::find(inputs.begin(), inputs.end(), place.second) - inputs.begin();
    set_constant_input(graph, place.first, static_cast<size_t>(first), tensor);
    const ValueId added = graph.node(place.first).inputs[static_cast<size_t>(first)];
    for (size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i] == place.second && graph.node(place.first).inputs[i] != added)
        graph.replace_input(place.first, i, added);
  }
}

void drop_unread(Graph& graph, const Graph& before) {
  for (const ValueId id : before.value_ids())
    if (graph.is_live(id) && before.value(id).is_constant() && !before.value(id).users.empty() &&
        graph.value(id).users.empty() && !graph.is_output(id) && !graph.is_input(id))
      graph.erase_value(id);
}

// Shapes that inference finds must be those that the walk promised.
void check_shapes(const Graph& before, const Graph& graph, const Removal& removal) {
  for (const ValueId id : before.value_ids()) {
    const Value& value = before.value(id);
    if (!value.producer.valid() || !value.type.dims || !graph.is_live(id)) continue;
    const auto& found = graph.value(id).type.dims;
    const Dims wanted = removal.left(id, *value.type.dims);
    bool same = found && found->size() == wanted.size();
    for (size_t i = 0; same && i < wanted.size(); ++i)
      same = !wanted[i].known() || !(*found)[i].known() || wanted[i] == (*found)[i];
    if (!same)
      throw InternalError(fmt::format("prune: value {} should be {} but is {}",
                                      escape_untrusted(value.name), dims_text(wanted),
                                      found ? dims_text(*found) : "of unknown rank"));
  }
}

}  // namespace

int remove_channels(Graph& graph, const std::vector<ChannelGroup>& groups,
                    const KeptChannels& kept) {
  const Removal removal(graph, groups, kept);
  if (removal.channels() == 0) return 0;
  Graph edited = graph;
  for (const NodeId id : graph.node_ids()) fix_sizes(graph, edited, id, removal);
  edit_constants(graph, edited, removal, select, false);
  for (const ValueId id : graph.value_ids()) {
    const Value& value = graph.value(id);
    if (value.producer.valid() && removal.touches(id))
      edited.edit_type(id).dims = removal.left(id, *value.type.dims);
  }
  drop_unread(edited, graph);
  // Sizes that are no longer computed.
  eliminate_dead_nodes(edited);
  verify(edited, "remove_channels");
  infer_shapes(edited);
  check_shapes(graph, edited, removal);
  graph = std::move(edited);
  return removal.channels();
}

int mask_channels(Graph& graph, const std::vector<ChannelGroup>& groups, const KeptChannels& kept) {
  const Removal removal(graph, groups, kept);
  if (removal.channels() == 0) return 0;
  Graph edited = graph;
  edit_constants(graph, edited, removal, zeroed, true);
  drop_unread(edited, graph);
  verify(edited, "mask_channels");
  graph = std::move(edited);
  return removal.channels();
}

}  // namespace lathe
