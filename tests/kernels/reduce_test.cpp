#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <map>

#include "kernel_check.h"
#include "kernels/reduce.h"

namespace lathe {
namespace {

constexpr ReduceKind kReduceKinds[] = {ReduceKind::kSum,  ReduceKind::kMean,
                                       ReduceKind::kMax,  ReduceKind::kMin,
                                       ReduceKind::kProd, ReduceKind::kSumSquares};

double exact(ReduceKind kind, const std::vector<double>& numbers) {
  double result = kind == ReduceKind::kProd                              ? 1
                  : kind == ReduceKind::kMax || kind == ReduceKind::kMin ? numbers[0]
                                                                         : 0;
  for (const double x : numbers) {
    switch (kind) {
      case ReduceKind::kMax: result = std::max(result, x); break;
      case ReduceKind::kMin: result = std::min(result, x); break;
      case ReduceKind::kProd: result *= x; break;
      case ReduceKind::kSumSquares: result += x * x; break;
      default: result += x; break;
    }
  }
  return kind == ReduceKind::kMean ? result / static_cast<double>(numbers.size()) : result;
}

void check_reduce(SeededRandom& random, const std::vector<int64_t>& shape,
                  const std::vector<bool>& reduced) {
  std::vector<int64_t> kept = shape;
  for (size_t d = 0; d < shape.size(); ++d)
    if (reduced[d]) kept[d] = 1;
  const Layout from =
      layout_of(shape, random_order(random, shape.size()), random_between(random, 0, 1));
  const Layout to =
      layout_of(kept, random_order(random, kept.size()), random_between(random, 0, 2));
  Strides strides = from.strides;
  for (int64_t& stride : strides)
    if (random.next() % 8 == 0) stride = 0;
  std::vector<float> input(static_cast<size_t>(from.count));
  // Around 1, so that products stay within range.
  for (float& x : input) x = static_cast<float>(1 + 0.05 * random.normal());
  for (const ReduceKind kind : kReduceKinds) {
    INFO("kind " << static_cast<int>(kind));
    const Reduce reduce = prepare_reduce(kind, shape, reduced, strides, to.strides);
    Guarded<float> output(to.count);
    check_every_division(random, reduce_count(reduce), output, [&](int64_t begin, int64_t end) {
      run_reduce(reduce, input.data(), output.data(), begin, end);
    });
    std::map<int64_t, std::vector<double>> groups;
    for_each_index(shape, [&](const std::vector<int64_t>& index) {
      std::vector<int64_t> target = index;
      for (size_t d = 0; d < shape.size(); ++d)
        if (reduced[d]) target[d] = 0;
      groups[offset_of(target, to.strides)].push_back(
          static_cast<double>(input[static_cast<size_t>(offset_of(index, strides))]));
    });
    std::vector<float> got = output.values();
    double worst = 0;
    for (const auto& [at, numbers] : groups) {
      float& result = got[static_cast<size_t>(at)];
      worst = worse(worst, std::abs(static_cast<double>(result) / exact(kind, numbers) - 1));
      std::memset(&result, 0xa5, sizeof(float));
    }
    CHECK(worst < 3e-6);
    output.clear();  // what was not written is as before
    const std::vector<float> untouched = output.values();
    CHECK(std::memcmp(got.data(), untouched.data(), got.size() * sizeof(float)) == 0);
  }
}

}  // namespace

TEST_CASE("random dimensions of random layouts") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    INFO("seed " << seed);
    SeededRandom random(seed, 7);
    const std::vector<int64_t> shape = random_shape(random, 5, 5000);
    std::vector<bool> reduced;
    for (size_t d = 0; d < shape.size(); ++d) reduced.push_back(random.next() % 2 == 0);
    check_reduce(random, shape, reduced);
  }
}

TEST_CASE("long rows and columns") {
  for (const auto& [shape, reduced] :
       std::vector<std::pair<std::vector<int64_t>, std::vector<bool>>>{
           {{3, 9001}, {false, true}},
           {{2000, 130}, {true, false}},
           {{2, 700, 65}, {false, true, false}}}) {
    SeededRandom random(75, static_cast<uint64_t>(shape[0]));
    check_reduce(random, shape, reduced);
  }
}

TEST_CASE("a NaN comes through the extremes") {
  for (const size_t at : {0, 70, 199}) {
    std::vector<float> input(200, 1);
    input[at] = std::numeric_limits<float>::quiet_NaN();
    for (const ReduceKind kind : {ReduceKind::kMax, ReduceKind::kMin}) {
      INFO("at " << at << " kind " << static_cast<int>(kind));
      float row = 0;
      run_reduce(prepare_reduce(kind, {200}, {true}, {1}, {1}), input.data(), &row, 0, 1);
      CHECK(std::isnan(row));
      std::vector<float> columns(2);
      run_reduce(prepare_reduce(kind, {100, 2}, {true, false}, {2, 1}, {0, 1}), input.data(),
                 columns.data(), 0, 1);
      CHECK(std::isnan(columns[at % 2]));
      CHECK(columns[1 - at % 2] == 1);
    }
  }
}

TEST_CASE("nothing to reduce") {
  std::vector<float> output(3);
  const auto of = [&](ReduceKind kind) {
    const Reduce reduce = prepare_reduce(kind, {3, 0}, {false, true}, {0, 1}, {1, 0});
    run_reduce(reduce, nullptr, output.data(), 0, reduce_count(reduce));
    return output[2];
  };
  CHECK(of(ReduceKind::kSum) == 0);
  CHECK(of(ReduceKind::kProd) == 1);
  CHECK(of(ReduceKind::kMax) == -std::numeric_limits<float>::infinity());
  CHECK(of(ReduceKind::kMin) == std::numeric_limits<float>::infinity());
  CHECK(std::isnan(of(ReduceKind::kMean)));
}

}  // namespace lathe
