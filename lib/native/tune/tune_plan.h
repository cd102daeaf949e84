// Which way each step of a native plan is computed, and which layers stay in float, by times
// measured on this machine.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/native_plan_file.h"
#include "tune/choose_float_layers.h"

namespace lathe {

struct TuneOptions {
  int64_t budget_ns = 60'000'000'000;
  LowerOptions lower;  // float_nodes: the tuning's own
  /// Called before each run of a plan; may throw, which ends the tuning.
  std::function<void(const std::string& stage, size_t done, size_t all)> progress =
      [](const std::string&, size_t, size_t) {};
};

/// A step that is computed otherwise than by default.
struct TunedStep {
  std::string node;
  std::string kind;    // step_name
  std::string before;  // BoundStep::implementation
  std::string after;
  int threads = 0;  // 0: all
  /// With the others around it, lower quartile; with the next step where only threads changed.
  int64_t before_ns = 0;
  int64_t after_ns = 0;
};

struct TuningFacts {
  std::vector<TunedStep> changed;
  std::vector<FloatLayer> floats;  // layers that were left in float
  size_t steps = 0;
  size_t layers = 0;  // in integers before
  int64_t runs = 0;
  int64_t before_ns = 0;  // a run of the plan, lower quartile
  int64_t after_ns = 0;   // may be more, by noise, where single steps have won
  double spread = 1;      // of the times before_ns is of
  int threads = 1;
  double seconds = 0;
  bool out_of_time = false;  // the budget ended the search
};

struct TunedPlan {
  NativePlanFile made;  // metadata.fingerprint is the caller's to set
  TuningFacts facts;
};

/// `inputs`: one tensor per input of the graph, in the shapes that `shapes_at_batch(graph, 1)` has.
/// As many threads as ATen has. Throws Error as make_plan_file and Program do, and what `progress`
/// throws.
TunedPlan tune_plan(const Graph& graph, const SpecializeGraph& specialize,
                    const std::vector<Tensor>& inputs, const TuneOptions& options);

}  // namespace lathe
