// What makes a series of latencies less than it seems: stable codes for warnings.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "statistics/statistics.h"

namespace lathe {

struct StabilityFinding {
  std::string code;  // bench.drift, bench.bimodal, bench.contention
  std::string message;
  std::string hint;
};

/// What the machine did meanwhile, as shares of the time; absent: the system does not tell.
struct Disturbance {
  std::optional<double> steal;     // that the hypervisor gave to others
  std::optional<double> pressure;  // in which some task waited for a CPU
};

/// bench.drift: the last third is 5 % slower or faster than the first. bench.bimodal: two_modes().
/// bench.contention: steal of 5 %, tasks waiting 25 % of the time, or a median 30 % above the
/// minimum. At most one of each. `values` in the order of measurement, `summary` of them.
std::vector<StabilityFinding> stability_findings(std::span<const double> values,
                                                 const Summary& summary,
                                                 const Disturbance& disturbance);

}  // namespace lathe
