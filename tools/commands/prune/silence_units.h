// Units of recurrent layers that cannot be removed: silenced, and kept silent.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "commands/prune/prune_run.h"
#include "prune/channel_groups.h"
#include "prune/element_masks.h"
#include "prune/unit_masks.h"

namespace lathe {

/// With --structure unit and a sparsity; empty otherwise.
std::vector<UnitMask> unit_masks(const PruneContext& context,
                                 const std::vector<ChannelGroup>& groups);

/// The zeros of silenced units, so that training does not wake them.
std::vector<ElementMask> silent_weights(const Graph& graph, const std::vector<UnitMask>& masks);

/// [{node, units, silenced}]
nlohmann::json masks_json(const Graph& graph, const std::vector<UnitMask>& masks);

}  // namespace lathe
