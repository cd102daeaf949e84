// What the modes without calibration tell about stored weights.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "quantize/apply/store_integer_weights.h"

namespace lathe {

/// One row a weight: value, nodes that read it, dtype, and channel axis or block size. Bodies too.
nlohmann::json weight_rows(const Graph& graph, const WeightStoragePlan& plan);

/// {node, node_type, reason} of each.
nlohmann::json exception_rows(const std::vector<PlanException>& exceptions);

/// Nodes that read a stored weight; bodies too.
int64_t stored_nodes(const WeightStoragePlan& plan);

/// "31.4 dB": signal over noise of the stored weights; "exact" without noise.
std::string weight_sqnr_text(const StoredNoise& noise);

}  // namespace lathe
