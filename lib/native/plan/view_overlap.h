// Which bytes of a block two views have in common.
#pragma once

#include "plan/plan.h"

namespace lathe {

/// From the first byte to one behind the last, of the block.
struct ByteSpan {
  int64_t begin = 0;
  int64_t end = 0;
};
/// Empty for a view without elements. Offsets and strides must be such that nothing overflows.
ByteSpan byte_span(const PlanView& view);

/// The same elements at the same places, in the same order.
bool same_elements(const PlanView& a, const PlanView& b);

/// False only when it is certain that no byte belongs to both: other blocks, ranges of addresses
/// that are apart, or ranges of channels of the same pixels, of rows of the same images.
bool may_share_bytes(const PlanView& a, const PlanView& b);

}  // namespace lathe
