// The lookup of a row, sixteen bytes at a time.
#include "kernels/byte_table_neon.h"
#include "kernels/lookup_variants.h"

namespace lathe {

void lookup_row_neon(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width) {
  const int64_t whole = width / 16 * 16;
  if (whole > 0) {
    const ByteTable entries = load_table(table);
    for (int64_t i = 0; i < whole; i += 16)
      vst1q_u8(to + i, through_table(vld1q_u8(from + i), entries));
  }
  lookup_row_scalar(table, from + whole, to + whole, width - whole);
}

}  // namespace lathe
