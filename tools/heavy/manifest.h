// What OUT.manifest.json says of an artifact, whichever command made it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "command_run.h"
#include "ir/graph.h"
#include "names/targets.h"
#include "profiles/profile.h"

namespace lathe {

/// Schema "lathe.manifest" 1.0: source hash, lathe version, recipe, changes of each pass, nodes
/// before and after, what the profile would compute in which precision, activations that a runtime
/// may fuse into the node before them, estimated arena, expected
/// environment (`engine` loads it; ISA of the profile's device). Verification and what else one
/// command knows is added by the caller, the artifact's files by publish_model(). Types of `after`
/// must have been inferred.
nlohmann::json manifest_json(const CommandRun& run, const Graph& before, const Graph& after,
                             std::string_view engine = target_of(TargetKind::kOnnx).reader);

/// {integer_nodes, float_nodes, pass_through_nodes, total_nodes, ops: {Conv: {nodes, configs}}}:
/// what the profile's precision rules allow for each op; no configs: float.
nlohmann::json coverage_json(const Graph& graph, const Profile& profile);

/// Nodes of the graph and of all bodies in it.
int64_t count_nodes(const Graph& graph);

}  // namespace lathe
