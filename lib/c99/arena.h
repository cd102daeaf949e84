// Where the arrays of generated code lie. An array may be written over the one that the same step
// reads for the last time, as far as the order in which the kernel reads and writes allows it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "plan/plan.h"

namespace lathe {

/// How far a step's output may reach into its input: element addresses of the output minus those of
/// the input, in bytes.
struct StepOverlap {
  ViewId input;
  /// The input's first byte lies at least so far behind the output's.
  int64_t lead = 0;
  /// The distance is a multiple of this.
  int64_t step = 1;
};

/// What a step needs of the arena besides the arrays that it reads and writes.
struct StepNeeds {
  int64_t scratch_bytes = 0;
  std::optional<StepOverlap> overlap;
};

struct Arena {
  std::vector<int64_t> blocks;   // offsets; -1: not in the arena
  std::vector<int64_t> scratch;  // by step
  int64_t bytes = 0;
  int64_t lower_bound = 0;  // of any placement, overlaps included
  size_t peak_step = 0;     // that needs so much
};

/// Which arrays and which steps' scratch are placed.
struct ArenaSubset {
  std::vector<bool> blocks, scratch;
};

/// `needs`: one per step of the plan. Offsets are multiples of `alignment`, a power of two. `subset`:
/// null for all of them. Without `thorough` only a few orders are tried.
Arena place_arena(const NativePlan& plan, const std::vector<StepNeeds>& needs, int64_t alignment,
                  const ArenaSubset* subset = nullptr, bool thorough = true);
/// Its lower_bound alone.
int64_t least_arena_bytes(const NativePlan& plan, const std::vector<StepNeeds>& needs,
                          int64_t alignment);

}  // namespace lathe
