// The integer LSTM of ONNX Runtime.
#pragma once

#include "ir/graph.h"

namespace lathe {

/// Makes an LSTM with constant W and R, [directions, 4 * hidden, inputs], and layout 0 a
/// com.microsoft.DynamicQuantizeLSTM: W8 and R8 transposed to [directions, inputs, 4 * hidden],
/// scales [directions, 4 * hidden] (or [directions]), zero points 0
/// (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md). It keeps name,
/// outputs and the other attributes.
void make_dynamic_lstm(Graph& graph, NodeId lstm, bool per_channel, bool reduce_range);

}  // namespace lathe
