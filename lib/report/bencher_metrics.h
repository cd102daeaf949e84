// Bencher Metric Format (bencher.dev).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lathe {

/// {series: {measure: {value, lower_value, upper_value}}}; bounds only where there is an interval.
/// Measures use Bencher's own names where it has one: latency (ns), throughput, file-size (bytes).
std::string to_bencher_metrics(const nlohmann::json& report);

}  // namespace lathe
