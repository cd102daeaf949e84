// Two regions of memory for the arrays of generated code: a small fast one (tightly coupled memory)
// for what is read and written most often for its size, and a large one for the rest.
#pragma once

#include <cstdint>
#include <vector>

#include "c99/arena.h"

namespace lathe {

struct TwoArenas {
  Arena fast;   // at most as large as was asked
  Arena large;  // offsets -1 for what lies in the other
};

TwoArenas split_arena(const NativePlan& plan, const std::vector<StepNeeds>& needs,
                      int64_t alignment, int64_t fast_bytes);

}  // namespace lathe
