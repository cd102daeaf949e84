// The byte product by SDOT (Armv8.2).
#pragma GCC target("arch=armv8.2-a+dotprod")

#include "kernels/byte_panels_neon.h"
#include "kernels/integer_sums_neon_dot.h"

namespace lathe {

void sum_bytes_neon_dot(const BytePanel& panel, const uint8_t* const* rows, int64_t count,
                        int32_t* sums) {
  sum_panel<DotSums>(panel, rows, count, sums);
}

}  // namespace lathe
