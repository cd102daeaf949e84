#include "lower/improve_plan.h"
#include "lower/step_users.h"

namespace lathe {
namespace {

struct Product {
  PlanEpilogue* epilogue = nullptr;
  ViewId* output = nullptr;
};

Product product_of(PlanStep& step) {
  if (auto* product = std::get_if<ProductStep>(&step.kind))
    return {&product->epilogue, &product->output};
  if (auto* depthwise = std::get_if<DepthwiseStep>(&step.kind))
    return {&depthwise->epilogue, &depthwise->output};
  return {};
}

const uint8_t* bytes_of(const NativePlan& plan, ViewId id) {
  const PlanView& view = plan.views[static_cast<size_t>(id.index)];
  const PlanBlock& block = plan.blocks[static_cast<size_t>(view.block)];
  return reinterpret_cast<const uint8_t*>(plan.constants.data()) + block.offset + view.offset;
}

/// first, then second.
ViewId composed(NativePlan& plan, ViewId first, ViewId second) {
  std::vector<std::byte> table(256);
  for (size_t q = 0; q < table.size(); ++q)
    table[q] = static_cast<std::byte>(bytes_of(plan, second)[bytes_of(plan, first)[q]]);
  std::vector<std::byte>& constants = plan.constants.own();
  constants.resize(block_aligned(constants.size()));
  PlanBlock block{BlockPlace::kConstant, 256, static_cast<int64_t>(constants.size())};
  constants.insert(constants.end(), table.begin(), table.end());
  plan.blocks.push_back(block);
  PlanView view = plan.views[static_cast<size_t>(first.index)];
  view.block = static_cast<int32_t>(plan.blocks.size() - 1);
  view.offset = 0;
  plan.views.push_back(std::move(view));
  return {static_cast<int32_t>(plan.views.size() - 1)};
}

}  // namespace

int fold_tables(NativePlan& plan) {
  const std::vector<BlockUse> uses = block_uses(plan);
  std::vector<bool> erased(plan.steps.size(), false);
  int changes = 0;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const auto* lookup = std::get_if<LookupStep>(&plan.steps[i].kind);
    if (lookup == nullptr) continue;
    const PlanView& from = plan.views[static_cast<size_t>(lookup->input.index)];
    const PlanView& to = plan.views[static_cast<size_t>(lookup->output.index)];
    const BlockUse& use = uses[static_cast<size_t>(from.block)];
    if (to.dtype != DType::kUInt8 || use.readers.size() != 1 || use.writers.size() != 1 ||
        plan.blocks[static_cast<size_t>(from.block)].place != BlockPlace::kArena)
      continue;
    const size_t writer = use.writers.front();
    const Product product = product_of(plan.steps[writer]);
    if (product.output == nullptr || erased[writer]) continue;
    const PlanView& made = plan.views[static_cast<size_t>(product.output->index)];
    if (made.dtype != DType::kUInt8 || made.shape != from.shape || made.strides != from.strides ||
        made.offset != from.offset || to.strides != from.strides)
      continue;
    const ViewId table = lookup->table;
    const ViewId output = lookup->output;
    product.epilogue->table =
        product.epilogue->table.valid() ? composed(plan, product.epilogue->table, table) : table;
    *product.output = output;
    erased[i] = true;
    ++changes;
  }
  erase_steps(plan, erased);
  return changes;
}

}  // namespace lathe
