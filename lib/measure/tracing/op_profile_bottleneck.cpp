#include "tracing/op_profile_bottleneck.h"

#include <algorithm>

namespace lathe {

std::string_view bottleneck_name(Bottleneck bottleneck) {
  static constexpr std::string_view kNames[] = {"compute", "memory", "overhead", "unknown"};
  return kNames[static_cast<size_t>(bottleneck)];
}

BottleneckFacts find_bottleneck(double median_ns, const OpCost& cost, const MachinePeaks& peaks) {
  BottleneckFacts facts;
  const double peak = cost.integer ? peaks.integer_ops_per_s : peaks.float_ops_per_s;
  if (cost.macs && (peak > 0 || *cost.macs == 0))
    facts.compute_ns = *cost.macs == 0 ? 0 : 2e9 * static_cast<double>(*cost.macs) / peak;
  if (peaks.bytes_per_s > 0)
    facts.memory_ns = 1e9 * static_cast<double>(cost.bytes()) / peaks.bytes_per_s;
  if (!facts.memory_ns)
    facts.reason = "the machine's bandwidth is not known";
  else if (!cost.macs)
    facts.reason = "its multiplications are not known";
  else if (!facts.compute_ns)
    facts.reason = "the machine's arithmetic peak is not known";
  else if (median_ns <= 0)
    facts.reason = "it took no measurable time";
  if (!facts.reason.empty()) return facts;
  facts.efficiency = std::max(*facts.compute_ns, *facts.memory_ns) / median_ns;
  if (*facts.efficiency < kOverheadEfficiency)
    facts.bottleneck = Bottleneck::kOverhead;
  else
    facts.bottleneck =
        *facts.compute_ns >= *facts.memory_ns ? Bottleneck::kCompute : Bottleneck::kMemory;
  return facts;
}

}  // namespace lathe
