#include "kernels/convert.h"

#include <algorithm>
#include <cstring>

#include "ir/error.h"
#include "kernels/quantize_run.h"
#include "kernels/tile_copy.h"
#include "kernels/tile_transpose.h"

namespace lathe {
namespace {

constexpr int kTo = 0;
constexpr int kFrom = 1;
constexpr int kScale = 2;
constexpr int64_t kRunTile = 8192;    // elements of a tile that is converted in place
constexpr int64_t kBlockTile = 4096;  // elements of a tile that goes through a buffer
constexpr int64_t kFewColumns = 16;

bool is_byte(ElementType type) { return element_bytes(type) == 1 && type != ElementType::kBool; }

struct PixelPitch {
  int64_t channels = 0;
  int64_t pitch = 0;
};

PixelPitch pixel_pitch(const std::vector<int64_t>& shape, const Strides& strides) {
  PixelPitch pixel;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (strides[d] == 1) pixel.channels = std::max(pixel.channels, shape[d]);
    if (strides[d] > 1 && (pixel.pitch == 0 || strides[d] < pixel.pitch)) pixel.pitch = strides[d];
  }
  return pixel.channels == 0 ? PixelPitch{} : pixel;
}

// Pixels of one channel have lost their channel dimension.
void add_columns_of_one(Nest& nest) {
  if (nest.rank == kMaxNestRank) throw InternalError("convert: more than 7 dimensions");
  const bool has_spare = nest.rank == 2 && nest.sizes[0] == 1;
  if (has_spare) {
    nest.sizes[0] = nest.sizes[1];
    for (int k = 0; k < nest.arrays; ++k) nest.strides[k][0] = nest.strides[k][1];
  } else {
    ++nest.rank;
  }
  nest.sizes[nest.rank - 1] = 1;
  for (int k = 0; k < nest.arrays; ++k) nest.strides[k][nest.rank - 1] = k == kTo ? 1 : 0;
}

TiledNest tiled_for_convert(Nest nest) {
  const int last = nest.rank - 1;
  const int64_t columns = std::max<int64_t>(nest.sizes[last], 1);
  if (nest.strides[kTo][last] == 1 && nest.strides[kFrom][last] == 1 && columns >= kFewColumns)
    return tiled_nest(nest, kRunTile / columns, std::min(columns, kRunTile));
  if (nest.strides[kTo][last] == 1 && nest.strides[kFrom][last] != 1) {
    for (int d = 0; d < last; ++d) {
      if (nest.strides[kFrom][d] != 1) continue;
      move_to_rows(nest, d);
      const int64_t rows = std::max<int64_t>(nest.sizes[last - 1], 1);
      if (columns < 64)
        return tiled_nest(nest, std::min<int64_t>(kBlockTile / columns, 1024), columns);
      return tiled_nest(nest, std::min<int64_t>(rows, 64),
                        kBlockTile / std::min<int64_t>(rows, 64));
    }
  }
  return tiled_nest(nest, kBlockTile / columns, std::min(columns, kBlockTile));
}

RunScale scale_at(const Convert& convert, int64_t index, int64_t step) {
  return {convert.scale.data() + index, convert.zero_point.data() + index, step};
}

void convert_run(const Convert& convert, const void* from, void* to, int64_t count,
                 RunScale scale) {
  if (convert.from == ElementType::kFloat32)
    quantize_run(static_cast<const float*>(from), to, convert.to, count, scale);
  else
    dequantize_run(from, convert.from, static_cast<float*>(to), count, scale);
}

struct TileConversion {
  const Convert& convert;
  const Tile& tile;
  const char* from;  // first element of the tile
  char* to;
  TileStrides from_strides;
  TileStrides to_strides;
  TileStrides scale_strides;

