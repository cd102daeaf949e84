// Commands that change float weights do not take models whose weights are integers already.
#pragma once

#include <string>

#include "ir/graph.h"

namespace lathe {

/// Throws Error (exit 3) that names the first node that quantizes, in any body.
void refuse_quantized(const Graph& graph, const std::string& hint);

}  // namespace lathe
