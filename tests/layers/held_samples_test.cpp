#include "layers/held_samples.h"

#include <vector>

#include "doctest_after_torch.h"

namespace lathe {
namespace {

// Samples that hold their own index.
SampleSource numbered(size_t count) {
  SampleSource source;
  source.count = count;
  source.sample = [](size_t i) {
    return std::vector<Tensor>{Tensor::scalar<int64_t>(static_cast<int64_t>(i))};
  };
  return source;
}

std::vector<int64_t> indices(const SampleSource& source) {
  std::vector<int64_t> found;
  for (size_t i = 0; i < source.count; ++i)
    found.push_back(source.sample(i).at(0).values<int64_t>()[0]);
  return found;
}

}  // namespace

TEST_CASE("a fit is judged by the samples that it has not seen") {
  CHECK(indices(judged_samples(numbered(72), 24)) ==
        std::vector<int64_t>{7, 15, 23, 31, 39, 47, 55, 63, 71});
  CHECK(indices(judged_samples(numbered(72), 2)) == std::vector<int64_t>{7, 15});
  // Of few samples more judge.
  CHECK(indices(judged_samples(numbered(17), 24)) == std::vector<int64_t>{3, 7, 11, 15});
  for (const size_t count : {0, 1, 3, 4, 17, 63, 64, 100}) {
    CAPTURE(count);
    const std::vector<int64_t> fitted = indices(fitted_samples(numbered(count)));
    for (const int64_t index : fitted) CHECK(!is_held_out(static_cast<size_t>(index), count));
    const size_t held = count < 4 ? 0 : judged_samples(numbered(count), count).count;
    CHECK(fitted.size() + held == count);
  }
}

TEST_CASE("with few samples, or carried values, the first ones judge") {
  CHECK(indices(judged_samples(numbered(3), 24)) == std::vector<int64_t>{0, 1, 2});
  CHECK(judged_samples(numbered(0), 24).count == 0);
  SampleSource carrying = numbered(40);
  carrying.carry = {{"out", "in"}};
  CHECK(indices(judged_samples(carrying, 2)) == std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(judged_samples(carrying, 40).count == 40);
}

}  // namespace lathe
