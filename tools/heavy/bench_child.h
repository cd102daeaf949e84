// A child process that measures one case: what it is told, what it tells its parent.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "heavy/bench_request.h"
#include "heavy/bench_run.h"
#include "os/child_process.h"

namespace lathe {

/// What a child adds to its report: candidate_ns and against_ns (samples in whole nanoseconds),
/// log_ratios, order_effect and block_iterations of the comparison, coverage, against_coverage.
nlohmann::json child_section(const BenchRun& run);

/// `lathe bench` of this one case, with what the request's options say of it.
ChildCommand child_command(const BenchCase& one, const BenchOptions& options,
                           const BenchRequest& request, bool wants_quality);

/// Why a child gave no result.
struct CaseFailure {
  ExitCode code = ExitCode::kInternal;
  int signal = 0;
  std::string id;       // of the error: "memory.limit"
  std::string message;  // one line

  /// Memory ran out, or the kernel ended it, which it does for memory.
  bool out_of_memory() const { return code == ExitCode::kLimit || signal == 9; }
};

/// The child's report, or why there is none.
struct ChildOutcome {
  nlohmann::json report;
  std::optional<CaseFailure> failure;
};
/// Throws Error (exit 130 or 143) after a signal to this process, exit 6 when no child can be
/// started.
ChildOutcome run_case(const ChildCommand& command);

}  // namespace lathe
