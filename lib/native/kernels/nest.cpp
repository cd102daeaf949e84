#include "kernels/nest.h"

#include <algorithm>
#include <cstdlib>

#include "ir/error.h"

namespace lathe {
namespace {

bool one_stride(const Nest& nest, int outer) {
  for (int k = 0; k < nest.arrays; ++k)
    if (nest.strides[k][outer] != nest.strides[k][outer + 1] * nest.sizes[outer + 1]) return false;
  return true;
}

void remove_dimension(Nest& nest, int d) {
  --nest.rank;
  for (int i = d; i < nest.rank; ++i) {
    nest.sizes[i] = nest.sizes[i + 1];
    for (int k = 0; k < nest.arrays; ++k) nest.strides[k][i] = nest.strides[k][i + 1];
  }
}

void append_dimension(Nest& nest, int64_t size) {
  if (nest.rank == kMaxNestRank) throw InternalError("kernel: more than 8 dimensions");
  nest.sizes[nest.rank] = size;
  for (int k = 0; k < nest.arrays; ++k) nest.strides[k][nest.rank] = 0;
  ++nest.rank;
}

}  // namespace

Nest make_nest(const std::vector<int64_t>& shape, const std::vector<Strides>& strides) {
  Nest nest;
  nest.arrays = static_cast<int>(strides.size());
  nest.rank = 0;
  if (nest.arrays < 1 || nest.arrays > kMaxNestArrays)
    throw InternalError("kernel: number of arrays");
  for (const Strides& array : strides)
    if (array.size() != shape.size()) throw InternalError("kernel: strides of another rank");
  std::vector<size_t> order;
  for (size_t d = 0; d < shape.size(); ++d)
    if (shape[d] != 1) order.push_back(d);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::abs(strides[0][a]) > std::abs(strides[0][b]);
  });
  for (const size_t d : order) {
    append_dimension(nest, shape[d]);
    for (int k = 0; k < nest.arrays; ++k)
      nest.strides[k][nest.rank - 1] = strides[static_cast<size_t>(k)][d];
    if (nest.rank < 2 || !one_stride(nest, nest.rank - 2)) continue;
    nest.sizes[nest.rank - 1] *= nest.sizes[nest.rank - 2];
    remove_dimension(nest, nest.rank - 2);
  }
  while (nest.rank < 2) {
    append_dimension(nest, 1);
    std::rotate(nest.sizes, nest.sizes + nest.rank - 1, nest.sizes + nest.rank);
    for (int k = 0; k < nest.arrays; ++k)
      std::rotate(nest.strides[k], nest.strides[k] + nest.rank - 1, nest.strides[k] + nest.rank);
  }
  return nest;
}

void move_to_rows(Nest& nest, int from) {
  const int rows = nest.rank - 2;
  if (from >= rows) return;
  std::rotate(nest.sizes + from, nest.sizes + from + 1, nest.sizes + rows + 1);
  for (int k = 0; k < nest.arrays; ++k)
    std::rotate(nest.strides[k] + from, nest.strides[k] + from + 1, nest.strides[k] + rows + 1);
}

TiledNest tiled_nest(const Nest& nest, int64_t tile_rows, int64_t tile_columns) {
  TiledNest tiled;
  tiled.nest = nest;
  tiled.tile_rows = std::max<int64_t>(tile_rows, 1);
  tiled.tile_columns = std::max<int64_t>(tile_columns, 1);
  const int64_t rows = nest.sizes[nest.rank - 2];
  const int64_t columns = nest.sizes[nest.rank - 1];
  tiled.row_tiles = (rows + tiled.tile_rows - 1) / tiled.tile_rows;
  tiled.column_tiles = (columns + tiled.tile_columns - 1) / tiled.tile_columns;
  tiled.tiles = tiled.row_tiles * tiled.column_tiles;
  for (int d = 0; d < nest.rank - 2; ++d) tiled.tiles *= nest.sizes[d];
  return tiled;
}

}  // namespace lathe
