// A plan bound to inputs, to be run for its times.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <vector>

#include "ir/tensor.h"
#include "lower/lower_graph.h"
#include "program/program.h"
#include "run/runtime_value.h"

namespace lathe {

class TimedPlan {
 public:
  /// `inputs`: in the plan's shapes and types. Throws Error as Program does.
  TimedPlan(const LoweredGraph& lowered, const std::vector<Tensor>& inputs,
            const ProgramOptions& options);

  Program& program() { return *program_; }
  const NativePlan& plan() const { return program_->plan(); }

  /// Times of all steps in ns, of one run.
  std::vector<int64_t> run_steps();
  /// The time of one run in ns.
  int64_t run();

 private:
  std::vector<RuntimeValue> slots_;
  std::unique_ptr<Program> program_;
  std::vector<RuntimeValue> inputs_;
  std::vector<at::Tensor> held_;
  std::vector<const void*> in_;
  std::vector<void*> out_;
  void fill_slots();
};

}  // namespace lathe
