#include "kernels/tile_copy.h"

#include <algorithm>
#include <cstring>

#include "kernels/tile_transpose.h"

namespace lathe {
namespace {

// memcpy of few bytes is a call that takes longer than the copy.
inline void copy_bytes(const char* from, char* to, int64_t bytes) {
  if (bytes > 256) {
    std::memcpy(to, from, static_cast<size_t>(bytes));
  } else if (bytes >= 16) {
    for (int64_t i = 0; i < bytes - 16; i += 16) std::memcpy(to + i, from + i, 16);
    std::memcpy(to + bytes - 16, from + bytes - 16, 16);
  } else if (bytes >= 8) {
    std::memcpy(to, from, 8);
    std::memcpy(to + bytes - 8, from + bytes - 8, 8);
  } else if (bytes >= 4) {
    std::memcpy(to, from, 4);
    std::memcpy(to + bytes - 4, from + bytes - 4, 4);
  } else {
    for (int64_t i = 0; i < bytes; ++i) to[i] = from[i];
  }
}

template <class T>
void copy_elements(const T* from, TileStrides from_strides, T* to, TileStrides to_strides,
                   int64_t rows, int64_t columns) {
  if (from_strides.column == 0 && to_strides.column == 1) {
    for (int64_t r = 0; r < rows; ++r)
      std::fill_n(to + r * to_strides.row, columns, from[r * from_strides.row]);
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    const T* read = from + r * from_strides.row;
    T* write = to + r * to_strides.row;
    for (int64_t c = 0; c < columns; ++c)
      write[c * to_strides.column] = read[c * from_strides.column];
  }
}

template <class T>
void copy_typed(const void* from, TileStrides from_strides, void* to, TileStrides to_strides,
                int64_t rows, int64_t columns) {
  const T* read = static_cast<const T*>(from);
  T* write = static_cast<T*>(to);
  if (from_strides.row == 1 && to_strides.column == 1)
    transpose_tile(read, from_strides.column, write, to_strides.row, rows, columns);
  else
    copy_elements(read, from_strides, write, to_strides, rows, columns);
}

}  // namespace

void copy_tile(const void* from, TileStrides from_strides, void* to, TileStrides to_strides,
               int64_t rows, int64_t columns, int element_size) {
  if (from_strides.column == 1 && to_strides.column == 1) {
    const char* read = static_cast<const char*>(from);
    char* write = static_cast<char*>(to);
    for (int64_t r = 0; r < rows; ++r)
      copy_bytes(read + r * from_strides.row * element_size,
                 write + r * to_strides.row * element_size, columns * element_size);
    return;
  }
  switch (element_size) {
    case 1: return copy_typed<uint8_t>(from, from_strides, to, to_strides, rows, columns);
    case 2: return copy_typed<uint16_t>(from, from_strides, to, to_strides, rows, columns);
    case 4: return copy_typed<uint32_t>(from, from_strides, to, to_strides, rows, columns);
    default: return copy_typed<uint64_t>(from, from_strides, to, to_strides, rows, columns);
  }
}

}  // namespace lathe
