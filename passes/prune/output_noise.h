// How far a pruned network is from the dense one, on samples that repair has not seen.
#pragma once

#include "calibration/data_set.h"
#include "ir/graph.h"

namespace lathe {

/// Sum over the outputs of noise energy relative to the dense network's signal, on the samples that
/// repair holds out (layers/held_samples.h); on all where samples carry values on to the next.
double output_noise(const Graph& dense, const Graph& pruned, const DataSet& data, int threads);

}  // namespace lathe
