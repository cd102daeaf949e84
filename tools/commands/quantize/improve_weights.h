// What --effort makes of weights and biases once ranges and scales are planned.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "commands/quantize/calibration_samples.h"
#include "commands/quantize/quantize_job.h"
#include "quantize/apply/store_integer_weights.h"

namespace lathe {

/// Edits the weights and biases of the job's float graph, and plan.biases. fast: analytical bias
/// correction. balanced: round_weights(). best: the same with learned rounding. What is not better
/// than the effort before it at the outputs, on samples that nothing was fitted to, is not kept.
/// Scales may be clipped where the device leaves them free (`rules`). `samples`: of --data; null
/// without. Returns rows for the report.
nlohmann::json improve_weights(const QuantizeJob& job, const IntegerRules& rules,
                               const CalibrationSamples* samples, PrecisionPlan& plan,
                               const Statistics& statistics);

/// The same for what --mode weight-only stores, against rounding without data; with --data only.
nlohmann::json improve_stored_weights(const QuantizeJob& job, WeightStoragePlan& plan);

}  // namespace lathe
