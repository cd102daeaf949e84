// The lookup of one row for each set of instructions.
#pragma once

#include <cstdint>

namespace lathe {

using LookupRow = void (*)(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width);

void lookup_row_scalar(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width);
/// AVX-512BW: sixteen shuffles.
void lookup_row_shuffle(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width);
/// AVX-512 VBMI: two permutations of 128 entries.
void lookup_row_permute(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width);

}  // namespace lathe
