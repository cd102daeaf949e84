// A plan of a whole batch made ready to run, in parts where these are faster (plan/divide_plan.h).
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "plan/plan.h"
#include "program/program.h"

namespace lathe {

/// What BatchProgram takes for arenas.
int64_t batch_arena_bytes(const NativePlan& plan, int64_t parts, int threads);

/// Each thread takes part after part; parts that are left over when every thread had as many are
/// computed by all threads together. The bytes of results are the same for any number of threads.
class BatchProgram {
 public:
  /// `parts`: 1, or as many as divide_plan can make; worthwhile_parts says how many should be. The
  /// rest and errors as Program's.
  BatchProgram(NativePlan plan, int64_t parts, const ProgramOptions& options,
               const Program::BindFallback& bind_fallback = {});

  const NativePlan& plan() const { return plan_; }
  /// 1: the plan runs as a whole.
  int64_t parts() const { return parts_; }
  /// Of all threads.
  int64_t arena_bytes() const { return of_all_plans(&NativePlan::arena_bytes); }
  int64_t arena_lower_bound() const { return of_all_plans(&NativePlan::arena_lower_bound); }

  /// As Program's. Of a plan in parts, `observer` is told of each step once, with its
  /// share of the run.
  void run(std::span<const void* const> inputs, std::span<void* const> outputs,
           const Program::StepObserver& observer = {});

  /// As Program's; of a plan in parts none.
  int64_t lone_runs() const { return parts_ == 1 ? together_->program->lone_runs() : 0; }
  std::string_view implementation(size_t step) const;

 private:
  /// A program and where its part of the inputs and outputs lies.
  struct Worker {
    std::unique_ptr<Program> program;
    std::vector<const void*> inputs;
    std::vector<void*> outputs;
    std::vector<int64_t> times_ns;  // of the steps of all parts that it ran, when they are observed

    Worker(NativePlan plan, const ProgramOptions& options,
           const Program::BindFallback& bind_fallback);
    void run_part(int64_t part, std::span<const void* const> all_inputs,
                  std::span<void* const> all_outputs, bool observed);
    /// Since the last time that it was asked.
    int64_t taken_ns(size_t step);
  };
  int64_t of_all_plans(int64_t NativePlan::*bytes) const;
  void report_times(const Program::StepObserver& observer);

  NativePlan plan_;
  int64_t parts_ = 1;
  int64_t parts_alone_ = 0;                     // the first so many; single threads compute them
  std::vector<std::unique_ptr<Worker>> alone_;  // one a thread
  std::unique_ptr<Worker> together_;            // of all threads: the whole, or what is left over
};

}  // namespace lathe
