#include <algorithm>
#include <optional>

#include "passes/passes.h"

namespace lathe {
namespace {

// Pads of the spatial axes as Conv writes them (begins, then ends); nullopt when the Pad node
// does more than add zeros around the image.
std::optional<std::vector<int64_t>> spatial_pads(const Graph& graph, const Node& pad) {
  if (pad.attributes.string_or("mode", "constant") != "constant" || pad.input(3).valid()) return {};
  const Tensor* pads = graph.constant(pad.input(1));
  if (pads == nullptr) return {};
  if (pad.input(2).valid()) {
    const Tensor* value = graph.constant(pad.input(2));
    if (value == nullptr || value->numel() != 1 || value->to_double()[0] != 0) return {};
  }
  const std::vector<int64_t> all = pads->to_int64();
  const size_t rank = all.size() / 2;
  if (rank < 3 || all.size() % 2 != 0) return {};
  std::vector<int64_t> spatial;
  for (size_t i = 0; i < all.size(); ++i) {
    const bool batch_or_channel = i % rank < 2;
    if (all[i] < 0 || (batch_or_channel && all[i] != 0)) return {};
    if (!batch_or_channel) spatial.push_back(all[i]);
  }
  return spatial;
}

bool fuse_padding(Graph& graph, NodeId id) {
  const Node& conv = graph.node(id);
  if (conv.kind != OpKind::kConv) return false;
  const NodeId producer = graph.value(conv.input(0)).producer;
  if (!producer.valid() || graph.node(producer).kind != OpKind::kPad) return false;
  const std::string auto_pad = conv.attributes.string_or("auto_pad", "NOTSET");
  if (auto_pad != "NOTSET" && auto_pad != "VALID") return false;
  const auto extra = spatial_pads(graph, graph.node(producer));
  if (!extra) return false;
  std::vector<int64_t> pads =
      conv.attributes.ints_or("pads", std::vector<int64_t>(extra->size(), 0));
  if (pads.size() != extra->size()) return false;
  for (size_t i = 0; i < pads.size(); ++i)
    if (__builtin_add_overflow(pads[i], (*extra)[i], &pads[i])) return false;
  graph.edit(id).attributes.erase("auto_pad");
  graph.edit(id).attributes.set("pads", pads);
  graph.replace_input(id, 0, graph.node(producer).input(0));
  return true;
}

}  // namespace

int fuse_pad(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs) changes += fuse_pad(subgraph.graph());
    changes += fuse_padding(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
