// The weights of a precision plan onto their integers, layer by layer (round_layers.h).
#pragma once

#include "quantize/plan/precision_plan.h"
#include "quantize/weights/rounding_options.h"
#include "run/sample_runner.h"

namespace lathe {

/// Given:  the plan's nodes in float, `graph` a copy of `reference` with the same ids
/// Result: their constant weights in `graph` are multiples of the plan's scales, so that
///         insert_qdq() finds these integers; their biases are corrected.
/// A bias that a node did not have joins plan.biases; with options.clip scales of the plan may
/// become smaller. Layers that are not roundable are left to insert_qdq().
std::vector<RoundingRow> round_weights(const Graph& reference, Graph& graph, PrecisionPlan& plan,
                                       const SampleSource& source, const RoundingOptions& options);

}  // namespace lathe
