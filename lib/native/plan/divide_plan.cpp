#include "plan/divide_plan.h"

#include <algorithm>
#include <variant>

#include "kernels/integer_product.h"
#include "plan/step_rows.h"

namespace lathe {
namespace {

enum class Role : uint8_t { kNone, kRows, kWhole };

/// What the steps make of each view; empty: they make no parts.
std::vector<Role> roles_of(const NativePlan& plan) {
  std::vector<Role> roles(plan.views.size(), Role::kNone);
  const auto take = [&](ViewId id, Role role) {
    Role& known = roles[static_cast<size_t>(id.index)];
    if (known != Role::kNone && known != role) return false;
    known = role;
    return true;
  };
  for (const PlanStep& step : plan.steps) {
    const std::optional<StepRows> found = rows_of(step, plan);
    if (!found) return {};
    for (const ViewId id : found->rows)
      if (!take(id, Role::kRows)) return {};
    for (const ViewId id : found->whole)
      if (!take(id, Role::kWhole)) return {};
  }
  for (const std::vector<PlanValue>* ports : {&plan.inputs, &plan.outputs})
    for (const PlanValue& port : *ports)
      if (!port.view.valid() || !take(port.view, Role::kRows)) return {};
  return roles;
}

/// Bytes of a block from one part to the next, as this view has them.
int64_t pitch(const PlanView& part) {
  return part.shape.front() * part.strides.front() * element_bytes(part);
}

/// Makes the view one of a part. `pitches`: of blocks, -1 where it is not known yet.
bool divide_view(PlanView& view, const PlanBlock& block, int64_t parts, int64_t& block_pitch) {
  if (view.shape.empty() || view.shape.front() == 0 || view.shape.front() % parts != 0)
    return false;
  view.shape.front() /= parts;
  // The same for all rows.
  if (block.place == BlockPlace::kConstant) return view.strides.front() == 0;
  const int64_t bytes = pitch(view);
  if (block_pitch < 0) block_pitch = bytes;
  const int64_t first = view.offset * element_bytes(view);
  const int64_t last = first + span_elements(view) * element_bytes(view);
  return bytes > 0 && bytes == block_pitch && first >= 0 && last <= bytes &&
         bytes <= block.bytes / parts &&
         std::ranges::all_of(view.strides, [](int64_t stride) { return stride >= 0; });
}

int64_t written_bytes(const NativePlan& plan) {
  int64_t bytes = 0;
  for (const PlanStep& step : plan.steps) {
    for (const ViewId id : views_of(step).writes) {
      const PlanView& view = plan.views[static_cast<size_t>(id.index)];
      bytes += element_count(view.shape) * element_bytes(view);
    }
  }
  return bytes;
}

}  // namespace

std::optional<NativePlan> divide_plan(const NativePlan& plan, int64_t parts) {
  const std::vector<Role> roles = roles_of(plan);
  if (roles.empty() || parts < 2 || !plan.slots.empty()) return {};
  NativePlan part = plan;
  std::vector<int64_t> pitches(plan.blocks.size(), -1);
  for (size_t i = 0; i < roles.size(); ++i) {
    PlanView& view = part.views[i];
    const auto index = static_cast<size_t>(view.block);
    const PlanBlock& block = plan.blocks[index];
    if (roles[i] == Role::kWhole && block.place != BlockPlace::kConstant) return {};
    if (roles[i] == Role::kRows && !divide_view(view, block, parts, pitches[index])) return {};
  }
  for (size_t i = 0; i < pitches.size(); ++i)
    if (pitches[i] >= 0) part.blocks[i].bytes -= (parts - 1) * pitches[i];
  place_blocks(part);
  verify_plan(part);
  return part;
}

int64_t part_bytes(const NativePlan& part, const PlanValue& port) {
  return pitch(part.views[static_cast<size_t>(port.view.index)]);
}

int64_t worthwhile_parts(const NativePlan& plan, int threads) {
  // What a core's own cache holds, about. Arrays of this size stay there anyway.
  constexpr int64_t kCached = int64_t{1} << 20;
  // Two samples use what they read of the weights twice, and more gain little from that.
  constexpr int64_t kFewestRows = 2;
  // Arrays written for one byte of weights, which each part reads again.
  constexpr int64_t kMostWeights = 4;
  if (plan.arena_bytes <= kCached || plan.inputs.empty() || !plan.inputs.front().view.valid())
    return 1;
  // oneDNN's GEMM sums a few rows in another order than many: parts must be the same for any
  // threads.
  if (best_kernel_isa() != KernelIsa::kAvx512Vnni &&
      std::any_of(plan.steps.begin(), plan.steps.end(), [](const PlanStep& step) {
        return std::holds_alternative<FloatMatMulStep>(step.kind);
      }))
    threads = 1;
  const Shape& shape = plan.views[static_cast<size_t>(plan.inputs.front().view.index)].shape;
  const int64_t rows = shape.empty() ? 1 : shape.front();
  const int64_t wanted = std::max(kFewestRows, kCached * rows / plan.arena_bytes);
  for (int64_t each = std::min(wanted, rows / 2); each >= 1; --each) {
    const int64_t parts = rows / each;
    if (rows % each != 0 || parts < threads) continue;
    const std::optional<NativePlan> part = divide_plan(plan, parts);
    const auto weights = static_cast<int64_t>(plan.constants.size());
    return part && weights <= kMostWeights * written_bytes(*part) ? parts : 1;
  }
  return 1;
}

}  // namespace lathe
