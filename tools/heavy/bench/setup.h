// The models of one case made ready: loaded, fed once, their accuracy taken.
#pragma once

#include "console.h"
#include "heavy/bench/bench_run.h"
#include "heavy/bench/request.h"
#include "profiles/profile.h"
#include "report/report.h"

namespace lathe {

/// Samples that runs take in turn.
constexpr size_t kPoolSamples = 8;

/// Loads the candidate and, with --against, both so that each one's memory peak is its own and
/// neither pays for what the process sets up at its first inference; order and place in memory are
/// the request's plan's. Fills the run's candidate,
/// against, inputs and metrics, and the report's inputs. Throws Error as load_subject, run_first
/// and bench_quality do, and 130 or 143 when interrupted.
void load_case(const BenchRequest& request, const BenchOptions& options, const Profile& profile,
               Console& console, Report& report, BenchRun& run);

}  // namespace lathe
