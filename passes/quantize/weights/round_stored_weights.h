// The weights that --mode weight-only stores, rounded so that the layers' outputs change least
// (round_layers.h): with data, four bits are of use for convolutions, too.
#pragma once

#include "quantize/apply/store_integer_weights.h"
#include "quantize/weights/rounding_options.h"
#include "run/sample_runner.h"

namespace lathe {

/// Given:  a plan of `reference`, whose weights are float; `graph` a copy of it with the same ids
/// Result: in `graph` the weights of roundable layers, which nobody else reads, are multiples of
///         the scales that plan.weights has for them now; the layers' biases are corrected.
/// Scales are chosen before, those of four bits by least squares; `options.clip` is not for them.
/// What is not roundable, and bodies of If, Loop and Scan, are left to store_integer_weights().
std::vector<RoundingRow> round_stored_weights(const Graph& reference, Graph& graph,
                                              WeightStoragePlan& plan, const SampleSource& source,
                                              const RoundingOptions& options);

/// What rounding in `rounded` changed of the weights with scales of their own; storing them loses
/// no more.
void add_rounding_noise(const Graph& reference, const Graph& rounded, const WeightStoragePlan& plan,
                        StoredNoise& noise);

}  // namespace lathe
