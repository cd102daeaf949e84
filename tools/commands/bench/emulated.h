// A case on an emulated board: counted, not timed. What it says is exact, so one process and no
// repetition tell all.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "commands/bench/bench_run.h"
#include "comparison/comparison.h"
#include "console.h"

namespace lathe {

/// Why there are no times, for reports.
inline constexpr const char* kCountedNotTimed =
    "an emulated board counts instructions, not time; gate 'instructions'";

/// Compares what the board computes with the interpreter, on the run's pool; with --against the
/// models' instructions. Fills the run's outputs and the session's comparison.
void measure_emulated(const BenchRequest& request, Console& console, BenchRun& run);

/// What one inference takes on the profile's device, by what was counted; without a value where the
/// device is of another kind than the board, or says nothing of cycles.
EstimatedLatency emulated_latency(const BenchSubject& subject, const Profile& device);

/// Adds "emulated" to a case's row, where its engine counts.
void put_emulated(nlohmann::json& row, const BenchSubject& subject, const Profile& device);

/// Throws Error (exit 2) for flags that ask for times, where a case counts.
void refuse_times(const BenchOptions& options, const BenchRequest& request);

/// The most expensive steps, and where RAM and flash go; empty for other rows.
std::string emulated_text(const nlohmann::json& row);

}  // namespace lathe
