// How much of a network's sensitivity can be measured in a few seconds.
#pragma once

#include <cstddef>

#include "ir/graph.h"

namespace lathe {

/// Samples to look at, by the network's MACs.
size_t sensitivity_samples(const Graph& graph);

/// Of a measurement that takes as many as it can: what a range cuts off is in few of them.
size_t gradient_samples(const Graph& graph);

/// How many samples can be differentiated side by side, by the activations of one as far as their
/// shapes are known; 0: not even one.
int gradient_runs(const Graph& graph);

}  // namespace lathe
