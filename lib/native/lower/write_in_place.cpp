#include <algorithm>

#include "lower/improve_plan.h"
#include "lower/move_view.h"
#include "lower/step_users.h"
#include "lower/view_rows.h"

namespace lathe {
namespace {

/// Takes images whose pixels have a pitch. oneDNN's float convolutions do, but with their reference
/// implementation.
bool takes_pitch(const StepKind& kind) {
  if (const auto* product = std::get_if<ProductStep>(&kind))
    return product->axis == ChannelAxis::kSecond;
  return std::holds_alternative<DepthwiseStep>(kind) ||
         std::holds_alternative<ElementwiseProgramStep>(kind) ||
         std::holds_alternative<PoolStep>(kind) || std::holds_alternative<ResizeStep>(kind) ||
         std::holds_alternative<CopyStep>(kind) || std::holds_alternative<ConvertStep>(kind) ||
         std::holds_alternative<LookupStep>(kind);
}

/// `part` is a range of channels of all pixels of its block; `whole` is all of its own block.
bool is_channel_range(const PlanView& whole, const PlanView& part) {
  if (whole.shape.size() < 3 || whole.shape.size() > 4 || whole.shape[1] < 2) return false;
  const int64_t channels = whole.shape[1];
  if (whole.offset != 0 || whole.strides[1] != 1 || part.strides[1] != 1 ||
      whole.dtype != part.dtype)
    return false;
  int64_t expected = channels;
  int64_t pitch = 0;
  for (size_t i = whole.shape.size(); i-- > 0;) {
    if (i == 1 || whole.shape[i] == 1) continue;
    if (pitch == 0) pitch = part.strides[i];
    if (whole.strides[i] != expected || part.strides[i] != expected / channels * pitch)
      return false;
    expected *= whole.shape[i];
  }
  return pitch >= channels;
}

/// No view of the block has anything behind the view's elements.
bool is_whole_block(const NativePlan& plan, const PlanView& whole) {
  const int64_t count = element_count(whole.shape);
  return std::all_of(plan.views.begin(), plan.views.end(), [&](const PlanView& view) {
    if (view.block != whole.block) return true;
    int64_t last = view.offset;
    for (size_t i = 0; i < view.shape.size(); ++i)
      last += std::max<int64_t>(view.strides[i], 0) * (view.shape[i] - 1);
    return view.dtype == whole.dtype && last < count;
  });
}

/// The step takes its arrays as they lie in `views`.
bool takes_views(const StepKind& kind, const std::vector<PlanView>& views) {
  const auto has_pitch = [&](ViewId id) {
    return !id.valid() || has_pixel_pitch(views[static_cast<size_t>(id.index)]);
  };
  if (const auto* product = std::get_if<ProductStep>(&kind))
    return has_pitch(product->output) && has_pitch(product->epilogue.residual);
  if (const auto* depthwise = std::get_if<DepthwiseStep>(&kind))
    return has_pitch(depthwise->input) && has_pitch(depthwise->output) &&
           has_pitch(depthwise->epilogue.residual);
  if (const auto* lookup = std::get_if<LookupStep>(&kind))
    return has_pitch(lookup->input) && has_pitch(lookup->output);
  return true;
}

}  // namespace

int write_in_place(NativePlan& plan) {
  int changes = 0;
  std::vector<bool> erased(plan.steps.size(), false);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const auto* copy = std::get_if<CopyStep>(&plan.steps[i].kind);
    if (copy == nullptr || erased[i]) continue;
    const PlanView from = view_of(plan, copy->input);
    const PlanView to = view_of(plan, copy->output);
    const auto block = static_cast<size_t>(from.block);
    if (plan.blocks[block].place != BlockPlace::kArena || from.block == to.block ||
        plan.blocks[static_cast<size_t>(to.block)].place != BlockPlace::kArena ||
        from.shape != to.shape || !is_channel_range(from, to) || !is_whole_block(plan, from))
      continue;
    const std::vector<BlockUse> uses = block_uses(plan);
    const BlockUse& use = uses[block];
    if (use.writers.size() != 1 || use.writers.front() >= i) continue;
    const auto fits = [&](size_t step) {
      return erased[step] || takes_pitch(plan.steps[step].kind);
    };
    if (!std::all_of(use.readers.begin(), use.readers.end(), fits) || !fits(use.writers.front()))
      continue;
    // The whole must not be filled after the part was written.
    const std::vector<size_t>& others = uses[static_cast<size_t>(to.block)].writers;
    const bool filled = std::any_of(others.begin(), others.end(), [&](size_t step) {
      return std::holds_alternative<FillStep>(plan.steps[step].kind);
    });
    if (filled) continue;
    int64_t pitch = 0;
    for (size_t d = from.shape.size(); d-- > 0 && pitch == 0;)
      if (d != 1 && from.shape[d] > 1) pitch = to.strides[d] / (from.strides[d] / from.shape[1]);
    std::vector<PlanView> moved = plan.views;
    ArrayMove move{{{from.shape[1], pitch}, {1, 1}}, to.offset};
    bool possible = pitch > 0;
    for (PlanView& view : moved)
      if (possible && static_cast<size_t>(view.block) == block) {
        possible = move_view(view, move);
        view.block = to.block;
      }
    const auto fits_moved = [&](size_t step) {
      return erased[step] || takes_views(plan.steps[step].kind, moved);
    };
    if (!possible || !keeps_apart(move) || !fits_moved(use.writers.front()) ||
        !std::all_of(use.readers.begin(), use.readers.end(), fits_moved))
      continue;
    plan.views = std::move(moved);
    erased[i] = true;
    ++changes;
  }
  erase_steps(plan, erased);
  return changes;
}

}  // namespace lathe
