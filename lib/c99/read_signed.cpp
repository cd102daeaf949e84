#include "c99/read_signed.h"

#include <algorithm>

namespace lathe {
namespace {

// All that read the block do so as products' only input.
bool is_for_products(const NativePlan& plan, int32_t block) {
  for (const PlanStep& step : plan.steps) {
    const auto* product = std::get_if<ProductStep>(&step.kind);
    for (const ViewId read : views_of(step).reads) {
      if (view_of(plan, read).block != block) continue;
      if (product == nullptr || read != product->input) return false;
    }
  }
  return true;
}

}  // namespace

bool turns_signs(const NativePlan& plan, ViewId table) {
  const PlanView& view = view_of(plan, table);
  const PlanBlock& block = plan.blocks[static_cast<size_t>(view.block)];
  if (block.place != BlockPlace::kConstant || block.bytes != 256) return false;
  for (int i = 0; i < 256; ++i)
    if (plan.constants.data()[block.offset + i] != static_cast<std::byte>(i ^ 128)) return false;
  return true;
}

int read_signed_inputs(NativePlan& plan) {
  int count = 0;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const auto* table = std::get_if<LookupStep>(&plan.steps[i].kind);
    if (table == nullptr || !turns_signs(plan, table->table)) continue;
    const PlanView from = view_of(plan, table->input);
    const PlanView to = view_of(plan, table->output);
    const PlanBlock& source = plan.blocks[static_cast<size_t>(from.block)];
    if (source.place != BlockPlace::kInput || from.dtype != DType::kInt8 ||
        from.strides != to.strides || from.offset != 0 || to.offset != 0 ||
        !is_for_products(plan, to.block))
      continue;
    for (PlanView& view : plan.views)
      if (view.block == to.block) {
        view.block = from.block;
        view.dtype = DType::kInt8;
      }
    plan.steps.erase(plan.steps.begin() + static_cast<std::ptrdiff_t>(i--));
    ++count;
  }
  return count;
}

}  // namespace lathe
