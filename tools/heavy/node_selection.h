// --include and --exclude, as every pass that takes them applies them.
#pragma once

#include <functional>
#include <vector>

#include "ir/graph.h"
#include "os/glob.h"

namespace lathe {

struct NodeSelection {
  std::vector<Selector> include;  // empty: all
  std::vector<Selector> exclude;

  bool selects(const Node& node) const;
};

/// Throws Error (exit 2) that names the flag for a selector that no node of the graph matches.
void require_matches(const NodeSelection& selection, const Graph& graph);

}  // namespace lathe
