// Constants and types as the format wants them.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"
#include "ops/activation_fusion.h"
#include "tflite/schema_generated.h"

namespace lathe {

/// Of values that are computed or given; float16 is widened. Throws Error (exit 3).
tfl::TensorType tensor_type_of(DType dtype);

/// float32 of a DequantizeLinear of constants. Throws Error (exit 3) for parameters that are
/// computed or of blocks.
Tensor dequantized_constant(const Graph& graph, const Node& node);

/// float32 of a constant, behind a DequantizeLinear or not; nullopt: no constant of real numbers.
std::optional<Tensor> real_constant(const Graph& graph, ValueId value);

/// The one that keeps what is between the bounds.
std::optional<tfl::Activation> activation_of(const ActivationBounds& bounds);

}  // namespace lathe
