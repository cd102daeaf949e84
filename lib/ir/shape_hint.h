// What a user types to give an input its shape.
#pragma once

#include <string>

#include "ir/graph.h"

namespace lathe {

/// "fix it: --input-shape input_ids=1x64": what is known of its shape, and likely numbers where
/// nothing is.
std::string input_shape_hint(const Value& input);

}  // namespace lathe
