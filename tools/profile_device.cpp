#include "profile_device.h"

#include <fmt/format.h>

#include "ir/error.h"
#include "os/host.h"
#include "os/quantity.h"
#include "peaks/measured_peaks.h"
#include "profiles/host_profile.h"

namespace lathe {
namespace {

// Of two probes of one machine: a busy neighbour may halve what one of them sees.
constexpr double kMostRatio = 3;

// Of an ordinary machine of this size: more or less memory is another one.
std::string why_memory_differs(const Profile& profile, const HostFacts& host) {
  if (!profile.memory.ram_bytes || !host.mem_bytes || *host.mem_bytes <= 0) return {};
  const double ratio =
      static_cast<double>(*profile.memory.ram_bytes) / static_cast<double>(*host.mem_bytes);
  if (ratio < kMostRatio && ratio > 1 / kMostRatio) return {};
  return fmt::format("this host has {} of memory, {} has {}", bytes_text(*host.mem_bytes),
                     escape_untrusted(profile.name, 60), bytes_text(*profile.memory.ram_bytes));
}

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
  const BandwidthPeak* dram = bandwidth_of(peaks, "DRAM");
  if (!profile.rates->bandwidth_gb_per_s || dram == nullptr || dram->all_cores_read <= 0) return {};
  const double ratio = *profile.rates->bandwidth_gb_per_s / dram->all_cores_read;
  if (ratio < kMostRatio && ratio > 1 / kMostRatio) return {};
  return fmt::format("this host reads {:.3g} GB/s of memory, {} has {:.3g} ({})",
                     dram->all_cores_read, escape_untrusted(profile.name, 60),
                     *profile.rates->bandwidth_gb_per_s, escape_untrusted(profile.rates->source));
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
  if (profile.memory.ram_bytes != kind.memory.ram_bytes)
    if (std::string reason = why_memory_differs(profile, host); !reason.empty()) return reason;
  const bool same_rates = kind.rates && profile.rates && profile.rates->gops == kind.rates->gops &&
                          profile.rates->bandwidth_gb_per_s == kind.rates->bandwidth_gb_per_s;
  return !profile.rates || same_rates ? std::string() : why_rates_differ(profile, host);
}

std::string why_not_timed_there(const Profile& profile, const HostFacts& there) {
  if (std::string reason = why_not_host(profile, there); !reason.empty()) return reason;
  if (profile.cpu.cores == there.cpus_usable) return {};
  return fmt::format("that host has {} usable CPUs, {} has {}", there.cpus_usable,
                     escape_untrusted(profile.name, 60), profile.cpu.cores);
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
