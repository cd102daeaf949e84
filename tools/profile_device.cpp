#include "profile_device.h"

#include <fmt/format.h>

#include "ir/error.h"
#include "os/host.h"
#include "profiles/host_profile.h"
#include "roofline/measured_peaks.h"

namespace lathe {
namespace {

// Of two probes of one machine: a busy neighbour may halve what one of them sees.
constexpr double kMostRatio = 3;

std::string why_rates_differ(const Profile& profile, const HostFacts& host) {
  PeakProbeOptions probe;
  probe.threads = host.cpus_usable;
  probe.caches = host.topology.caches;
  const MeasuredPeaks peaks = measure_peaks(probe);
  for (const auto& [dtype, gops] : profile.rates->gops) {
    const ComputePeak* here = best_peak(peaks, dtype);
    if (here == nullptr || here->all_cores_gops <= 0) continue;
    const double ratio = gops / here->all_cores_gops;
    if (ratio < kMostRatio && ratio > 1 / kMostRatio) continue;
    return fmt::format("this host computes {:.3g} GOP/s in {}, {} has {:.3g} ({})",
                       here->all_cores_gops, dtype, escape_untrusted(profile.name, 60), gops,
                       escape_untrusted(profile.rates->source));
  }
  return {};
}

}  // namespace

std::string why_not_timed_here(const Profile& profile) {
  const HostFacts host = host_facts();
  if (std::string reason = why_not_host(profile, host); !reason.empty()) return reason;
  // What the profile says otherwise than its kind, it says of one machine.
  const Profile kind = nearest_profile(host);
  if (profile.cpu.cores != kind.cpu.cores && profile.cpu.cores != host.cpus_usable)
    return fmt::format("this host has {} usable CPUs, {} has {}", host.cpus_usable,
                       escape_untrusted(profile.name, 60), profile.cpu.cores);
  if (!profile.rates || (kind.rates && profile.rates->gops == kind.rates->gops)) return {};
  return why_rates_differ(profile, host);
}

bool runs_like_host(const Profile& profile) {
  return profile.cpu.arch == host_facts().arch && computes_on_cpu(profile);
}

DeviceRates profile_rates(const Profile& profile) {
  DeviceRates rates;
  if (!profile.rates) return rates;
  rates.gops = profile.rates->gops;
  if (profile.rates->bandwidth_gb_per_s)
    rates.memory.push_back({std::nullopt, *profile.rates->bandwidth_gb_per_s});
  return rates;
}

}  // namespace lathe
