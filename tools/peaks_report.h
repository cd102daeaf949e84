// Measured peaks for people and for reports.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "peaks/measured_peaks.h"
#include "roofline/estimate.h"

namespace lathe {

/// Peaks of compute and of each memory level, units in the names.
nlohmann::json peaks_json(const MeasuredPeaks& peaks);

/// One table for compute, one for memory.
std::string peaks_text(const MeasuredPeaks& peaks);

/// "simulated": true, ns or why there is none, and what it counts; with `layers` each of them.
nlohmann::json estimate_json(const EstimatedLatency& estimate, bool layers);

}  // namespace lathe
