// `bench --profile-ops`: where each model's time goes, node by node, in a pass of its own after the
// timed one; what holds each node back; what the differences between two models cost.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "commands/bench/bench_run.h"
#include "console.h"

namespace lathe {

/// Fills run.peaks and the profile of the candidate and of --against, each in about `max_ns`; the
/// case has been timed. Peaks are measured only where some engine tells of its nodes.
void profile_case(BenchRun& run, int64_t max_ns, Console& console);

/// `profile` of a case's row: null with a reason where the engine sees no nodes. The slowest 2000
/// nodes in the order of execution, `omitted_ops` counts the rest; all nodes summed by type.
void put_profile(nlohmann::json& row, const OpProfile& profile, const MachinePeaks& peaks);

/// op_deltas, op_type_deltas and blame of a row of comparison.cases; null with a reason without
/// profiles. lib/report reads op_deltas[].{name, type, delta_ns} and blame[].{sentence, delta_ns}.
void put_blame(nlohmann::json& row, const OpProfile& baseline, const OpProfile& candidate);

}  // namespace lathe
