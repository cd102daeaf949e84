// A load scenario as parts of a case's row in the report (names of lathe.report 1.0).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "commands/bench/load.h"

namespace lathe {

/// Sets scenario, streams, target_qps, slo_ns, schedule, peak, joint_latency, service, samples,
/// throughput, stability, phases.warmup and threads.per_worker of a row that has the rest;
/// latencies are the parent's to add, those of an interrupted run are null with a reason.
void put_load(nlohmann::json& row, const BenchLoad& load);

/// The rate of one case from row number `row` of its processes' reports, at least one: their mean
/// with Student's interval over them; of one process its own interval. Throws nlohmann's exceptions
/// for rows that have no throughput.
Estimate merged_load_rate(const std::vector<nlohmann::json>& processes, size_t row);

/// Queries that the processes left waiting, together.
size_t left_waiting(const std::vector<nlohmann::json>& processes, size_t row);

}  // namespace lathe
