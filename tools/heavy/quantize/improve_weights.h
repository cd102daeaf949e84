// What --effort makes of weights and biases once ranges and scales are planned.
#pragma once

#include <nlohmann/json.hpp>

#include "heavy/quantize/quantize_job.h"

namespace lathe {

/// Edits the weights and biases of the job's float graph, and plan.biases. fast: analytical bias
/// correction. balanced: round_weights(). best: the same with learned rounding. What is not better
/// than `fast` at the outputs, on samples that nothing was fitted to, is not kept. Returns rows for
/// the report.
nlohmann::json improve_weights(const QuantizeJob& job, PrecisionPlan& plan,
                               const Statistics& statistics);

}  // namespace lathe
