// Transposition of a tile that fits into the first-level cache.
#pragma once

#include <cstdint>

namespace lathe {

/// Element (r, c) is read at c * from_column + r and written at r * to_row + c.
void transpose_tile(const uint8_t* from, int64_t from_column, uint8_t* to, int64_t to_row,
                    int64_t rows, int64_t columns);
void transpose_tile(const uint16_t* from, int64_t from_column, uint16_t* to, int64_t to_row,
                    int64_t rows, int64_t columns);
void transpose_tile(const uint32_t* from, int64_t from_column, uint32_t* to, int64_t to_row,
                    int64_t rows, int64_t columns);
void transpose_tile(const uint64_t* from, int64_t from_column, uint64_t* to, int64_t to_row,
                    int64_t rows, int64_t columns);

}  // namespace lathe
