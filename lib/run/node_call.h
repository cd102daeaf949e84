// One node's execution on runtime values, without control flow.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ir/graph.h"
#include "run/runtime_value.h"

namespace lathe {

/// Runs an op of the evaluate tables: widens half types, calls the evaluate function, brings the
/// results to their ONNX types. Throws Error (exit 3) when there is no such function.
std::vector<RuntimeValue> call_op(const Node& node, std::span<const RuntimeValue> inputs);

/// Runs ops on sequences and optionals (SequenceAt, Optional, …); nullopt for every other op.
std::optional<std::vector<RuntimeValue>> call_sequence_op(const Node& node,
                                                          std::span<const RuntimeValue> inputs);

bool is_sequence_op(OpKind kind);

}  // namespace lathe
