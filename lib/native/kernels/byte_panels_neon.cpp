// The byte product on processors without dot products (Armv8.0).
#include "kernels/byte_panels_neon.h"
#include "kernels/integer_sums_neon_pairs.h"

namespace lathe {

void sum_bytes_neon(const BytePanel& panel, const uint8_t* const* rows, int64_t count,
                    int32_t* sums) {
  sum_panel<PairSums>(panel, rows, count, sums);
}

}  // namespace lathe
