// Blocks of 16 x 16 bytes and 4 x 4 words on vectors of 16 bytes, which every 64-bit processor has;
// interleaving of two to four channels as loops that the compiler vectorizes.
#include "kernels/tile_transpose.h"
#include "ir/x86_clones.h"

#include <algorithm>
#include <cstring>

namespace lathe {
namespace {

template <class T, int kColumns>
[[gnu::always_inline]] inline void interleave(const T* from, int64_t from_column, T* to,
                                              int64_t rows) {
  for (int64_t r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) to[r * kColumns + c] = from[c * from_column + r];
}

template <class T, int kRows, int kStep>
[[gnu::always_inline]] inline void separate(const T* from, T* to, int64_t to_row, int64_t columns) {
  T* rows[kRows];
  for (int r = 0; r < kRows; ++r) rows[r] = to + r * to_row;
#pragma GCC ivdep
  for (int64_t c = 0; c < columns; ++c)
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) rows[r][c] = from[c * kStep + r];
}

template <class T>
[[gnu::always_inline]] inline void transpose_elements(const T* from, int64_t from_column, T* to,
                                                      int64_t to_row, int64_t rows,
                                                      int64_t columns) {
  if (rows >= columns) {
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t r = 0; r < rows; ++r) to[r * to_row + c] = from[c * from_column + r];
  } else {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c) to[r * to_row + c] = from[c * from_column + r];
  }
}

// Few channels on one side. False where the strides are others.
template <class T>
[[gnu::always_inline]] inline bool transpose_narrow(const T* from, int64_t from_column, T* to,
                                                    int64_t to_row, int64_t rows, int64_t columns) {
  if (to_row == columns && columns == 2) return interleave<T, 2>(from, from_column, to, rows), true;
  if (to_row == columns && columns == 3) return interleave<T, 3>(from, from_column, to, rows), true;
  if (to_row == columns && columns == 4) return interleave<T, 4>(from, from_column, to, rows), true;
  if (rows == 2 && from_column == 2) return separate<T, 2, 2>(from, to, to_row, columns), true;
  if (rows == 3 && from_column == 3) return separate<T, 3, 3>(from, to, to_row, columns), true;
  if (rows == 3 && from_column == 4) return separate<T, 3, 4>(from, to, to_row, columns), true;
  if (rows == 4 && from_column == 4) return separate<T, 4, 4>(from, to, to_row, columns), true;
  return false;
}

LATHE_X86_CLONES bool narrow_bytes(const uint8_t* from, int64_t from_column, uint8_t* to,
                                   int64_t to_row, int64_t rows, int64_t columns) {
  return transpose_narrow(from, from_column, to, to_row, rows, columns);
}

LATHE_X86_CLONES bool narrow_words(const uint32_t* from, int64_t from_column, uint32_t* to,
                                   int64_t to_row, int64_t rows, int64_t columns) {
  return transpose_narrow(from, from_column, to, to_row, rows, columns);
}

typedef uint8_t Bytes [[gnu::vector_size(16)]];
typedef uint32_t Words [[gnu::vector_size(16)]];

