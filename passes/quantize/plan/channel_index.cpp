#include "quantize/plan/channel_index.h"

#include <algorithm>

namespace lathe {

ChannelIndex channel_index(const Shape& shape, int64_t axis) {
  ChannelIndex index;
  if (axis < 0) {
    index.inner = static_cast<size_t>(std::max<int64_t>(1, element_count(shape)));
    return index;
  }
  const auto first = static_cast<size_t>(axis);
  index.channels = static_cast<size_t>(shape.at(first));
  for (size_t i = first + 1; i < shape.size(); ++i) index.inner *= static_cast<size_t>(shape[i]);
  return index;
}

}  // namespace lathe
