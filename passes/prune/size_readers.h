// Where the sizes of axes are read: Shape and what is computed from it.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// The Reshapes whose targets `value` (a shape, or sizes computed from one) ends in; nullopt when
/// anything else reads it, or when a target could not be written as a constant.
std::optional<std::set<NodeId>> reshape_readers(const Graph& graph, ValueId value);

/// Which axes' sizes somebody reads from the output of a Shape over `rank` axes, other than for the
/// target of a Reshape (which removal writes anew).
std::vector<bool> read_sizes(const Graph& graph, const Node& node, int64_t rank);

/// Element `index` of a shape operand, when it is a number of the file: in a constant, or in a
/// constant part of a Concat.
struct SizeElement {
  NodeId concat;     // invalid: the operand is the constant itself
  size_t part = 0;   // which input of the Concat
  size_t index = 0;  // within the constant
  int64_t value = 0;
};
std::optional<SizeElement> size_element(const Graph& graph, ValueId operand, size_t index);

}  // namespace lathe
