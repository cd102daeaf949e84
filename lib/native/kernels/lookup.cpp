#include "kernels/lookup.h"

#include <algorithm>

#include "kernels/instructions.h"
#include "kernels/lookup_variants.h"

namespace lathe {
namespace {

constexpr int64_t kUnitBytes = 16384;

LookupRow best_lookup_row() {
  if (instructions().neon) return lookup_row_neon;
  if (instructions().vbmi) return lookup_row_permute;
  return instructions().avx512 ? lookup_row_shuffle : lookup_row_scalar;
}

bool is_one_row(const Lookup& lookup) {
  return lookup.rows == 1 || (lookup.from_pitch == lookup.width && lookup.to_pitch == lookup.width);
}

int64_t rows_of_unit(const Lookup& lookup) {
  return std::max<int64_t>(kUnitBytes / std::max<int64_t>(lookup.width, 1), 1);
}

}  // namespace

void lookup_row_scalar(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width) {
  for (int64_t i = 0; i < width; ++i) to[i] = table[from[i]];
}

int64_t lookup_count(const Lookup& lookup) {
  const int64_t bytes = lookup.rows * lookup.width;
  if (bytes == 0) return 0;
  if (is_one_row(lookup)) return (bytes + kUnitBytes - 1) / kUnitBytes;
  const int64_t rows = rows_of_unit(lookup);
  return (lookup.rows + rows - 1) / rows;
}

void run_lookup(const Lookup& lookup, int64_t begin, int64_t end) {
  static const LookupRow look_up = best_lookup_row();
  if (begin >= end) return;
  if (is_one_row(lookup)) {
    const int64_t first = begin * kUnitBytes;
    const int64_t last = std::min(end * kUnitBytes, lookup.rows * lookup.width);
    look_up(lookup.table, lookup.from + first, lookup.to + first, last - first);
    return;
  }
  const int64_t rows = rows_of_unit(lookup);
  const int64_t last = std::min(end * rows, lookup.rows);
  for (int64_t row = begin * rows; row < last; ++row)
    look_up(lookup.table, lookup.from + row * lookup.from_pitch, lookup.to + row * lookup.to_pitch,
            lookup.width);
}

}  // namespace lathe
