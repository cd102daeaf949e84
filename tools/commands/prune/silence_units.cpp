#include "commands/prune/silence_units.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

#include "ir/error.h"

namespace lathe {

// Units that no group lets go: of recurrent nodes that are in no prunable group.
std::vector<UnitMask> unit_masks(const PruneContext& context,
                                 const std::vector<ChannelGroup>& groups) {
  const PruneRequest& request = context.request;
  // A schedule removes what it has masked; silenced units would not be.
  if (request.structure != PruneStructure::kUnit || request.target != PruneTarget::kSparsity ||
      request.schedule)
    return {};
  std::set<NodeId> others;  // whose units go, or are what the model computes
  for (const ChannelGroup& group : groups)
    for (const ChannelUse& use : group.uses)
      if ((group.blocked.empty() || is_model_output(group)) && use.role == ChannelRole::kProduces)
        others.insert(use.node);
  const Graph& graph = context.dense();
  return plan_unit_masks(graph, request.share, [&](NodeId id) {
    return request.nodes.selects(graph.node(id)) && !others.contains(id);
  });
}

// The zeros of silenced units, so that training does not wake them.
std::vector<ElementMask> silent_weights(const Graph& graph, const std::vector<UnitMask>& masks) {
  std::vector<ElementMask> silent;
  for (const UnitMask& mask : masks) {
    for (const ValueId id : graph.node(mask.node).inputs) {
      const Tensor* constant = id.valid() ? graph.constant(id) : nullptr;
      if (constant == nullptr || constant->dtype() != DType::kFloat32) continue;
      const auto values = constant->values<float>();
      ElementMask zeros{id, std::vector<uint8_t>(values.size())};
      std::transform(values.begin(), values.end(), zeros.keep.begin(),
                     [](float value) { return value != 0.0f ? 1 : 0; });
      silent.push_back(std::move(zeros));
    }
  }
  return silent;
}

nlohmann::json masks_json(const Graph& graph, const std::vector<UnitMask>& masks) {
  nlohmann::json rows = nlohmann::json::array();
  for (const UnitMask& mask : masks)
    rows.push_back({{"node", escape_untrusted(graph.node(mask.node).name)},
                    {"units", mask.units},
                    {"silenced", mask.removed}});
  return rows;
}

}  // namespace lathe
