// Copies one two-dimensional tile: the inner part of copies and of conversions that transpose.
#pragma once

#include <cstdint>

namespace lathe {

/// Element (r, c) lies at r * row + c * column, counted in elements.
struct TileStrides {
  int64_t row = 0;
  int64_t column = 0;
};

/// `element_size`: 1, 2, 4 or 8. Fast where both column strides are 1 (runs), where the source's
/// row stride and the target's column stride are 1 (transposition), and where the source's are 0.
void copy_tile(const void* from, TileStrides from_strides, void* to, TileStrides to_strides,
               int64_t rows, int64_t columns, int element_size);

}  // namespace lathe
