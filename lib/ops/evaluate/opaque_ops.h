// Ops that the IR carries as opaque and lathe can run all the same.
#pragma once

#include "evaluate/evaluate.h"

namespace lathe {

/// evaluate_function() of the node's kind, or, of an opaque node, that of its domain and type:
/// com.microsoft.DynamicQuantizeLSTM. Outputs of such a node have the type of its first input.
/// nullptr when lathe cannot run it.
Evaluate evaluate_function(const Node& node);

// recurrent.cpp
std::vector<at::Tensor> dynamic_quantize_lstm(const EvaluateCall& call);

}  // namespace lathe
