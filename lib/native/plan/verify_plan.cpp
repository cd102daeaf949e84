#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/error.h"
#include "plan/plan_check.h"
#include "plan/verify_step_kinds.h"

namespace lathe {
namespace {

bool in_range(int64_t value, size_t count) {
  return value >= 0 && value < static_cast<int64_t>(count);
}

/// The view of number `index` among the graph's inputs or outputs, the block of which is `block`.
bool is_external(const NativePlan& plan, const std::vector<PlanValue>& values, int64_t index,
                 size_t block) {
  if (!in_range(index, values.size())) return false;
  const ViewId id = values[static_cast<size_t>(index)].view;
  return in_range(id.index, plan.views.size()) &&
         plan.views[static_cast<size_t>(id.index)].block == static_cast<int32_t>(block);
}

bool block_is_valid(const NativePlan& plan, size_t index) {
  const PlanBlock& block = plan.blocks[index];
  if (block.bytes < 0 || block.bytes > kMostPlanBytes || block.offset < 0 ||
      block.offset > kMostPlanBytes)
    return false;
  const bool aligned = block.offset % kBlockAlignment == 0;
  switch (block.place) {
    case BlockPlace::kArena: return aligned && block.offset <= plan.arena_bytes;
    case BlockPlace::kConstant:
      return aligned && block.offset + block.bytes <= static_cast<int64_t>(plan.constants.size());
    case BlockPlace::kInput: return is_external(plan, plan.inputs, block.offset, index);
    case BlockPlace::kOutput: return is_external(plan, plan.outputs, block.offset, index);
  }
  return false;
}

bool view_is_valid(const NativePlan& plan, const PlanView& view) {
  if (!in_range(view.block, plan.blocks.size()) || view.shape.size() > kMaxRank ||
      view.strides.size() != view.shape.size() || view.offset < 0 || view.offset > kMostPlanBytes ||
      !std::isfinite(view.scale) || view.scale < 0)
    return false;
  const int bits = static_cast<int>(view.dtype) < kDTypeCount ? dtype_bits(view.dtype) : 0;
  if (bits == 0 || bits % 8 != 0) return false;
  if (bits == 8 && view.scale != 0) {
    const int32_t least = view.dtype == DType::kInt8 ? -128 : 0;
    if (view.zero_point < least || view.zero_point > least + 255) return false;
  }
  int64_t elements = 1;
  for (size_t i = 0; i < view.shape.size(); ++i) {
    const int64_t dim = view.shape[i];
    if (dim < 0 || dim > kMostPlanBytes || view.strides[i] > kMostPlanBytes ||
        view.strides[i] < -kMostPlanBytes ||
        __builtin_mul_overflow(elements, std::max<int64_t>(dim, 1), &elements) ||
        elements > kMostPlanBytes)
      return false;
  }
  return true;
}

void verify_parts(const NativePlan& plan) {
  const PlanCheck check(plan, "plan");
  constexpr size_t kMostParts = INT32_MAX;
  check.require(plan.blocks.size() < kMostParts && plan.views.size() < kMostParts &&
                    plan.steps.size() < kMostParts && plan.slots.size() < kMostParts,
                "too many parts");
  check.require(plan.arena_bytes >= 0 && plan.arena_bytes <= kMostPlanBytes &&
                    plan.arena_lower_bound >= 0 && plan.arena_lower_bound <= kMostPlanBytes,
                "an arena of such a size cannot be");
  for (size_t i = 0; i < plan.views.size(); ++i)
    if (!view_is_valid(plan, plan.views[i]))
      PlanCheck(plan, fmt::format("view {}", i)).fail("a view that cannot be");
  for (size_t i = 0; i < plan.blocks.size(); ++i)
    if (!block_is_valid(plan, i))
      PlanCheck(plan, fmt::format("block {}", i)).fail("a block of memory that is not there");
}

/// The graph's inputs or outputs: whole blocks without gaps, or slots.
void verify_ends(const NativePlan& plan, const std::vector<PlanValue>& values, BlockPlace place,
                 std::string_view what) {
  for (size_t i = 0; i < values.size(); ++i) {
    const PlanCheck check(plan, fmt::format("{} {}", what, i));
    const PlanValue& value = values[i];
    if (!value.view.valid()) {
      check.require(in_range(value.slot, plan.slots.size()), "there is no such slot");
      continue;
    }
    check.require(value.slot == -1, "a value that is a view and a slot");
    const PlanView& view = check.view(value.view);
    const PlanBlock& block = check.block(view);
    check.require(block.place == place && block.offset == static_cast<int64_t>(i) &&
                      view.offset == 0 &&
                      block.bytes == element_count(view.shape) * (dtype_bits(view.dtype) / 8),
                  "not the caller's memory");
    check.dense(view);
  }
}

/// Blocks and slots are read only after they were written; constants and inputs never are.
class WrittenOrder {
 public:
  explicit WrittenOrder(const NativePlan& plan)
      : plan_(plan), blocks_(plan.blocks.size()), slots_(plan.slots.size()) {
    for (size_t i = 0; i < plan.blocks.size(); ++i)
      blocks_[i] = plan.blocks[i].place == BlockPlace::kConstant ||
                   plan.blocks[i].place == BlockPlace::kInput;
    for (const PlanValue& input : plan.inputs)
      if (input.slot >= 0) slots_[static_cast<size_t>(input.slot)] = true;
  }

