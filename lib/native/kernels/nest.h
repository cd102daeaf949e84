// Loops over strided arrays of one shape, with as few dimensions as the strides allow, cut into
// tiles of the two innermost ones.
//
// Dimensions of one element vanish, the others are ordered by the stride of array 0 (the output),
// the largest outermost, and neighbours that all arrays walk in one stride become one.
#pragma once

#include <cstdint>
#include <vector>

namespace lathe {

constexpr int kMaxNestRank = 8;
constexpr int kMaxNestArrays = 9;

/// Strides in elements, one a dimension; may be 0 or negative, except that array 0 has none of 0
/// where the dimension has more than one element.
using Strides = std::vector<int64_t>;

/// At least two dimensions (of one element where the arrays have fewer), outermost first.
struct Nest {
  int arrays = 0;
  int rank = 2;
  int64_t sizes[kMaxNestRank] = {};
  int64_t strides[kMaxNestArrays][kMaxNestRank] = {};
};

/// Throws InternalError where more than kMaxNestRank dimensions remain or the ranks differ.
Nest make_nest(const std::vector<int64_t>& shape, const std::vector<Strides>& strides);
/// Makes dimension `from` the second innermost.
void move_to_rows(Nest& nest, int from);

/// A nest whose units of work are tiles of at most `tile_rows` x `tile_columns` of the two
/// innermost dimensions.
struct TiledNest {
  Nest nest;
  int64_t tile_rows = 1;
  int64_t tile_columns = 1;
  int64_t row_tiles = 0;
  int64_t column_tiles = 0;
  int64_t tiles = 0;

  int64_t row_stride(int array) const { return nest.strides[array][nest.rank - 2]; }
  int64_t column_stride(int array) const { return nest.strides[array][nest.rank - 1]; }
};

TiledNest tiled_nest(const Nest& nest, int64_t tile_rows, int64_t tile_columns);

/// Where a tile begins in every array, and its size.
struct Tile {
  int64_t offsets[kMaxNestArrays] = {};
  int64_t rows = 0;
  int64_t columns = 0;
  bool ends_rows = false;  // holds the last column
};

/// Calls `body(tile)` for the tiles `begin` up to and without `end`.
template <class Body>
void for_each_tile(const TiledNest& tiled, int64_t begin, int64_t end, Body&& body) {
  if (begin >= end) return;
  const Nest& nest = tiled.nest;
  const int outer = nest.rank - 2;
  int64_t index[kMaxNestRank] = {};
  int64_t base[kMaxNestArrays] = {};
  int64_t rest = begin;
  int64_t column_tile = rest % tiled.column_tiles;
  rest /= tiled.column_tiles;
  int64_t row_tile = rest % tiled.row_tiles;
  rest /= tiled.row_tiles;
  for (int d = outer - 1; d >= 0; --d) {
    index[d] = rest % nest.sizes[d];
    rest /= nest.sizes[d];
    for (int k = 0; k < nest.arrays; ++k) base[k] += index[d] * nest.strides[k][d];
  }
  Tile tile;
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t row = row_tile * tiled.tile_rows;
    const int64_t column = column_tile * tiled.tile_columns;
    const int64_t rows_left = nest.sizes[outer] - row;
    const int64_t columns_left = nest.sizes[outer + 1] - column;
    tile.rows = rows_left < tiled.tile_rows ? rows_left : tiled.tile_rows;
    tile.columns = columns_left < tiled.tile_columns ? columns_left : tiled.tile_columns;
    tile.ends_rows = tile.columns == columns_left;
    for (int k = 0; k < nest.arrays; ++k)
      tile.offsets[k] = base[k] + row * tiled.row_stride(k) + column * tiled.column_stride(k);
    body(static_cast<const Tile&>(tile));
    if (++column_tile < tiled.column_tiles) continue;
    column_tile = 0;
    if (++row_tile < tiled.row_tiles) continue;
    row_tile = 0;
    for (int d = outer - 1; d >= 0; --d) {
      ++index[d];
      for (int k = 0; k < nest.arrays; ++k) base[k] += nest.strides[k][d];
      if (index[d] < nest.sizes[d]) break;
      for (int k = 0; k < nest.arrays; ++k) base[k] -= index[d] * nest.strides[k][d];
      index[d] = 0;
    }
  }
}

}  // namespace lathe
