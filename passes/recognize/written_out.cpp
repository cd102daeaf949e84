#include "recognize/written_out.h"

#include <algorithm>

#include "recognize/redirect.h"

namespace lathe {

bool is_closed(const Graph& graph, NodeId root, std::span<const NodeId> inner) {
  const auto is_ours = [&](NodeId id) {
    return id == root || std::find(inner.begin(), inner.end(), id) != inner.end();
  };
  return std::all_of(inner.begin(), inner.end(), [&](NodeId id) {
    if (id == root) return true;
    const std::vector<ValueId>& outputs = graph.node(id).outputs;
    return std::all_of(outputs.begin(), outputs.end(), [&](ValueId output) {
      if (!output.valid()) return true;
      const std::vector<NodeId>& users = graph.value(output).users;
      return !graph.is_output(output) && std::all_of(users.begin(), users.end(), is_ours);
    });
  });
}

bool replace_written_out(Graph& graph, const WrittenOut& pattern) {
  if (!is_closed(graph, pattern.root, pattern.inner)) return false;
  graph.truncate_inputs(pattern.root, 0);
  for (const ValueId input : pattern.inputs) graph.add_node_input(pattern.root, input);
  graph.edit(pattern.root).kind = pattern.kind;
  graph.edit(pattern.root).attributes = pattern.attributes;
  // Readers before what they read, whatever order the pattern was collected in.
  for (bool erased = true; erased;) {
    erased = false;
    for (const NodeId id : pattern.inner) {
      if (id == pattern.root || !graph.is_live(id)) continue;
      erase_if_unread(graph, id);
      erased |= !graph.is_live(id);
    }
  }
  return true;
}

bool keeps_shape(const Graph& graph, ValueId from, ValueId to) {
  const ValueType& a = graph.value(from).type;
  const ValueType& b = graph.value(to).type;
  return is_floating(a.dtype) && a.dtype == b.dtype && a.dims && b.dims &&
         a.dims->size() == b.dims->size();
}

bool is_same_dim(const Dim& a, const Dim& b) {
  if (a.known() || b.known()) return a.size == b.size;
  return !a.symbol.empty() && a.symbol == b.symbol;
}

}  // namespace lathe
