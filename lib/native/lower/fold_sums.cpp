
#include "lower/improve_plan.h"
#include "lower/step_users.h"

namespace lathe {
namespace {

bool same_layout(const PlanView& a, const PlanView& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.strides == b.strides;
}

/// The function behind a sum of two inputs; nullopt: the program does something else.
std::optional<FloatTail> tail_behind_sum(const ElementwiseProgramStep& step) {
  if (step.inputs.size() != 2 || step.program.empty() || step.program.size() > 2)
    return std::nullopt;
  const ElementwiseOp& sum = step.program[0];
  if (sum.kind != ElementwiseKind::kAdd || sum.a == sum.b) return std::nullopt;
  FloatTail tail;
  if (step.program.size() == 1) return tail;
  const ElementwiseOp& last = step.program[1];
  if (last.a != 2) return std::nullopt;
  switch (last.kind) {
    case ElementwiseKind::kRelu: tail.function = FloatTail::Function::kRelu; return tail;
    case ElementwiseKind::kClip:
      tail.function = FloatTail::Function::kClip;
      tail.alpha = last.p;
      tail.beta = last.q;
      return tail;
    default: return std::nullopt;
  }
}

}  // namespace

int fold_sums(NativePlan& plan) {
  const std::vector<BlockUse> uses = block_uses(plan);
  std::vector<bool> erased(plan.steps.size(), false);
  std::vector<bool> taken(plan.blocks.size(), false);
  int changes = 0;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const auto* sum = std::get_if<ElementwiseProgramStep>(&plan.steps[i].kind);
    if (sum == nullptr) continue;
    const auto tail = tail_behind_sum(*sum);
    if (!tail) continue;
    const PlanView& to = view_of(plan, sum->output);
    const auto to_block = static_cast<size_t>(to.block);
    // The sum's result must be the only thing in its block, for all its readers move.
    if (plan.blocks[to_block].place != BlockPlace::kArena || uses[to_block].writers.size() != 1)
      continue;
    for (const size_t own : {size_t{0}, size_t{1}}) {
      const ViewId mine = sum->inputs[own];
      const ViewId other = sum->inputs[1 - own];
      const auto mine_block = static_cast<size_t>(view_of(plan, mine).block);
      const auto other_block = static_cast<size_t>(view_of(plan, other).block);
      if (mine_block == other_block || taken[mine_block] || taken[other_block] ||
          !same_layout(view_of(plan, mine), view_of(plan, other)) ||
          !same_layout(view_of(plan, mine), to) || view_of(plan, other).offset != 0 ||
          to.offset != 0 || plan.blocks[other_block].bytes != plan.blocks[to_block].bytes ||
          plan.blocks[other_block].place != BlockPlace::kArena ||
          plan.blocks[mine_block].place != BlockPlace::kArena ||
          uses[mine_block].readers.size() != 1 || uses[mine_block].writers.size() != 1)
        continue;
      const size_t writer = uses[mine_block].writers.front();
      auto* conv = std::get_if<FloatConvStep>(&plan.steps[writer].kind);
      if (conv == nullptr || conv->tail.function != FloatTail::Function::kNone ||
          conv->tail.sum.valid() || conv->output != mine)
        continue;
      // The other summand is there when the convolution runs, and nobody reads it afterwards.
      if (uses[other_block].writers.back() >= writer || uses[other_block].readers.back() != i ||
          (uses[other_block].readers.size() > 1 &&
           uses[other_block].readers[uses[other_block].readers.size() - 2] > writer))
        continue;
      const auto conv_input = static_cast<size_t>(view_of(plan, conv->input).block);
      if (conv_input == other_block) continue;
      conv->tail = *tail;
      conv->tail.sum = other;
      conv->output = other;
      for (PlanView& view : plan.views)
        if (static_cast<size_t>(view.block) == to_block)
          view.block = static_cast<int32_t>(other_block);
      plan.steps[writer].nodes.insert(plan.steps[writer].nodes.end(), plan.steps[i].nodes.begin(),
                                      plan.steps[i].nodes.end());
      // Uses are not kept up to date: a block takes part in one change.
      taken[mine_block] = taken[other_block] = taken[to_block] = true;
      erased[i] = true;
      ++changes;
      break;
    }
  }
  erase_steps(plan, erased);
  return changes;
}

}  // namespace lathe
