// A child process that measures one case: what it is told, what it tells its parent.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "commands/bench/bench_run.h"
#include "commands/bench/request.h"
#include "os/child_process.h"
#include "report/strict_json.h"

namespace lathe {

/// What a child adds to its report: candidate_ns and against_ns (samples in whole nanoseconds),
/// `pairs` of the comparison, `simulated`, coverage, against_coverage; of --self-check `itself`,
/// `slowed` and `injected`.
nlohmann::json child_section(const BenchRun& run);

/// Pairs of blocks as the child_section has them: log_ratios, order_effect, block_iterations and
/// time_ns. Reading throws Error for values that no child wrote.
nlohmann::json ratios_json(const ProcessRatios& ratios);
ProcessRatios read_ratios(JsonReader reader);

/// `lathe bench` of this one case as child number `process`, with what the request's options say of
/// it and a layout of memory of its own.
ChildCommand child_command(const BenchCase& one, const BenchOptions& options,
                           const BenchRequest& request, size_t process, bool wants_quality);

/// Why a child gave no result.
struct CaseFailure {
  ExitCode code = ExitCode::kInternal;
  int signal = 0;
  std::string id;       // of the error: "memory.limit"
  std::string message;  // one line, with the hint
  ErrorText text = {};  // as the child told it

  /// Nothing was run: a smaller batch had said enough.
  bool not_tried() const { return id == "bench.backed_off"; }
  /// Memory ran out, or the kernel ended it, which it does for memory.
  bool out_of_memory() const { return code == ExitCode::kLimit || signal == 9; }
};

/// The child's report, or why there is none.
struct ChildOutcome {
  nlohmann::json report;
  std::optional<CaseFailure> failure;
};
/// Throws Error (exit 6) when no child can be started. After a signal to this process the report of
/// what was measured so far where the command says so, else Error (exit 130 or 143).
ChildOutcome run_case(const ChildCommand& command);

}  // namespace lathe
