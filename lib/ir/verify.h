// Every invariant of a Graph, stated once. Runs after import and after every pass.
#pragma once

#include "ir/graph.h"

namespace lathe {

/// Throws InternalError that names `after` (a pass) and the broken invariant; a cycle throws
/// Error (exit 3). Checks: ids live; producer, users and captures agree both ways; names unique and
/// found; constants without producer; every read value is produced, constant, captured or an
/// input; outputs exist; no cycle; the same in every subgraph.
void verify(const Graph& graph, std::string_view after);

}  // namespace lathe
