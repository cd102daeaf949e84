// Weights of many layers onto their integers, one after the other in the network's order, each with
// what the network with all earlier ones rounded feeds it: what those have lost is seen.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "layers/linear_layer.h"
#include "quantize/weights/round_layer.h"
#include "quantize/weights/rounding_options.h"
#include "run/sample_runner.h"

namespace lathe {

/// A layer of a float graph, and the integers that its weights are to become.
struct LayerToRound {
  NodeId node;
  WeightGrid grid;      // of its [groups, outputs, inputs]
  uint64_t stream = 0;  // of random numbers
};

/// The layer at `node`, where rounding it by least squares is possible: linear_layer() knows it, it
/// is no ConvTranspose, and its equations take at most 160 MB.
std::optional<LinearLayer> roundable_layer(const Graph& graph, NodeId node);

/// Called after a layer was rounded and stored; `new_bias`: it had none before.
using OnRounded = std::function<void(const LayerToRound&, const RoundedLayer&, bool new_bias)>;

/// Given:  `layers` that are roundable, in float in all three graphs; `graph` a copy of `reference`
///         with the same ids; `working` a copy of it, too, whose other parts are as they will run
///         (with integer activations, say)
/// Result: in `graph` the layers' weights are multiples of their scales, their biases corrected.
/// The result does not depend on the number of threads. Throws Error (exit 3) for NaN and infinite
/// activations.
std::vector<RoundingRow> round_layers(const Graph& reference, Graph& graph, Graph working,
                                      const std::vector<LayerToRound>& layers,
                                      const SampleSource& source, const RoundingOptions& options,
                                      const OnRounded& on_rounded);

}  // namespace lathe
