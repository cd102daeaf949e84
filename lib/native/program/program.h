// A native plan made ready to run: memory allocated, weights packed, every argument bound. A run is
// a loop over the steps.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "program/bound_step.h"
#include "program/pool_worth.h"

namespace lathe {

/// The processor has tiles for int8 (AMX): oneDNN's products are faster than lathe's own there.
bool has_integer_tiles();

struct ProgramOptions {
  int threads = 1;
  KernelIsa isa = best_kernel_isa();
  bool onednn_products = has_integer_tiles();
  /// Weights that programs of plans with the same constants share; null: the program's own.
  std::shared_ptr<PackedWeights> packed;
  /// Every run uses all threads, also where one is faster; so do plans with fallback partitions,
  /// and programs with alternatives.
  bool keeps_pool = false;
  /// For some steps, choices that Program::choose may take in place of the plan's.
  std::map<size_t, std::vector<StepChoice>> alternatives;
};

/// oneDNN's release and the instructions that it uses; "no oneDNN" in a build without it.
std::string onednn_build();

/// Packed weights are the same in another process that has the same key: instructions, libraries
/// and the orders that they want.
std::string packing_key(const ProgramOptions& options);

/// Runs of one Program are one at a time; several Programs may run side by side.
class Program {
 public:
  /// Makes the step of a fallback partition; the plan's other steps need nobody. Empty: a fallback
  /// partition throws Error (exit 6).
  using BindFallback = std::function<std::unique_ptr<BoundStep>(const FallbackStep& step,
                                                                const BindContext& context)>;

  /// Takes the plan over. Throws Error: exit 8 when memory runs out, exit 6 when oneDNN cannot
  /// compute a step.
  Program(NativePlan plan, const ProgramOptions& options, const BindFallback& bind_fallback = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  const NativePlan& plan() const { return plan_; }

  /// `inputs`, `outputs`: addresses of dense arrays, in the graph's order; null where the plan has
  /// a slot. `observer`, where given, is told of every step's time.
  using StepObserver = std::function<void(size_t step, int64_t duration_ns)>;
  void run(std::span<const void* const> inputs, std::span<void* const> outputs,
           const StepObserver& observer = {});

  /// Runs that one thread computed, as more had taken longer (PoolWorth).
  int64_t lone_runs() const { return pool_worth_.lone_runs(); }

  /// Names for StepChoice::implementation of what computes the step on this machine; empty: there
  /// is only one way.
  std::vector<std::string> implementations(size_t step) const;
  /// The step, which has alternatives, is computed by one of them from now on: 1, 2, … as they are
  /// in ProgramOptions; 0: by the plan's own choice.
  void choose(size_t step, size_t alternative);

  /// What oneDNN or lathe computes a step with: "brgconv:avx512_core", "product:avx512_vnni".
  std::string_view implementation(size_t step) const { return steps_[step]->implementation(); }

 private:
  BindContext bind_context(std::string_view implementation) const;

  using Steps = std::vector<std::shared_ptr<BoundStep>>;
  void run_steps(const Steps& steps, std::span<unsigned> modes, const StepObserver& observer);

  struct Memory;
  NativePlan plan_;
  ProgramOptions options_;  // with what holds its packed weights
  std::unique_ptr<Memory> memory_;
  Steps steps_;
  Steps lone_steps_;  // for runs without the pool; empty: there are none
  std::map<size_t, Steps> alternatives_;
  ProgramMemory blocks_;
  PoolWorth pool_worth_;
  std::vector<unsigned> modes_;  // the pool's, while a run lasts and changes them
};

}  // namespace lathe
