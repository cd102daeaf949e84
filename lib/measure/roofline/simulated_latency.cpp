#include "roofline/simulated_latency.h"

#include "ir/error.h"

namespace lathe {

double simulated_latency_ns(const Graph& graph, const DeviceRates& rates) {
  const EstimatedLatency estimate = estimate_latency(graph, rates);
  if (!estimate.ns)
    throw bad_input("bench.no_estimate", "the latency cannot be estimated: " + estimate.reason, {},
                    "give shapes with --input-shape, or another --profile");
  return *estimate.ns;
}

}  // namespace lathe
