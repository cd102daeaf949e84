// Where a value has its channels: networks of pictures have them on axis 1, of tokens last.
#pragma once

#include "ir/graph.h"

namespace lathe {

/// Within 0..rank-1, told by the nearest layer that computes `value` (of rank 2 or more):
/// convolutions, pooling and BatchNormalization have channels on axis 1, products, recurrent layers
/// and LayerNormalization on the last axis; Transpose moves them. Where nothing tells: the last
/// axis of a value of rank 3, else axis 1.
int64_t channel_axis(const Graph& graph, ValueId value, int64_t rank);

}  // namespace lathe
