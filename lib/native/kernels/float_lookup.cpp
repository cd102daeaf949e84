#include "kernels/float_lookup.h"

#include <algorithm>
#include <cstring>

#include "kernels/instructions.h"
#include "kernels/lookup_variants.h"

namespace lathe {
namespace {

FloatLookup best_float_lookup() {
  return instructions().vbmi ? float_lookup_permute : float_lookup_scalar;
}

}  // namespace

void float_lookup_scalar(const FloatTable& table, const uint8_t* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = table.entries[from[i]];
}

std::shared_ptr<const FloatTable> make_float_table(const float* entries) {
  auto table = std::make_shared<FloatTable>();
  std::copy_n(entries, 256, table->entries);
  for (int i = 0; i < 256; ++i) {
    uint8_t bytes[4];
    std::memcpy(bytes, entries + i, 4);
    for (int b = 0; b < 4; ++b) table->planes[b][i] = bytes[b];
  }
  return table;
}

void look_up_floats(const FloatTable& table, const uint8_t* from, float* to, int64_t count) {
  static const FloatLookup look_up = best_float_lookup();
  look_up(table, from, to, count);
}

}  // namespace lathe
