// What to type when a quantized network is worse than it should be.
#pragma once

#include <string>
#include <vector>

#include "options.h"
#include "quantize/diagnose/diagnose_layers.h"

namespace lathe {

/// Flags for the next run, in addition to those that were given; empty where nothing was found, or
/// nothing is known to help:
///  - what fixes the worst layer without leaving it in float (--weight-granularity channel, …),
///  - else the layers and values that make half of the noise at the outputs or more, together left
///    in float: each alone may change nothing, as the next one's noise stays,
///  - else, where many make a little each, --max-drop, which finds them by trying. `has_classes`:
///    its usual metric says something of the network (deciding_metric.h).
std::string fix_hint(const std::vector<Diagnosis>& found, const DiagnosisRequest& request,
                     const QuantizeOptions& options, bool has_classes);

/// "--max-drop 1% --eval DATA", as far as it was not given; empty when --max-drop was.
std::string target_hint(const QuantizeOptions& options, bool has_classes);

}  // namespace lathe
