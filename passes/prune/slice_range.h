// What constant operands of a Slice select.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// Positions begin, begin + step, … below end of an axis. Begin and end are clamped to the axis
/// when its size is known, else -1 unless the whole axis is meant.
struct SliceRange {
  int64_t begin = -1;
  int64_t end = -1;
  int64_t step = 1;
  bool whole = false;
  bool is_whole() const { return whole; }
  bool known() const { return begin >= 0 && end >= begin; }
};

/// Of each axis that the Slice names; nullopt when operands are no constants or invalid.
std::optional<std::map<int64_t, SliceRange>> slice_ranges(const Graph& graph, const Node& node);

}  // namespace lathe
