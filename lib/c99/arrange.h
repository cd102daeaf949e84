// Steps and arrays where they take the least memory.
#pragma once

#include <cstdint>
#include <vector>

#include "c99/arena.h"
#include "c99/parts.h"
#include "plan/plan.h"

namespace lathe {

struct Arrangement {
  NativePlan plan;
  Arena arena;
  Arena fast;              // of the fast region: offsets -1 for what lies in `arena`
  Parts parts;             // of the plan that was given; count 1: none
  int64_t extra_macs = 0;  // what parts compute twice, less what nobody reads
};

/// `alignment`: of the arena. Where it takes more than `most_bytes`, the first steps come in parts:
/// of what fits the fewest multiplications, or else the smallest arena. `fast_bytes`: at
/// most, of a fast region besides; 0 for none. Throws Error (exit 3) naming
/// the node for a step without C code.
Arrangement arrange(const NativePlan& plan, int64_t alignment, int64_t most_bytes,
                    int64_t fast_bytes);

}  // namespace lathe
