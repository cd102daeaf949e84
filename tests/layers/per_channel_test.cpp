#include "layers/per_channel.h"

#include <doctest/doctest.h>

#include <vector>

namespace lathe {
namespace {

bool holds(const Shape& shape, int64_t rank, int64_t axis, bool one_for_all = false) {
  const std::vector<float> numbers(static_cast<size_t>(element_count(shape)), 1.0f);
  return is_per_channel(Tensor::of<float>(shape, numbers), rank, axis, 3, one_for_all);
}

}  // namespace

TEST_CASE("a constant with one number a channel") {
  CHECK(holds({3, 1, 1}, 4, 1));
  CHECK(holds({1, 3, 1, 1}, 4, 1));
  CHECK(holds({3}, 2, 1));
  CHECK(holds({3}, 1, 0));
  CHECK_FALSE(holds({3}, 4, 1));        // of the last axis
  CHECK_FALSE(holds({3, 1, 2}, 4, 1));  // of positions, too
  CHECK_FALSE(holds({4, 1, 1}, 4, 1));
  CHECK_FALSE(holds({1, 1, 3, 1, 1}, 4, 1));  // of more axes than the result
}

TEST_CASE("one number for all counts where it is asked for") {
  CHECK(holds({}, 4, 1, true));
  CHECK(holds({1, 1}, 4, 1, true));
  CHECK_FALSE(holds({}, 4, 1));
  CHECK_FALSE(holds({1, 1, 1, 1, 1}, 4, 1, true));
}

}  // namespace lathe
