// The order of a plan's steps decides which arrays are alive at once.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/plan.h"

namespace lathe {

/// An order in which each step comes behind those that make what it reads and those that read or
/// write what it overwrites, and less memory is taken at the worst moment (sizes of arrays and
/// scratch of each step, overlaps left out): the best that a beam search finds, the plan's own
/// unless there is a better one. The same for the same plan.
std::vector<size_t> order_for_memory(const NativePlan& plan,
                                     const std::vector<int64_t>& scratch_bytes);

/// The same steps in this order.
NativePlan reordered(const NativePlan& plan, const std::vector<size_t>& order);

}  // namespace lathe
