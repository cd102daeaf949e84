#include "run/metrics.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <thread>

#include "ir/error.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

at::Tensor tensor(std::vector<int64_t> shape, const std::vector<float>& values) {
  return at::tensor(values).reshape(shape);
}

double value_of(Metric metric, const at::Tensor& output, const std::vector<int64_t>& labels,
                const at::Tensor& reference = {}) {
  MetricCollector collector(metric, 1);
  collector.add(0, output, labels, reference);
  return collector.value().value();
}

}  // namespace

TEST_CASE("top1 and top5 on six classes") {
  const at::Tensor scores = tensor({2, 6}, {0, 1, 2, 3, 4, 5, 5, 4, 3, 2, 1, 0});
  CHECK(value_of(Metric::kTop1, scores, {5, 0}) == 1);
  CHECK(value_of(Metric::kTop1, scores, {5, 1}) == 0.5);
  CHECK(value_of(Metric::kTop5, scores, {1, 4}) == 1);
  CHECK(value_of(Metric::kTop5, scores, {0, 5}) == 0);
}

TEST_CASE("the lower class wins a tie") {
  const at::Tensor flat = tensor({1, 6}, {1, 1, 1, 1, 1, 1});
  CHECK(value_of(Metric::kTop1, flat, {0}) == 1);
  CHECK(value_of(Metric::kTop1, flat, {1}) == 0);
  CHECK(value_of(Metric::kTop5, flat, {4}) == 1);
  CHECK(value_of(Metric::kTop5, flat, {5}) == 0);
}

TEST_CASE("a NaN score is never a hit, a NaN elsewhere beats nobody") {
  CHECK(value_of(Metric::kTop1, tensor({1, 3}, {kNan, kNan, kNan}), {0}) == 0);
  CHECK(value_of(Metric::kTop5, tensor({1, 3}, {kNan, kNan, kNan}), {0}) == 0);
  CHECK(value_of(Metric::kTop5, tensor({1, 6}, {kNan, 1, 2, 3, 4, 5}), {0}) == 0);
  CHECK(value_of(Metric::kTop1, tensor({1, 3}, {kNan, 1, 0}), {1}) == 1);
}

TEST_CASE("trailing dimensions of 1 are dropped, a lone vector is one item") {
  CHECK(value_of(Metric::kTop1, tensor({1, 3, 1, 1}, {1, 3, 2}), {1}) == 1);
  CHECK(value_of(Metric::kTop1, tensor({3}, {1, 3, 2}), {1}) == 1);
  CHECK(value_of(Metric::kTop1, tensor({3, 1}, {1, 3, 2}), {0, 0, 0}) == 1);
}

TEST_CASE("miou by hand") {
  // Two classes on 1x4 pixels: predicted 0 0 1 1, wanted 0 1 1 1: IoU(0) = 1/2, IoU(1) = 2/3.
  const at::Tensor scores = tensor({1, 2, 1, 4}, {1, 1, 0, 0, 0, 0, 1, 1});
  CHECK(value_of(Metric::kMiou, scores, {0, 1, 1, 1}) == doctest::Approx((0.5 + 2.0 / 3) / 2));
  // A class that is neither wanted nor predicted does not count.
  const at::Tensor three = tensor({1, 3, 1, 4}, {1, 1, 0, 0, 0, 0, 1, 1, -1, -1, -1, -1});
  CHECK(value_of(Metric::kMiou, three, {0, 1, 1, 1}) == doctest::Approx((0.5 + 2.0 / 3) / 2));
  // Counts add up over samples before the division.
  MetricCollector two(Metric::kMiou, 2);
  two.add(0, scores, std::vector<int64_t>{0, 1, 1, 1}, {});
  two.add(1, scores, std::vector<int64_t>{0, 0, 1, 1}, {});
  CHECK(*two.value() == doctest::Approx((3.0 / 4 + 4.0 / 5) / 2));
  CHECK(two.items() == 8);
}

