// What a profile's device has to do with this machine.
#pragma once

#include "os/host.h"
#include "profiles/profile.h"
#include "roofline/estimate.h"

namespace lathe {

/// Whether latencies measured here say something of the profile's device: the same architecture,
/// and inference on its CPU.
bool runs_like_host(const Profile& profile);

/// Why a time taken here is no time of the profile's device (profiles/host_profile.h), also where
/// its rates were measured and this host's are another machine's; empty when it is.
std::string why_not_timed_here(const Profile& profile);

/// The same of times that were taken on another machine, of which it is known what it says of
/// itself.
std::string why_not_timed_there(const Profile& profile, const HostFacts& there);

/// Of the profile's whole device; empty when it states none.
DeviceRates profile_rates(const Profile& profile);

}  // namespace lathe
