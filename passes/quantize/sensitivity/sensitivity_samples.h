// How much of a network's sensitivity can be measured in a few seconds.
#pragma once

#include <cstddef>

#include "ir/graph.h"

namespace lathe {

/// Samples to look at, by the network's MACs.
size_t sensitivity_samples(const Graph& graph);

/// Of a measurement that takes as many as it can: what a range cuts off is in few of them.
size_t gradient_samples(const Graph& graph);

/// Whether one sample's activations, as far as their shapes are known, leave room for gradients.
bool can_be_differentiated(const Graph& graph);

}  // namespace lathe
