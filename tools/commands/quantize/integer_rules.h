// A profile and the flags as the rules that planning follows.
#pragma once

#include "ir/graph.h"
#include "options.h"
#include "profiles/profile.h"
#include "quantize/plan/precision_plan.h"

namespace lathe {

/// Throws Error (exit 2) when the profile has no integer arithmetic, or when a GLOB of --include or
/// --exclude matches no node of the graph.
IntegerRules integer_rules(const Profile& profile, const QuantizeOptions& options,
                           const Graph& graph);

}  // namespace lathe
