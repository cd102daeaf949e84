// The variants of the byte product, one for each set of instructions: bare sums of a few rows.
#pragma once

#include "kernels/byte_panels.h"

namespace lathe {

constexpr int64_t kMostByteRows = 6;

/// `lines` times 16 columns; `depth` is a multiple of 4 in the weights, `tail` bytes (0 to 3) of a
/// row lie behind the last whole word.
struct BytePanel {
  const int8_t* weights = nullptr;
  int64_t words = 0;
  int64_t tail = 0;
  int64_t lines = 0;
};

/// sums: rows x kMostPanelColumns; `rows` from 1 to kMostByteRows.
void sum_bytes_avx512(const BytePanel& panel, const uint8_t* const* rows, int64_t count,
                      int32_t* sums);
void sum_bytes_scalar(const BytePanel& panel, const uint8_t* const* rows, int64_t count,
                      int32_t* sums);
void sum_bytes_avx2(const BytePanel& panel, const uint8_t* const* rows, int64_t count,
                    int32_t* sums);
// Of rows that are 128 less.
void sum_bytes_neon(const BytePanel& panel, const uint8_t* const* rows, int64_t count,
                    int32_t* sums);
void sum_bytes_neon_dot(const BytePanel& panel, const uint8_t* const* rows, int64_t count,
                        int32_t* sums);

}  // namespace lathe