  int64_t fill() const { return tile.ends_rows ? convert.fill : 0; }
};

void fill_behind(const TileConversion& t) {
  for (int64_t r = 0; r < t.tile.rows; ++r)
    std::memset(t.to + r * t.to_strides.row + t.tile.columns, t.convert.zero_point[0],
                static_cast<size_t>(t.fill()));
}

void convert_rows(const TileConversion& t) {
  const int64_t from_size = element_bytes(t.convert.from);
  const int64_t to_size = element_bytes(t.convert.to);
  for (int64_t r = 0; r < t.tile.rows; ++r)
    convert_run(t.convert, t.from + r * t.from_strides.row * from_size,
                t.to + r * t.to_strides.row * to_size, t.tile.columns,
                scale_at(t.convert, t.tile.offsets[kScale] + r * t.scale_strides.row,
                         t.scale_strides.column));
  if (t.fill() > 0) fill_behind(t);
}

// Columns are read in the source's direction into `buffer`, which is then transposed. Bytes are
// what is transposed wherever one side has them.
void convert_then_transpose(const TileConversion& t) {
  alignas(64) char buffer[4 * kBlockTile];
  const int64_t from_size = element_bytes(t.convert.from);
  const int64_t to_size = element_bytes(t.convert.to);
  const int64_t rows = t.tile.rows;
  int64_t columns = t.tile.columns;
  for (int64_t c = 0; c < columns; ++c)
    convert_run(t.convert, t.from + c * t.from_strides.column * from_size,
                buffer + c * rows * to_size, rows,
                scale_at(t.convert, t.tile.offsets[kScale] + c * t.scale_strides.column,
                         t.scale_strides.row));
  if (to_size == 4)
    return transpose_tile(reinterpret_cast<const uint32_t*>(buffer), rows,
                          reinterpret_cast<uint32_t*>(t.to), t.to_strides.row, rows, columns);
  const int64_t fill = t.fill();
  if (fill > 0 && (columns + fill) * rows <= static_cast<int64_t>(sizeof(buffer))) {
    std::memset(buffer + columns * rows, t.convert.zero_point[0], static_cast<size_t>(fill * rows));
    columns += fill;
  } else if (fill > 0) {
    fill_behind(t);
  }
  transpose_tile(reinterpret_cast<const uint8_t*>(buffer), rows, reinterpret_cast<uint8_t*>(t.to),
                 t.to_strides.row, rows, columns);
}

void transpose_then_convert(const TileConversion& t) {
  alignas(64) uint8_t buffer[kBlockTile];
  const int64_t columns = t.tile.columns;
  transpose_tile(reinterpret_cast<const uint8_t*>(t.from), t.from_strides.column, buffer, columns,
                 t.tile.rows, columns);
  for (int64_t r = 0; r < t.tile.rows; ++r)
    convert_run(t.convert, buffer + r * columns, t.to + r * t.to_strides.row * 4, columns,
                scale_at(t.convert, t.tile.offsets[kScale] + r * t.scale_strides.row,
                         t.scale_strides.column));
}

void gather_and_scatter(const TileConversion& t) {
  alignas(64) char gathered[4 * kBlockTile];
  alignas(64) char converted[4 * kBlockTile];
  const int from_size = static_cast<int>(element_bytes(t.convert.from));
  const int to_size = static_cast<int>(element_bytes(t.convert.to));
  const int64_t rows = t.tile.rows;
  const int64_t columns = t.tile.columns;
  copy_tile(t.from, t.from_strides, gathered, {columns, 1}, rows, columns, from_size);
  const bool one_scale = t.scale_strides.row == 0 && t.scale_strides.column == 0;
  const int64_t runs = one_scale ? 1 : rows;
  const int64_t length = one_scale ? rows * columns : columns;
  for (int64_t r = 0; r < runs; ++r)
    convert_run(t.convert, gathered + r * length * from_size, converted + r * length * to_size,
                length,
                scale_at(t.convert, t.tile.offsets[kScale] + r * t.scale_strides.row,
                         t.scale_strides.column));
  copy_tile(converted, {columns, 1}, t.to, t.to_strides, rows, columns, to_size);
  if (t.fill() > 0) fill_behind(t);
}

void convert_tile(const TileConversion& t) {
  const bool whole_rows = t.to_strides.column == 1;
  if (whole_rows && t.from_strides.column == 1 && t.tile.columns >= kFewColumns)
    return convert_rows(t);
  if (whole_rows && t.from_strides.column != 1 && t.from_strides.row == 1) {
    if (is_byte(t.convert.from) && t.tile.columns >= kFewColumns) return transpose_then_convert(t);
    return convert_then_transpose(t);
  }
  gather_and_scatter(t);
}

}  // namespace

Convert prepare_convert(const std::vector<int64_t>& shape, const Strides& from_strides,
                        const Strides& to_strides, const ConvertSpec& spec) {
  const bool quantizes = spec.from == ElementType::kFloat32 && is_byte(spec.to);
  const bool dequantizes =
      (is_byte(spec.from) || spec.from == ElementType::kInt32) && spec.to == ElementType::kFloat32;
  if (!quantizes && !dequantizes) throw InternalError("convert: pair of types");
  const bool by_index = spec.dimension >= 0;
  const size_t rank = shape.size();
  if (by_index && static_cast<size_t>(spec.dimension) >= rank)
    throw InternalError("convert: dimension of the scales");
  const int64_t scales = by_index ? shape[static_cast<size_t>(spec.dimension)] : 1;
  if (static_cast<int64_t>(spec.scale.size()) != scales ||
      spec.zero_point.size() != spec.scale.size())
    throw InternalError("convert: number of scales");
  Strides scale_strides(rank, 0);
  if (by_index) scale_strides[static_cast<size_t>(spec.dimension)] = 1;
  Nest nest = make_nest(shape, {to_strides, from_strides, scale_strides});
  Convert convert;
  convert.from = spec.from;
  convert.to = spec.to;
  convert.scale = spec.scale;
  convert.zero_point = spec.zero_point;
  if (spec.fill_pitch && quantizes) {
    const PixelPitch pixel = pixel_pitch(shape, to_strides);
    convert.fill = std::max<int64_t>(pixel.pitch - pixel.channels, 0);
    if (convert.fill > 0 && pixel.channels == 1) add_columns_of_one(nest);
  }
  convert.tiled = tiled_for_convert(nest);
  return convert;
}

int64_t convert_count(const Convert& convert) { return convert.tiled.tiles; }

void run_convert(const Convert& convert, const void* from, void* to, int64_t begin, int64_t end) {
  const auto strides = [&](int array) {
    return TileStrides{convert.tiled.row_stride(array), convert.tiled.column_stride(array)};
  };
  const int64_t from_size = element_bytes(convert.from);
  const int64_t to_size = element_bytes(convert.to);
  for_each_tile(convert.tiled, begin, end, [&](const Tile& tile) {
    convert_tile({convert, tile, static_cast<const char*>(from) + tile.offsets[kFrom] * from_size,
                  static_cast<char*>(to) + tile.offsets[kTo] * to_size, strides(kFrom),
                  strides(kTo), strides(kScale)});
  });
}

}  // namespace lathe