TEST_CASE("agreement, mse, mae and sqnr against the reference") {
  const at::Tensor wanted = tensor({2, 2}, {1, 2, 4, 3});
  const at::Tensor got = tensor({2, 2}, {1, 3, 3, 4});
  CHECK(value_of(Metric::kAgreement, got, {}, wanted) == 0.5);
  CHECK(value_of(Metric::kMse, got, {}, wanted) == 0.75);
  CHECK(value_of(Metric::kMae, got, {}, wanted) == 0.75);
  CHECK(value_of(Metric::kSqnr, got, {}, wanted) == doctest::Approx(10 * std::log10(30.0 / 3)));
  CHECK(value_of(Metric::kSqnr, wanted, {}, wanted) == INFINITY);
}

TEST_CASE("drops point into each metric's bad direction") {
  CHECK(metric_drop(Metric::kTop1, 0.75, 0.70) == doctest::Approx(0.05));
  CHECK(metric_drop(Metric::kMiou, 0.5, 0.6) == doctest::Approx(-0.1));
  CHECK(metric_drop(Metric::kAgreement, 1, 0.9) == doctest::Approx(0.1));
  CHECK(metric_drop(Metric::kMse, 2, 3) == doctest::Approx(0.5));
  CHECK(metric_drop(Metric::kMae, 2, 1) == doctest::Approx(-0.5));
  CHECK(metric_drop(Metric::kMse, 0, 3) == doctest::Approx(3));
  CHECK(metric_drop(Metric::kSqnr, 40, 30) == doctest::Approx(0.25));
  CHECK(metric_drop(Metric::kSqnr, -10, -20) == doctest::Approx(1));
}

TEST_CASE("names go both ways") {
  for (const Metric metric : {Metric::kTop1, Metric::kTop5, Metric::kMse, Metric::kMae,
                              Metric::kMiou, Metric::kAgreement, Metric::kSqnr})
    CHECK(metric_from_name(metric_name(metric)) == metric);
  CHECK_FALSE(metric_from_name("top2").has_value());
}

TEST_CASE("labels that do not fit are refused") {
  const at::Tensor scores = tensor({2, 3}, {1, 2, 3, 1, 2, 3});
  for (const std::vector<int64_t>& labels :
       std::vector<std::vector<int64_t>>{{0}, {}, {0, 3}, {-1, 0}, {0, 1, 2}, {INT64_MAX, 0}})
    CHECK_THROWS_AS(value_of(Metric::kTop1, scores, labels), Error);
  CHECK_THROWS_AS(value_of(Metric::kMiou, tensor({1, 2, 2}, {1, 0, 0, 1}), {0}), Error);
  CHECK_THROWS_AS(value_of(Metric::kTop1, tensor({1, 2, 2}, {1, 0, 0, 1}), {0}), Error);
  CHECK_THROWS_AS(value_of(Metric::kMse, scores, {}, tensor({1, 3}, {1, 2, 3})), Error);
  CHECK_THROWS_AS(value_of(Metric::kMse, scores, {}), Error);
}

TEST_CASE("nothing added: no value; order and threads do not matter") {
  MetricCollector empty(Metric::kMse, 3);
  CHECK_FALSE(empty.value().has_value());
  CHECK(empty.items() == 0);
  const auto collect = [](bool backwards) {
    MetricCollector collector(Metric::kMse, 64);
    const auto add = [&](size_t from, size_t to) {
      for (size_t i = from; i < to; ++i)
        collector.add(
            i, tensor({3}, {0.1f * static_cast<float>(i), 1e-3f, 7e5f / static_cast<float>(i + 1)}),
            {}, tensor({3}, {1, 2, 3}));
    };
    std::thread other(add, backwards ? 0 : 32, backwards ? 32 : 64);
    add(backwards ? 32 : 0, backwards ? 64 : 32);
    other.join();
    return *collector.value();
  };
  CHECK(collect(false) == collect(true));
}

}  // namespace lathe
