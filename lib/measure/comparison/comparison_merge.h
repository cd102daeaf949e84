// One verdict from several processes that each compared the same two models. How to use it: call
// compare_processes with a function that starts a child (`lathe bench` with a hidden option) as its
// ProcessPlan says; the child loads both models, calls measure_pairs with plan.seed, prints
// ProcessRatios as JSON, and ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "comparison/comparison.h"

namespace lathe {

/// A signed-rank test on fewer pairs could not reach 2.5 % either.
constexpr size_t kFewestPairs = 6;
/// From so many processes on it is known how processes differ.
constexpr size_t kFewestProcesses = 3;

/// What is made different from one process to the next, so that no layout is measured all the time
/// (Mytkowicz et al., "Producing wrong data without doing anything obviously wrong", ASPLOS 2009).
struct ProcessPlan {
  size_t number = 0;  // 0, 1, 2, …
  uint64_t seed = 0;  // of the order of the pairs: ComparisonOptions::seed of the child
  /// Of two processes that follow each other one loads the candidate first.
  bool candidate_loads_first = false;
  size_t environment_padding = 0;  // characters of one more environment variable: moves the stack
  /// Bytes to allocate, and to keep, before each model is loaded: moves the heap.
  size_t first_heap_padding = 0;
  size_t second_heap_padding = 0;
};

/// The same for the same seed and number.
ProcessPlan process_plan(uint64_t seed, size_t number);

/// The verdict on what the processes measured, at one look of options.looks: the median over the
/// processes of each one's Hodges-Lehmann estimate, its interval by hierarchical bootstrap
/// (estimate_location). One or two processes are judged too, and the note says what that leaves
/// out. A tolerance that the noise floor more than doubled gives no pass.
/// Processes without pairs are left out; below kFewestPairs pairs in all the verdict is
/// inconclusive. `looks` and `stop_reason` are the caller's to fill in; time_ns is the sum.
Comparison merge_comparison(const std::vector<ProcessRatios>& processes,
                            const ComparisonOptions& options);

/// Whether a further look could change nothing that matters: a verdict was reached, and a pass
/// under the tolerance that was asked.
bool is_settled(const Comparison& comparison);

/// Measures options.processes processes, looks, and doubles their number until the verdict is
/// settled, options.looks are used up, or options.max_ns would be passed by one more process (then
/// one last look). `measure` returns nullopt for a process that gave nothing (a crash: said in the
/// note, and after three of them in a row no more are tried). Its exceptions pass through. The
/// processes that were measured are appended to `taken` when it is not null.
Comparison compare_processes(
    const std::function<std::optional<ProcessRatios>(const ProcessPlan&)>& measure,
    const ComparisonOptions& options, const Conduct& conduct = {},
    std::vector<ProcessRatios>* taken = nullptr);

}  // namespace lathe