template <class Vector>
inline Vector load(const void* from) {
  Vector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class Vector>
inline void store(void* to, Vector value) {
  std::memcpy(to, &value, sizeof value);
}

// Elements of the lower (upper) halves in turn.
inline Bytes low_pairs(Bytes a, Bytes b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
inline Bytes high_pairs(Bytes a, Bytes b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                 31);
}

inline void byte_block(const uint8_t* from, int64_t from_column, uint8_t* to, int64_t to_row) {
  Bytes a[16];
  Bytes b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) a[i] = load<Bytes>(from + i * from_column);
    // Four rounds that each put the columns i and i + 8 side by side.
#pragma GCC unroll 2
  for (int twice = 0; twice < 2; ++twice) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      b[2 * i] = low_pairs(a[i], a[i + 8]);
      b[2 * i + 1] = high_pairs(a[i], a[i + 8]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      a[2 * i] = low_pairs(b[i], b[i + 8]);
      a[2 * i + 1] = high_pairs(b[i], b[i + 8]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) store(to + i * to_row, a[i]);
}

void word_block(const uint32_t* from, int64_t from_column, uint32_t* to, int64_t to_row) {
  const auto a = load<Words>(from);
  const auto b = load<Words>(from + from_column);
  const auto c = load<Words>(from + 2 * from_column);
  const auto d = load<Words>(from + 3 * from_column);
  const Words ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const Words ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Words cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Words cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store(to, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
  store(to + to_row, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
  store(to + 2 * to_row, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
  store(to + 3 * to_row, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}

// 4 to 16 bytes, the middle ones twice.
inline void copy_short(const uint8_t* from, uint8_t* to, int64_t bytes) {
  if (bytes >= 8) {
    std::memcpy(to, from, 8);
    std::memcpy(to + bytes - 8, from + bytes - 8, 8);
  } else {
    std::memcpy(to, from, 4);
    std::memcpy(to + bytes - 4, from + bytes - 4, 4);
  }
}

// Sides of 4 to 16: a whole block is transposed beside.
void byte_block_part(const uint8_t* from, int64_t from_column, uint8_t* to, int64_t to_row,
                     int64_t rows, int64_t columns) {
  uint8_t read[16 * 16] = {};
  uint8_t written[16 * 16];
  for (int64_t c = 0; c < columns; ++c) copy_short(from + c * from_column, read + 16 * c, rows);
  byte_block(read, 16, written, 16);
  for (int64_t r = 0; r < rows; ++r) copy_short(written + 16 * r, to + r * to_row, columns);
}

}  // namespace

void transpose_tile(const uint8_t* from, int64_t from_column, uint8_t* to, int64_t to_row,
                    int64_t rows, int64_t columns) {
  if ((rows <= 4 || columns <= 4) && narrow_bytes(from, from_column, to, to_row, rows, columns))
    return;
  if (rows < 4 || columns < 4)
    return transpose_elements(from, from_column, to, to_row, rows, columns);
  // The last block of a side begins earlier and repeats some of its neighbour's elements.
  for (int64_t r = 0; r < rows; r += 16) {
    const int64_t row = rows < 16 ? 0 : std::min(r, rows - 16);
    for (int64_t c = 0; c < columns; c += 16) {
      const int64_t column = columns < 16 ? 0 : std::min(c, columns - 16);
      const uint8_t* block = from + column * from_column + row;
      uint8_t* target = to + row * to_row + column;
      if (rows < 16 || columns < 16)
        byte_block_part(block, from_column, target, to_row, std::min<int64_t>(rows, 16),
                        std::min<int64_t>(columns, 16));
      else
        byte_block(block, from_column, target, to_row);
    }
  }
}

void transpose_tile(const uint32_t* from, int64_t from_column, uint32_t* to, int64_t to_row,
                    int64_t rows, int64_t columns) {
  if ((rows <= 4 || columns <= 4) && narrow_words(from, from_column, to, to_row, rows, columns))
    return;
  if (rows < 4 || columns < 4)
    return transpose_elements(from, from_column, to, to_row, rows, columns);
  for (int64_t r = 0; r < rows; r += 4) {
    const int64_t row = std::min(r, rows - 4);
    for (int64_t c = 0; c < columns; c += 4) {
      const int64_t column = std::min(c, columns - 4);
      word_block(from + column * from_column + row, from_column, to + row * to_row + column,
                 to_row);
    }
  }
}

void transpose_tile(const uint16_t* from, int64_t from_column, uint16_t* to, int64_t to_row,
                    int64_t rows, int64_t columns) {
  transpose_elements(from, from_column, to, to_row, rows, columns);
}

void transpose_tile(const uint64_t* from, int64_t from_column, uint64_t* to, int64_t to_row,
                    int64_t rows, int64_t columns) {
  transpose_elements(from, from_column, to, to_row, rows, columns);
}

}  // namespace lathe
