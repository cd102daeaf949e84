// Sums and products of uint8 rows for each set of instructions.
#pragma once

#include <cstdint>

#include "kernels/byte_binary.h"

namespace lathe {

/// Vectors of whatever the processor has.
void run_byte_binary_any(const ByteBinary& binary, const uint8_t* a, const uint8_t* b, uint8_t* to,
                         int64_t count);
/// AVX-512BW. Zero points are in 0..255 and no result leaves -2^30..2^30 before it is clamped.
void run_byte_binary_avx512(const ByteBinary& binary, const uint8_t* a, const uint8_t* b,
                            uint8_t* to, int64_t count);
/// 64-bit Arm, under the same conditions.
void run_byte_binary_neon(const ByteBinary& binary, const uint8_t* a, const uint8_t* b, uint8_t* to,
                          int64_t count);

}  // namespace lathe
