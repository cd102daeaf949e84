// `bench --trace FILE`: the candidate's phases and, from a pass of its own after the timed one, its
// nodes, as a Chrome trace.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "commands/bench/bench_run.h"
#include "commands/bench/request.h"
#include "console.h"
#include "report/report.h"

namespace lathe {

/// Exit 2 for a trace that would be written over another output of the run, or for several cases;
/// 2 or 9 when it cannot be written. `inputs`: files that the run reads.
void check_trace(const BenchOptions& options, const std::vector<BenchCase>& cases,
                 const std::vector<std::string>& inputs);

/// Runs the candidate with tracing, writes the file and adds it to the report's artifacts. After a
/// signal nothing is written. Throws Error (exit 9, or 2 when the file has appeared meanwhile).
void trace_case(const BenchOptions& options, Console& console, BenchRun& run, Report& report);

/// `trace` of the case's row.
nlohmann::json trace_json(const BenchTrace& trace);

/// "  trace: x.json, 412 events of 50 runs, …" of a case's row; empty without a trace.
std::string trace_text(const nlohmann::json& row);

}  // namespace lathe
