#include "engine/timed_plan.h"

#include <chrono>

#include "engine/fallback_partition.h"
#include "evaluate/evaluate.h"
#include "ir/error.h"

namespace lathe {

TimedPlan::TimedPlan(const LoweredGraph& lowered, const std::vector<Tensor>& inputs,
                     const ProgramOptions& options)
    : slots_(lowered.plan.slots.size()) {
  ProgramOptions fixed = options;
  fixed.keeps_pool = true;
  program_ =
      std::make_unique<Program>(lowered.plan, fixed, fallback_binder(lowered.partitions, slots_));
  const NativePlan& bound = program_->plan();
  if (inputs.size() != bound.inputs.size())
    throw InternalError("timed plan: another number of inputs");
  for (size_t i = 0; i < inputs.size(); ++i) {
    inputs_.push_back(to_runtime(inputs[i]));
    in_.push_back(nullptr);
    if (bound.inputs[i].slot >= 0) continue;
    const PlanView& view = bound.views[static_cast<size_t>(bound.inputs[i].view.index)];
    if (inputs[i].shape() != view.shape || inputs[i].dtype() != view.dtype)
      throw InternalError("timed plan: an input of another shape or type");
    held_.push_back(inputs_.back().tensor->contiguous());
    in_.back() = held_.back().data_ptr();
  }
  for (const PlanValue& output : bound.outputs) {
    out_.push_back(nullptr);
    if (output.slot >= 0) continue;
    const PlanView& view = bound.views[static_cast<size_t>(output.view.index)];
    held_.push_back(at::empty(view.shape, storage_type(view.dtype)));
    out_.back() = held_.back().data_ptr();
  }
}

void TimedPlan::fill_slots() {
  for (size_t i = 0; i < inputs_.size(); ++i)
    if (const int32_t slot = plan().inputs[i].slot; slot >= 0)
      slots_[static_cast<size_t>(slot)] = inputs_[i];
}

std::vector<int64_t> TimedPlan::run_steps() {
  fill_slots();
  std::vector<int64_t> times(plan().steps.size());
  program_->run(in_, out_, [&](size_t step, int64_t duration_ns) { times[step] = duration_ns; });
  return times;
}

int64_t TimedPlan::run() {
  fill_slots();
  const auto start = std::chrono::steady_clock::now();
  program_->run(in_, out_);
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() -
                                                              start)
      .count();
}

}  // namespace lathe
