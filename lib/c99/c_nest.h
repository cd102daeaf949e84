// Loops over strided arrays of one shape, as C text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ir/tensor.h"

namespace lathe {

/// Index expressions, one an array, in elements: "i0 * 64 + i1".
using NestBody = std::function<std::string(const std::vector<std::string>& indices)>;

/// A block of loops in the order in which the first array lies in memory; dimensions that lie one
/// behind the other in all arrays become one. `body` gives one statement with its line end.
std::string c_nest(const Shape& shape, const std::vector<std::vector<int64_t>>& strides,
                   const NestBody& body);

}  // namespace lathe
