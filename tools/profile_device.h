// What a profile's device has to do with this machine.
#pragma once

#include "profiles/profile.h"
#include "roofline/estimate.h"

namespace lathe {

/// Whether latencies measured here say something of the profile's device: the same architecture,
/// and inference on its CPU.
bool runs_like_host(const Profile& profile);

/// Of the profile's whole device; empty when it states none.
DeviceRates profile_rates(const Profile& profile);

}  // namespace lathe
