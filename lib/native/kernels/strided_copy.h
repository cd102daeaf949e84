// Copies N-dimensional arrays from strides to strides: transpositions, slices, concatenations,
// broadcasts, changes of layout. Fill writes one element everywhere.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/nest.h"

namespace lathe {

/// A copy made ready: only the addresses are missing.
struct StridedCopy {
  TiledNest tiled;  // array 0 is written, array 1 is read
  int element_size = 1;
};

/// `shape` has any rank whose dimensions become at most 8 (see nest.h). Strides are in elements;
/// `from_strides` may be 0 or negative. `element_size`: 1, 2, 4 or 8 bytes. Throws InternalError
/// for other sizes and ranks.
StridedCopy prepare_copy(const std::vector<int64_t>& shape, const Strides& from_strides,
                         const Strides& to_strides, int element_size);
/// Units of work, to be divided among threads.
int64_t strided_copy_count(const StridedCopy& copy);
/// Units `begin` up to and without `end`. `from` and `to`: the element at index 0 of every
/// dimension. They must not overlap.
void run_strided_copy(const StridedCopy& copy, const void* from, void* to, int64_t begin,
                      int64_t end);

/// Writes the element at `value` everywhere.
StridedCopy prepare_fill(const std::vector<int64_t>& shape, const Strides& to_strides,
                         int element_size);
void run_strided_fill(const StridedCopy& fill, const void* value, void* to, int64_t begin,
                      int64_t end);

}  // namespace lathe
