// A layer to be repaired, and how.
#pragma once

#include <optional>
#include <string>

#include "layers/linear_layer.h"
#include "prune/repair.h"

namespace lathe {

/// BatchNormalization: `outputs` are its channels. LSTM: groups are directions, outputs are units.
struct RepairLayer : LinearLayer {
  RepairMethod method = RepairMethod::kNone;
  bool recurrent = false;  // LSTM
  std::string note;
};

/// How `node` can be repaired; nullopt for nodes that hold nothing to repair. `masked`: its weights
/// hold zeros that must stay.
std::optional<RepairLayer> repair_layer(const Graph& graph, NodeId node, bool masked);

}  // namespace lathe
