// An estimated latency as one number, for searches and budgets.
#pragma once

#include "roofline/estimate.h"

namespace lathe {

/// estimate_latency()'s ns. Throws Error (exit 3) where there is none (no shape is known, no
/// rates). To be shown as simulated.
double simulated_latency_ns(const Graph& graph, const DeviceRates& rates);

}  // namespace lathe
