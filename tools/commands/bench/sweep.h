// Several cases, each measured in child processes of its own: a model that crashes or runs out of
// memory costs its case, not the sweep.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "commands/bench/merge.h"
#include "commands/bench/request.h"
#include "console.h"
#include "gates/gate.h"
#include "options.h"

namespace lathe {

/// A model and engine with several batches: the one with the least time per item.
struct OptimalBatch {
  std::string what;  // "mobilenet, torchscript, 2 threads"
  std::string case_id;
  int64_t batch = 1;
  double ns_per_item = 0;
};

struct Sweep {
  std::vector<SweepCase> cases;  // in the order of the plan; those not run yet have no row
  std::vector<bool> front;       // of the Pareto front, one a case
  std::vector<OptimalBatch> optimal;
  std::optional<size_t> recommended;
  std::string recommended_command;
  std::vector<GateResult> gates;
  std::vector<std::string> missing;            // cases that only the baseline has
  std::vector<std::string> baseline_warnings;  // what --allow-host-mismatch let pass
  std::optional<Error> interruption;

  /// Cases with a result or a failure.
  std::vector<const SweepCase*> done() const;
};

/// Runs every case of the request in its number of processes; rounds of all cases take turns, each
/// in an order of its own. A comparison that is not settled gets twice as many, as often as the
/// request allows looks and while --max-time lasts. Cases found in --resume are not run again.
/// After SIGINT the cases so far, with `interruption` set.
Sweep run_cases(const BenchOptions& options, const BenchRequest& request, Console& console);

/// Runs what the request plans, prints the table and delivers the report. Returns the exit code: 4
/// or 5 by the gates; 7 when a case failed, unless memory ran out where a smaller batch had worked;
/// when all failed the worst of their codes (8 where memory ran out).
int run_sweep(const BenchOptions& options, const BenchRequest& request, Console& console);

}  // namespace lathe
