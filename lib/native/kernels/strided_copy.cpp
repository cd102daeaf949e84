#include "kernels/strided_copy.h"

#include <algorithm>

#include "ir/error.h"
#include "kernels/tile_copy.h"

namespace lathe {
namespace {

constexpr int64_t kTileBytes = 16384;
constexpr int64_t kBlock = 64;  // side of a transposed tile

TiledNest tiled_for_copy(Nest nest, int element_size) {
  constexpr int kTarget = 0;
  constexpr int kSource = 1;
  const int last = nest.rank - 1;
  const int64_t elements = kTileBytes / element_size;
  const bool runs = nest.strides[kTarget][last] == 1 && nest.strides[kSource][last] == 1;
  if (nest.strides[kTarget][last] == 1 && !runs) {
    for (int d = 0; d < last; ++d) {
      if (nest.strides[kSource][d] != 1) continue;
      move_to_rows(nest, d);
      const int64_t rows = nest.sizes[last - 1];
      const int64_t columns = nest.sizes[last];
      if (columns < kBlock)
        return tiled_nest(nest, elements / std::max<int64_t>(columns, 1), columns);
      if (rows < kBlock) return tiled_nest(nest, rows, elements / std::max<int64_t>(rows, 1));
      return tiled_nest(nest, kBlock, kBlock);
    }
  }
  const int64_t columns = std::max<int64_t>(nest.sizes[last], 1);
  return tiled_nest(nest, elements / columns, std::min(columns, elements));
}

}  // namespace

StridedCopy prepare_copy(const std::vector<int64_t>& shape, const Strides& from_strides,
                         const Strides& to_strides, int element_size) {
  if (element_size != 1 && element_size != 2 && element_size != 4 && element_size != 8)
    throw InternalError("copy: element of another size");
  return {tiled_for_copy(make_nest(shape, {to_strides, from_strides}), element_size), element_size};
}

int64_t strided_copy_count(const StridedCopy& copy) { return copy.tiled.tiles; }

void run_strided_copy(const StridedCopy& copy, const void* from, void* to, int64_t begin,
                      int64_t end) {
  const TileStrides to_strides{copy.tiled.row_stride(0), copy.tiled.column_stride(0)};
  const TileStrides from_strides{copy.tiled.row_stride(1), copy.tiled.column_stride(1)};
  for_each_tile(copy.tiled, begin, end, [&](const Tile& tile) {
    copy_tile(static_cast<const char*>(from) + tile.offsets[1] * copy.element_size, from_strides,
              static_cast<char*>(to) + tile.offsets[0] * copy.element_size, to_strides, tile.rows,
              tile.columns, copy.element_size);
  });
}

StridedCopy prepare_fill(const std::vector<int64_t>& shape, const Strides& to_strides,
                         int element_size) {
  return prepare_copy(shape, Strides(shape.size(), 0), to_strides, element_size);
}

void run_strided_fill(const StridedCopy& fill, const void* value, void* to, int64_t begin,
                      int64_t end) {
  run_strided_copy(fill, value, to, begin, end);
}

}  // namespace lathe
