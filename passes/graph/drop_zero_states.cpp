#include <algorithm>

#include "graph/graph_passes.h"

namespace lathe {
namespace {

bool is_zero(const Tensor& tensor) {
  const auto bytes = tensor.bytes();
  return tensor.dtype() != DType::kString &&
         std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

// Ops that give elements of their first input and nothing else.
bool only_moves(OpKind kind) {
  switch (kind) {
    case OpKind::kExpand:
    case OpKind::kFlatten:
    case OpKind::kGather:
    case OpKind::kIdentity:
    case OpKind::kReshape:
    case OpKind::kSlice:
    case OpKind::kSqueeze:
    case OpKind::kTile:
    case OpKind::kTranspose:
    case OpKind::kUnsqueeze: return true;
    default: return false;
  }
}

bool is_all_zero(const Graph& graph, ValueId id) {
  constexpr int kMaxSteps = 32;
  for (int step = 0; step < kMaxSteps && id.valid(); ++step) {
    if (const Tensor* constant = graph.constant(id)) return is_zero(*constant);
    const NodeId producer = graph.value(id).producer;
    if (!producer.valid()) return false;
    const Node& node = graph.node(producer);
    if (node.kind == OpKind::kConstantOfShape) {
      const Tensor* value = node.attributes.tensor("value");
      return value == nullptr || is_zero(*value);
    }
    if (!only_moves(node.kind)) return false;
    id = node.input(0);
  }
  return false;
}

bool drop_from(Graph& graph, NodeId id) {
  const OpKind kind = graph.node(id).kind;
  if (kind != OpKind::kLSTM && kind != OpKind::kGRU && kind != OpKind::kRNN) return false;
  const size_t states = kind == OpKind::kLSTM ? 2 : 1;
  constexpr size_t kInitialState = 5;
  bool dropped = false;
  for (size_t i = kInitialState; i < kInitialState + states; ++i) {
    const ValueId state = graph.node(id).input(i);
    if (!state.valid() || !is_all_zero(graph, state)) continue;
    graph.replace_input(id, i, {});
    dropped = true;
  }
  if (!dropped) return false;
  size_t count = graph.node(id).inputs.size();
  while (!graph.node(id).inputs[count - 1].valid()) --count;
  graph.truncate_inputs(id, count);
  return true;
}

}  // namespace

int drop_zero_states(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.node_ids()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += drop_zero_states(subgraph.graph());
    changes += drop_from(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
