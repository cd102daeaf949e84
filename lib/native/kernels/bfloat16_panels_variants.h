// The variants of the bfloat16 product.
#pragma once

#include "kernels/bfloat16_panels.h"

namespace lathe {

void multiply_bfloat16_neon(const BFloat16Product& product, const BFloat16Rows& rows);
void multiply_bfloat16_scalar(const BFloat16Product& product, const BFloat16Rows& rows);

}  // namespace lathe
