#include "quantize/plan/channel_index.h"

#include <doctest/doctest.h>

namespace lathe {

TEST_CASE("the channel of every element, along any axis") {
  const Shape shape{2, 3, 4};
  for (int64_t axis = -1; axis < 3; ++axis) {
    CAPTURE(axis);
    const ChannelIndex channel = channel_index(shape, axis);
    size_t element = 0;
    for (size_t i = 0; i < 2; ++i)
      for (size_t j = 0; j < 3; ++j)
        for (size_t k = 0; k < 4; ++k, ++element) {
          const size_t place[] = {i, j, k};
          CHECK(channel(element) == (axis < 0 ? 0 : place[axis]));
        }
    CHECK(channel.channels ==
          (axis < 0 ? 1 : static_cast<size_t>(shape[static_cast<size_t>(axis)])));
  }
}

TEST_CASE("a tensor without elements or axes") {
  CHECK(channel_index({}, -1)(0) == 0);
  CHECK(channel_index({0, 3}, -1).inner == 1);
  CHECK(channel_index({0, 3}, 0).channels == 0);
}

}  // namespace lathe
