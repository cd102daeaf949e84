#include <algorithm>
#include <cstddef>
#include <vector>

#include "lower/improve_plan.h"

namespace lathe {

int order_constants(NativePlan& plan) {
  std::vector<PlanBlock*> blocks;
  for (PlanBlock& block : plan.blocks)
    if (block.place == BlockPlace::kConstant) blocks.push_back(&block);
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](const PlanBlock* a, const PlanBlock* b) { return a->bytes < b->bytes; });
  const std::vector<std::byte>& old = plan.constants.own();
  std::vector<std::byte> ordered;
  ordered.reserve(old.size());
  int moved = 0;
  for (PlanBlock* block : blocks) {
    ordered.resize(block_aligned(ordered.size()));
    const auto from = old.begin() + block->offset;
    const auto offset = static_cast<int64_t>(ordered.size());
    ordered.insert(ordered.end(), from, from + block->bytes);
    moved += block->offset != offset ? 1 : 0;
    block->offset = offset;
  }
  plan.constants.own() = std::move(ordered);
  return moved;
}

}  // namespace lathe
