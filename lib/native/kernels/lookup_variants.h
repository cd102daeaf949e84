// The lookups of one row for each set of instructions.
#pragma once

#include <cstdint>

#include "kernels/float_lookup.h"

namespace lathe {

using LookupRow = void (*)(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width);

void lookup_row_scalar(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width);
/// AVX-512BW: sixteen shuffles.
void lookup_row_shuffle(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width);
/// AVX-512 VBMI: two permutations of 128 entries.
void lookup_row_permute(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width);
/// 64-bit Arm: four lookups of 64 entries.
void lookup_row_neon(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width);

using FloatLookup = void (*)(const FloatTable& table, const uint8_t* from, float* to,
                             int64_t count);

void float_lookup_scalar(const FloatTable& table, const uint8_t* from, float* to, int64_t count);
/// AVX-512 VBMI: the entries' bytes one after the other.
void float_lookup_permute(const FloatTable& table, const uint8_t* from, float* to, int64_t count);

}  // namespace lathe
