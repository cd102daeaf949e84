// --import-encodings and --export-encodings.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "command_run.h"
#include "commands/quantize/quantize_job.h"

namespace lathe {

/// Puts what the file says into the plan of the job's graph; warns of tensors that are not
/// quantized. A row for the report; null without --import-encodings. Throws Error as
/// read_encodings() and apply_encodings().
nlohmann::json import_encodings(const QuantizeJob& job, PrecisionPlan& plan);

/// Path of --export-encodings; empty without it. Throws Error (exit 2) for an unknown format.
std::string encodings_path(const QuantizeOptions& options);

/// Publishes the encodings of what is in integers in the job's graph, after insertion.
void export_encodings(const QuantizeJob& job, const QuantizedModel& quantized, CommandRun& run);

}  // namespace lathe
