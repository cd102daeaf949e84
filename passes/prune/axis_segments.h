// Which axes of a shape become which of another that holds the same elements.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace lathe {

/// Axes [from_begin, from_end) become [to_begin, to_end). `size`: their elements, -1 when unknown
/// (then nothing can be said but that the one run holds what the other does).
struct AxisSegment {
  size_t from_begin = 0;
  size_t from_end = 0;
  size_t to_begin = 0;
  size_t to_end = 0;
  int64_t size = -1;
};

/// The finest division into segments, in order; axes of unknown size are paired by their symbols.
std::vector<AxisSegment> axis_segments(const Dims& from, const Dims& to);

/// Sizes for a Reshape that gives `to` from `from` (0 copies, one -1); nullopt when two or more are
/// unknown and cannot be copied.
std::optional<std::vector<int64_t>> reshape_target(const Dims& from, const Dims& to,
                                                   bool zero_copies);

}  // namespace lathe
