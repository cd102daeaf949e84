// --import-encodings, --tensor and --export-encodings.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "command_run.h"
#include "commands/quantize/quantize_job.h"
#include "quantize/encodings/tensor_overrides.h"

namespace lathe {

/// Puts what the file says into the plan of the job's graph; warns of tensors that are not
/// quantized. A row for the report; null without --import-encodings. Throws Error as
/// read_encodings() and apply_encodings().
nlohmann::json import_encodings(const QuantizeJob& job, PrecisionPlan& plan);

/// What --tensor says. Throws Error (exit 2) as parse_override().
std::vector<TensorOverride> tensor_overrides(const QuantizeOptions& options);

/// Puts it into the plan of the job's graph. How many tensors each way, for the report; null
/// without --tensor. Throws Error as overridden_encodings().
nlohmann::json override_tensors(const QuantizeJob& job, PrecisionPlan& plan);

/// Some ranges are the user's own, of the network as it is: it must not be equalized, nor its
/// weights' scales searched.
bool gives_ranges(const QuantizeOptions& options);

/// Path of --export-encodings; empty without it. Throws Error (exit 2) for an unknown format.
std::string encodings_path(const QuantizeOptions& options);

/// Publishes the encodings of what is in integers in the job's graph, after insertion.
void export_encodings(const QuantizeJob& job, const QuantizedModel& quantized, CommandRun& run);

}  // namespace lathe
