// A benchmark as sections of the report (names of lathe.report 1.0).
#pragma once

#include "calibration/data_set.h"
#include "commands/bench/bench_run.h"

namespace lathe {

/// Name, shape, type, source and hash of what the timed runs are fed, one row an input of `graph`.
nlohmann::json input_rows(const Graph& graph, const std::vector<std::vector<Tensor>>& pool,
                          const BenchInputs& inputs, uint64_t seed);

GateRow gate_row(const GateResult& result);
/// Of a gate that was not judged.
GateRow skipped_gate(const Gate& gate, const std::string& case_id, const std::string& reason);

/// Whether the model fits into the device, into its case's row.
void put_fit(nlohmann::json& row, const BenchSubject& subject, const Profile& device);

/// Writes what a child knows into its report: model, models, phases, quality, memory, cases and
/// comparison, but for what the parent makes of the samples (merge.h). Unfinished parts are null
/// with a reason.
void fill_report(Report& report, const BenchRun& run, const BenchOptions& options);

}  // namespace lathe