  void pass(const PlanCheck& check, const PlanStep& step) {
    const auto* partition = std::get_if<FallbackStep>(&step.kind);
    const StepViews views = views_of(step);
    for (const ViewId id : views.reads)
      check.require(blocks_[block_of(id)], "memory is read that nobody has written");
    if (partition != nullptr)
      for (const PlanValue& value : partition->inputs)
        if (value.slot >= 0)
          check.require(slots_[static_cast<size_t>(value.slot)],
                        "a slot is read that nobody has written");
    for (const ViewId id : views.writes) {
      const PlanBlock& block = plan_.blocks[block_of(id)];
      check.require(block.place == BlockPlace::kArena || block.place == BlockPlace::kOutput,
                    "a constant or an input is written");
      check.require(
          block.place == BlockPlace::kOutput || block.offset + block.bytes <= plan_.arena_bytes,
          "memory beyond the arena is written");
      blocks_[block_of(id)] = true;
    }
    if (partition != nullptr)
      for (const PlanValue& value : partition->outputs)
        if (value.slot >= 0) slots_[static_cast<size_t>(value.slot)] = true;
  }

  bool is_written(const PlanValue& value) const {
    return value.view.valid() ? blocks_[block_of(value.view)]
                              : slots_[static_cast<size_t>(value.slot)];
  }

 private:
  size_t block_of(ViewId id) const {
    return static_cast<size_t>(plan_.views[static_cast<size_t>(id.index)].block);
  }

  const NativePlan& plan_;
  std::vector<bool> blocks_;
  std::vector<bool> slots_;
};

}  // namespace

void verify_step(const PlanCheck& check, const PlanStep& step) {
  std::visit([&](const auto& kind) { verify(check, kind); }, step.kind);
}

void verify_plan(const NativePlan& plan) {
  verify_parts(plan);
  verify_ends(plan, plan.inputs, BlockPlace::kInput, "input");
  verify_ends(plan, plan.outputs, BlockPlace::kOutput, "output");
  WrittenOrder order(plan);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const PlanStep& step = plan.steps[i];
    const std::string name = step.nodes.empty() ? "" : escape_untrusted(step.nodes.front());
    const PlanCheck check(plan, fmt::format("step {} ({} {})", i, step_name(step.kind), name));
    check.require(step.choice.threads >= 0 && step.choice.threads <= kMostStepThreads &&
                      step.choice.implementation.size() <= kMostImplementationName,
                  "a choice that cannot be");
    verify_step(check, step);
    verify_apart(check, step);
    order.pass(check, step);
  }
  for (size_t i = 0; i < plan.outputs.size(); ++i)
    PlanCheck(plan, fmt::format("output {}", i))
        .require(order.is_written(plan.outputs[i]), "nobody writes it");
  verify_arena(plan);
}

}  // namespace lathe
