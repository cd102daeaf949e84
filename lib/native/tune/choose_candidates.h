// Which of several candidates for computing each step of a plan is the fastest. All steps are tried
// at the same time, each in an order of its own, so that a run of the plan measures every step and
// each stands among the others as it will.
//
// A function of measured times alone: the caller runs the plan, or pretends to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "tune/paired_times.h"

namespace lathe {

/// Runs everything once, the i-th step in its `candidates[i]`-th candidate; the time of each in ns.
using RunCandidates = std::function<std::vector<int64_t>(const std::vector<size_t>& candidates)>;

struct ChooseOptions {
  int samples = 12;  // of each candidate, to find the one that may be best
  int pairs = 24;    // of it and the first candidate, to decide
  WinRule rule;
  /// Asked before each round of samples; false: what has been measured must do.
  std::function<bool()> keep_on = [] { return true; };
};

struct ChosenCandidate {
  size_t candidate = 0;  // 0, the candidate that is there, unless another has won
  int64_t before_ns = 0;
  int64_t after_ns = 0;
};

/// `counts`: how many candidates each step has (0 as 1). One result a step. Runs in the same order
/// for the same counts and times.
std::vector<ChosenCandidate> choose_candidates(const std::vector<size_t>& counts,
                                               const RunCandidates& run,
                                               const ChooseOptions& options);

}  // namespace lathe
