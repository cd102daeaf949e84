// What of lathe quantize's flags does not go together, or not with the device.
#pragma once

#include <string>
#include <vector>

#include "options.h"
#include "profiles/profile.h"
#include "quantize/plan/choose_mode.h"
#include "quantize/plan/precision_plan.h"

namespace lathe {

/// As profiles name it.
constexpr const char* kOnnxRuntimeName = "onnxruntime";

/// What was given that `mode` makes no use of: "--observer, --statistics"; all is of use to static.
std::string unread_flags(const QuantizeOptions& options, const std::string& mode);

/// Flags that contradict each other or lack another one, and outputs that are in the way. Throws
/// Error (exit 2, 9).
void check_usage(const QuantizeOptions& options);

/// Throws Error (exit 2) when `choice` is static and there is nothing to calibrate with; tells why
/// it was chosen.
void require_calibration_data(const QuantizeOptions& options, const ModeChoice& choice);

/// Throws Error (exit 2) where the runtime of the profile is known not to execute what would be
/// written. quantize_dynamic() and quantize_weights() look at their own forms.
void check_runtime(const QuantizeOptions& options, const std::string& mode, const Profile& profile);

/// Why no node of `simplified` was quantized, and what might help; `exceptions` are the plan's.
std::string nothing_hint(const QuantizeOptions& options, const Graph& simplified,
                         const std::string& mode, const Profile& profile,
                         const std::vector<PlanException>& exceptions);

}  // namespace lathe
