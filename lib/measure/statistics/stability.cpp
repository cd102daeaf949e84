#include "statistics/stability.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "os/quantity.h"

namespace lathe {

std::vector<StabilityFinding> stability_findings(std::span<const double> values,
                                                 const Summary& summary,
                                                 const Disturbance& disturbance) {
  constexpr double kDrift = 0.05;
  constexpr double kSteal = 0.05;
  constexpr double kPressure = 0.25;
  constexpr double kAboveMinimum = 1.3;
  std::vector<StabilityFinding> findings;
  if (summary.drift && std::fabs(*summary.drift) > kDrift)
    findings.push_back({"bench.drift",
                        fmt::format("latencies drifted by {} from the first third to the last",
                                    percent_text(*summary.drift)),
                        "measure longer, after the machine has warmed up"});
  if (const auto modes = two_modes(values))
    findings.push_back({"bench.bimodal",
                        fmt::format("two levels of latency: {}, and {} for {} of the samples",
                                    duration_text(modes->low), duration_text(modes->high),
                                    percent_text(modes->high_share)),
                        "no single number stands for both; look for a neighbour on the CPUs or a "
                        "changing clock"});
  std::vector<std::string> signs;
  if (disturbance.steal && *disturbance.steal > kSteal)
    signs.push_back(
        fmt::format("the hypervisor took {} of the CPU time", percent_text(*disturbance.steal)));
  if (disturbance.pressure && *disturbance.pressure > kPressure)
    signs.push_back(
        fmt::format("tasks waited for a CPU {} of the time", percent_text(*disturbance.pressure)));
  if (summary.min > 0 && summary.median.value > kAboveMinimum * summary.min)
    signs.push_back(fmt::format("the median is {} above the minimum",
                                percent_text(summary.median.value / summary.min - 1)));
  if (!signs.empty())
    findings.push_back({"bench.contention", fmt::format("{}", fmt::join(signs, "; ")),
                        "a quieter machine or --against, which alternates the models"});
  return findings;
}

}  // namespace lathe
