#include "qdq/fused_layers.h"

#include <algorithm>
#include <set>

#include "ops/op_row.h"
#include "qdq/qdq.h"

namespace lathe {
namespace {

class Fuser {
 public:
  explicit Fuser(const Graph& graph) : graph_(graph) {
    for (const ValueId id : graph.outputs()) outputs_.insert(id);
  }

  std::vector<FusedLayer> layers() {
    std::vector<FusedLayer> layers;
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (merged_.contains(id) || is_view(node.kind) || node.kind == OpKind::kQuantizeLinear ||
          node.kind == OpKind::kDequantizeLinear)
        continue;
      FusedLayer& layer = layers.emplace_back();
      layer.node = id;
      for (size_t i = 0; i < node.outputs.size(); ++i)
        layer.outputs.push_back(merge_followers(node.outputs[i], i == 0, layer));
    }
    return layers;
  }

 private:
  // The only user of a value that nobody else sees; invalid otherwise.
  NodeId only_user(ValueId id) const {
    const Value& value = graph_.value(id);
    return value.users.size() == 1 && !outputs_.contains(id) ? value.users[0] : NodeId{};
  }

  ValueId merge_followers(ValueId last, bool with_elementwise, FusedLayer& layer) {
    while (last.valid()) {
      const NodeId id = only_user(last);
      if (!id.valid() || merged_.contains(id)) break;
      const Node& next = graph_.node(id);
      const OpRow& row = op_row(next.kind);
      const bool elementwise =
          with_elementwise && next.kind != OpKind::kDequantizeLinear &&
          (row.channels == ChannelFlow::kElementwise || row.channels == ChannelFlow::kPerChannel);
      if ((next.kind != OpKind::kQuantizeLinear && !elementwise) || row.macs != nullptr ||
          next.outputs.size() != 1 || !next.subgraphs.empty())
        break;
      merged_.insert(id);
      layer.merged.push_back(id);
      last = next.output(0);
    }
    return last;
  }

  const Graph& graph_;
  std::set<ValueId> outputs_;
  std::set<NodeId> merged_;
};

}  // namespace

bool is_view(OpKind kind) {
  using enum OpKind;
  constexpr OpKind kViews[] = {kReshape,  kFlatten, kSqueeze, kUnsqueeze,
                               kIdentity, kDropout, kShape,   kConstant};
  return std::ranges::find(kViews, kind) != std::end(kViews);
}

ValueId stored_value(const Graph& graph, ValueId id) {
  const Node* dq = dequantizer(graph, id);
  return dq != nullptr && dq->input(0).valid() ? dq->input(0) : id;
}

ValueId stored_through_views(const Graph& graph, ValueId id) {
  for (;;) {
    id = stored_value(graph, id);
    const NodeId producer = id.valid() ? graph.value(id).producer : NodeId{};
    if (!producer.valid()) return id;
    const Node& node = graph.node(producer);
    if (!is_view(node.kind) || node.kind == OpKind::kShape || !node.input(0).valid()) return id;
    id = node.input(0);
  }
}

std::vector<FusedLayer> fused_layers(const Graph& graph) { return Fuser(graph).layers(); }

}  // namespace lathe
