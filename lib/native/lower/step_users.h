// Who writes and reads the blocks of a plan.
#pragma once

#include <vector>

#include "plan/plan.h"

namespace lathe {

struct BlockUse {
  std::vector<size_t> writers;  // steps, ascending
  std::vector<size_t> readers;
};

/// One entry per block.
std::vector<BlockUse> block_uses(const NativePlan& plan);

/// Removes steps, keeping the order of the others.
void erase_steps(NativePlan& plan, const std::vector<bool>& erased);

}  // namespace lathe
