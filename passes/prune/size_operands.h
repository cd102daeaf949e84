// Reading and setting operands of a node that are constants, or are computed from some.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// Elements of a constant of integers; nullopt for anything else.
std::optional<std::vector<int64_t>> integer_elements(const Graph& graph, ValueId id);

/// Sets constant input `index` of the node (added when absent) without changing other readers.
void set_constant_input(Graph& graph, NodeId node, size_t index, Tensor tensor);

/// An integer tensor of the type of `model` (int64 when that is no int32 constant).
Tensor like(const Graph& graph, ValueId model, Shape shape, const std::vector<int64_t>& values);

/// A vector of integers of the type of the operand that is replaced.
void set_ints(Graph& graph, NodeId node, size_t input, const std::vector<int64_t>& values);

/// Changes one element of a shape operand for which size_element() finds a number. A computed
/// shape gets a Concat of its own.
void set_size(Graph& graph, NodeId node, size_t input, size_t index, int64_t size);

}  // namespace lathe
