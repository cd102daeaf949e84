// This host as a device profile.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "os/host.h"
#include "profiles/profile.h"
#include "roofline/measured_peaks.h"

namespace lathe {

/// The best int8 instruction of a host, as profiles name it: amx, vnni, maddubs, smmla, sdot, none.
std::string int8_instruction(const HostFacts& host);

/// Of `profiles` (all loaded) the one that comes nearest to the host: same architecture, no GPU's,
/// an int8 instruction that the host has and all its instruction sets; of those the best int8, then
/// the most instruction sets, then the memory that is least different. Throws Error (exit 6) when
/// there is none.
const Profile& nearest_profile(const std::vector<Profile>& profiles, const HostFacts& host);

/// A profile file: what is known of the host, and the measured rates, over `base`. Rates of dtypes
/// that were not measured are replaced by those of the dtype that computes them.
nlohmann::json detected_profile(const HostFacts& host, const MeasuredPeaks& peaks,
                                const Profile& base);

}  // namespace lathe
