// OpenMetrics 1.0 text: GitLab's metrics widget, Prometheus' text collector.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lathe {

/// Gauges in base units (seconds, bytes, ratios) with labels for model and case, the gates as
/// lathe_gate_passed (0 or 1; undecided and skipped ones are left out), one lathe_run info metric.
/// Ends with "# EOF".
std::string to_openmetrics(const nlohmann::json& report);

}  // namespace lathe
