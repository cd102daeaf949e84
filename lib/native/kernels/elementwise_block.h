// One operation on a block of numbers.
#pragma once

#include <cstdint>

#include "kernels/elementwise.h"

namespace lathe {

constexpr int64_t kElementwiseBlock = 512;

/// `to` may be an operand. Operands that the kind does not have are not read.
void run_elementwise_block(const ElementwiseOp& op, const float* a, const float* b, const float* c,
                           float* to, int64_t count);

}  // namespace lathe
