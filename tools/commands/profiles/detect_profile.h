// This host as a device profile.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "os/host.h"
#include "peaks/measured_peaks.h"
#include "profiles/profile.h"

namespace lathe {

/// A profile file: what is known of the host, and the measured rates, over `base`. Rates of dtypes
/// that were not measured are replaced by those of the dtype that computes them.
nlohmann::json detected_profile(const HostFacts& host, const MeasuredPeaks& peaks,
                                const Profile& base);

}  // namespace lathe
