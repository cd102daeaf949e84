// What the search of --max-drop tells, on the screen and in the report.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "commands/quantize/target_search.h"
#include "ir/graph.h"

namespace lathe {

/// {allowed, held, finished, candidates, left_in_float, evaluations: [{left_in_float, drop}],
/// evaluations_reused}.
nlohmann::json mixed_precision_section(const Graph& graph, const TargetSearch& found,
                                       double allowed);

/// Lines: what was given back, and of a target that was missed where the error came from.
/// `asked`: --max-drop as it was given.
std::string mixed_precision_text(const Graph& graph, const TargetSearch& found, double allowed,
                                 const std::string& asked);

/// {samples, probes, seconds, sqnr_db, nodes: [{node, node_type, part, weight_sqnr_db,
/// values_sqnr_db, sqnr_db, estimate}], values: [{value, sqnr_db, estimate}]}: `part` is the share
/// in all noise, sqnr_db the one that the network would have if this alone were rounded. Where
/// nodes were measured alone, weights and values are not told apart.
nlohmann::json sensitivity_section(const Graph& graph, const LayerSensitivity& sensitivity,
                                   double seconds);

}  // namespace lathe
