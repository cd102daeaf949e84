// Small edits that every pass of this folder makes.
#pragma once

#include "ir/graph.h"

namespace lathe {

/// No node reads it and it is no graph output; true for an absent value.
bool is_unread(const Graph& graph, ValueId id);

/// Whether users of `from` may read `to`: a graph output must not become a graph input, a constant,
/// or another output under one name.
bool may_redirect(const Graph& graph, ValueId from, ValueId to);

/// Erases the node when none of its outputs is read.
void erase_if_unread(Graph& graph, NodeId id);

}  // namespace lathe
