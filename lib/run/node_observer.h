// Who is told how long each node took.
#pragma once

#include <cstdint>
#include <functional>

#include "ir/graph.h"

namespace lathe {

/// Told of every node of the top graph right after it ran, by the thread that executes.
using NodeObserver = std::function<void(NodeId, int64_t duration_ns)>;

}  // namespace lathe
