#include "program/batch_program.h"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

#include "ir/error.h"
#include "plan/divide_plan.h"

namespace lathe {
namespace {

/// Parts that threads take one by one: as many for each, and what is left over where that keeps
/// most of them busy.
int64_t parts_for_single_threads(int64_t parts, int threads) {
  const int64_t left = parts % threads;
  return left * 2 > threads ? parts : parts - left;
}

NativePlan divided(const NativePlan& plan, int64_t parts) {
  std::optional<NativePlan> part = divide_plan(plan, parts);
  if (!part) throw InternalError("BatchProgram: the plan has no such parts");
  return *std::move(part);
}

/// Exceptions must not leave a parallel region: keeps that of the first part.
class FirstError {
 public:
  template <class Body>
  void guard(int64_t part, const Body& body) {
    try {
      body();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (error_ && part_ < part) return;
      error_ = std::current_exception();
      part_ = part;
    }
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
  int64_t part_ = 0;
};

}  // namespace

int64_t batch_arena_bytes(const NativePlan& plan, int64_t parts, int threads) {
  if (parts == 1) return plan.arena_bytes;
  const int64_t alone = parts_for_single_threads(parts, threads);
  const int64_t programs = std::min<int64_t>(threads, alone) + (alone < parts ? 1 : 0);
  return programs * divided(plan, parts).arena_bytes;
}

BatchProgram::Worker::Worker(NativePlan plan, const ProgramOptions& options,
                             const Program::BindFallback& bind_fallback)
    : program(std::make_unique<Program>(std::move(plan), options, bind_fallback)) {
  inputs.resize(program->plan().inputs.size());
  outputs.resize(program->plan().outputs.size());
}

void BatchProgram::Worker::run_part(int64_t part, std::span<const void* const> all_inputs,
                                    std::span<void* const> all_outputs, bool observed) {
  const NativePlan& plan = program->plan();
  for (size_t i = 0; i < inputs.size(); ++i)
    inputs[i] =
        static_cast<const std::byte*>(all_inputs[i]) + part * part_bytes(plan, plan.inputs[i]);
  for (size_t i = 0; i < outputs.size(); ++i)
    outputs[i] = static_cast<std::byte*>(all_outputs[i]) + part * part_bytes(plan, plan.outputs[i]);
  if (!observed) return program->run(inputs, outputs);
  times_ns.resize(plan.steps.size());
  program->run(inputs, outputs,
               [&](size_t step, int64_t duration_ns) { times_ns[step] += duration_ns; });
}

int64_t BatchProgram::Worker::taken_ns(size_t step) {
  return step < times_ns.size() ? std::exchange(times_ns[step], 0) : 0;
}

BatchProgram::BatchProgram(NativePlan plan, int64_t parts, const ProgramOptions& options,
                           const Program::BindFallback& bind_fallback)
    : plan_(std::move(plan)), parts_(parts) {
  if (parts_ == 1) {
    together_ = std::make_unique<Worker>(plan_, options, bind_fallback);
    return;
  }
  const NativePlan part = divided(plan_, parts_);
  parts_alone_ = parts_for_single_threads(parts_, options.threads);
  ProgramOptions shared = options;
  if (!shared.packed) shared.packed = std::make_shared<PackedWeights>();
  if (parts_alone_ < parts_) together_ = std::make_unique<Worker>(part, shared, bind_fallback);
  shared.threads = 1;
  for (int64_t i = 0; i < std::min<int64_t>(options.threads, parts_alone_); ++i)
    alone_.push_back(std::make_unique<Worker>(part, shared, bind_fallback));
}

int64_t BatchProgram::of_all_plans(int64_t NativePlan::*bytes) const {
  int64_t sum = together_ ? together_->program->plan().*bytes : 0;
  for (const auto& worker : alone_) sum += worker->program->plan().*bytes;
  return sum;
}

std::string_view BatchProgram::implementation(size_t step) const {
  return (alone_.empty() ? together_ : alone_.front())->program->implementation(step);
}

void BatchProgram::run(std::span<const void* const> inputs, std::span<void* const> outputs,
                       const Program::StepObserver& observer) {
  if (parts_ == 1) return together_->program->run(inputs, outputs, observer);
  const bool observed = static_cast<bool>(observer);
  FirstError error;
  if (!alone_.empty()) {
#pragma omp parallel num_threads(static_cast <int>(alone_.size()))
    {
      Worker& own = *alone_[static_cast<size_t>(omp_get_thread_num())];
#pragma omp for schedule(dynamic, 1)
      for (int64_t part = 0; part < parts_alone_; ++part)
        error.guard(part, [&] { own.run_part(part, inputs, outputs, observed); });
    }
  }
  error.rethrow();
  for (int64_t part = parts_alone_; part < parts_; ++part)
    together_->run_part(part, inputs, outputs, observed);
  if (observed) report_times(observer);
}

void BatchProgram::report_times(const Program::StepObserver& observer) {
  for (size_t step = 0; step < plan_.steps.size(); ++step) {
    int64_t alone_ns = 0;
    for (const auto& worker : alone_) alone_ns += worker->taken_ns(step);
    const int64_t together_ns = together_ ? together_->taken_ns(step) : 0;
    const auto threads = static_cast<int64_t>(std::max<size_t>(alone_.size(), 1));
    observer(step, alone_ns / threads + together_ns);
  }
}

}  // namespace lathe
