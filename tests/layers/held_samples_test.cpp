#include "layers/held_samples.h"

#include <algorithm>

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
}

TEST_CASE("half of the samples judge ranges, those first that nothing is fitted to") {
  CHECK(judging_samples(8, 3) == std::vector<size_t>{3, 7, 1});
  CHECK(judging_samples(1, 3) == std::vector<size_t>{0});
  CHECK(judging_samples(0, 3).empty());
  for (const size_t count : {2, 3, 4, 17, 63, 64, 100}) {
    CAPTURE(count);
    const std::vector<size_t> judges = judging_samples(count, count);
    CHECK(judges.size() == count / 2);
    for (const size_t sample : judges) CHECK(judges_ranges(sample));
    for (size_t i = 0; i < count; ++i)
      if (is_held_out(i, count)) CHECK(std::ranges::count(judges, i) == 1);
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
