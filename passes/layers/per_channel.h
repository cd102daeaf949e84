// Constants that hold one number a channel.
#pragma once

#include "ir/tensor.h"

namespace lathe {

/// `constant`, an operand of an element by element op whose result has `rank` dimensions, holds one
/// number for each of `channels` of `axis` and nothing else (or one number, with `one_for_all`).
bool is_per_channel(const Tensor& constant, int64_t rank, int64_t axis, int64_t channels,
                    bool one_for_all);

}  // namespace lathe
