// Which index of a channel axis every element of a tensor belongs to.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ir/tensor.h"

namespace lathe {

/// channel(i): the index into parameters that stand along an axis, for the tensor's i-th element.
struct ChannelIndex {
  size_t inner = 1;  // elements from one channel to the next
  size_t channels = 1;

  size_t operator()(size_t element) const { return element / inner % channels; }
};

/// `axis` of `shape`; -1: one channel for all elements.
ChannelIndex channel_index(const Shape& shape, int64_t axis);

}  // namespace lathe
