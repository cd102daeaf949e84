#include "profile_device.h"

#include "os/host.h"

namespace lathe {

bool runs_like_host(const Profile& profile) {
  return profile.cpu.arch == host_facts().arch && profile.runtime.name != "tensorrt";
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
