#include "evaluate_fixture.h"

namespace lathe::test {
namespace {

TEST_CASE("Gather counts negative indices from the end and refuses others") {
  const Given x = floats({3, 2}, {0, 1, 2, 3, 4, 5});
  CHECK(real_values(run_op(OpKind::kGather, {x, int64s({-1, 0})})[0]) == Reals{4, 5, 0, 1});
  const at::Tensor scalar = run_op(OpKind::kGather, {x, ints(DType::kInt64, {}, {1})},
                                   attributes_of({{"axis", int64_t{1}}}))[0];
  CHECK(scalar.sizes().vec() == Ints{3});
  CHECK(real_values(scalar) == Reals{1, 3, 5});
  CHECK_THROWS_AS(run_op(OpKind::kGather, {x, int64s({3})}), Error);
  CHECK_THROWS_AS(run_op(OpKind::kGather, {x, int64s({-4})}), Error);
}

TEST_CASE("GatherND with and without batch dimensions") {
  const Given x = floats({2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7});
  const Given pairs = ints(DType::kInt64, {2, 2}, {0, 1, 1, -2});
  CHECK(real_values(run_op(OpKind::kGatherND, {x, pairs})[0]) == Reals{2, 3, 4, 5});
  CHECK(real_values(run_op(OpKind::kGatherND, {x, ints(DType::kInt64, {2, 1}, {1, 0})},
                           attributes_of({{"batch_dims", int64_t{1}}}))[0]) == Reals{2, 3, 4, 5});
}

TEST_CASE("ScatterND and ScatterElements: last write, add, mul, max with repeated indices") {
  const Given x = floats({4}, {1, 2, 3, 4}), at = ints(DType::kInt64, {3, 1}, {1, -3, 3});
  const Given updates = floats({3}, {10, 20, 0.5});
  const auto scatter = [&](const char* reduction) {
    const Attributes attributes = attributes_of({{"reduction", std::string(reduction)}});
    const auto nd = real_values(run_op(OpKind::kScatterND, {x, at, updates}, attributes)[0]);
    const Given flat = int64s({1, -3, 3});
    CHECK(real_values(run_op(OpKind::kScatterElements, {x, flat, updates}, attributes)[0]) == nd);
    return nd;
  };
  CHECK(scatter("none") == Reals{1, 20, 3, 0.5});
  CHECK(scatter("add") == Reals{1, 32, 3, 4.5});
  CHECK(scatter("mul") == Reals{1, 400, 3, 2});
  CHECK(scatter("max") == Reals{1, 20, 3, 4});
  CHECK(scatter("min") == Reals{1, 2, 3, 0.5});
  CHECK_THROWS_AS(scatter("median"), Error);
  CHECK_THROWS_AS(run_op(OpKind::kScatterND, {x, ints(DType::kInt64, {3, 1}, {0, 4, 1}), updates}),
                  Error);
  // Along an axis of a matrix, with fewer indices than rows.
  const Given matrix = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(real_values(
            run_op(OpKind::kScatterElements,
                   {matrix, ints(DType::kInt64, {2, 1}, {2, 0}), floats({2, 1}, {9, 1})},
                   attributes_of({{"axis", int64_t{1}}, {"reduction", std::string("max")}}))[0]) ==
        Reals{1, 2, 9, 4, 5, 6});
}

TEST_CASE("TopK gives the lower index first among equals") {
  const Given x = floats({6}, {1, 3, 3, 1, 3, 0});
  const auto largest = run_op(OpKind::kTopK, {x, int64s({4})}, {}, 2);
  CHECK(real_values(largest[0]) == Reals{3, 3, 3, 1});
  CHECK(int_values(largest[1]) == Ints{1, 2, 4, 0});
  const auto smallest =
      run_op(OpKind::kTopK, {x, int64s({3})}, attributes_of({{"largest", int64_t{0}}}), 2);
  CHECK(int_values(smallest[1]) == Ints{5, 0, 3});
  CHECK_THROWS_AS(run_op(OpKind::kTopK, {x, int64s({7})}, {}, 2), Error);
}

TEST_CASE("Unique sorted, in order of occurrence, and along an axis") {
  const Given x = floats({5}, {2, 1, 1, 3, 2});
  const auto sorted = run_op(OpKind::kUnique, {x}, {}, 4);
  CHECK(real_values(sorted[0]) == Reals{1, 2, 3});
  CHECK(int_values(sorted[1]) == Ints{1, 0, 3});
  CHECK(int_values(sorted[2]) == Ints{1, 0, 0, 2, 1});
  CHECK(int_values(sorted[3]) == Ints{2, 2, 1});
  const auto found = run_op(OpKind::kUnique, {x}, attributes_of({{"sorted", int64_t{0}}}), 4);
  CHECK(real_values(found[0]) == Reals{2, 1, 3});
  CHECK(int_values(found[2]) == Ints{0, 1, 1, 2, 0});
  const auto rows = run_op(OpKind::kUnique, {floats({3, 2}, {1, 0, 1, 0, 0, 5})},
                           attributes_of({{"axis", int64_t{0}}}), 4);
  CHECK(real_values(rows[0]) == Reals{0, 5, 1, 0});
  CHECK(int_values(rows[3]) == Ints{1, 2});
}

TEST_CASE("OneHot wraps negative indices and leaves foreign ones off") {
  const Given depth = ints(DType::kInt64, {}, {3}), values = floats({2}, {0, 5});
  CHECK(real_values(run_op(OpKind::kOneHot, {int64s({-1, 1, 3}), depth, values})[0]) ==
        Reals{0, 0, 5, 0, 5, 0, 0, 0, 0});
}

TEST_CASE("random ops repeat with their seed and differ without one") {
  const Attributes seven = attributes_of({{"shape", std::vector<int64_t>{2000}}, {"seed", 7.0f}});
  const Attributes eight = attributes_of({{"shape", std::vector<int64_t>{2000}}, {"seed", 8.0f}});
  const at::Tensor a = run_op(OpKind::kRandomNormal, {}, seven)[0];
  CHECK(a.equal(run_op(OpKind::kRandomNormal, {}, seven)[0]));
  CHECK_FALSE(a.equal(run_op(OpKind::kRandomNormal, {}, eight)[0]));
  CHECK(std::abs(a.mean().item<double>()) < 0.1);
  CHECK(std::abs(a.std().item<double>() - 1.0) < 0.1);
}

TEST_CASE("Attention masks by causality and shares keys among query heads") {
  // Two query heads, one key head, two positions: the first position sees only itself.
  const Given q = floats({1, 2, 2, 1}, {1, 1, 1, 1}), k = floats({1, 1, 2, 1}, {0, 0});
  const Given v = floats({1, 1, 2, 1}, {2, 4});
  const Attributes causal = attributes_of({{"is_causal", int64_t{1}}});
  CHECK(real_values(run_op(OpKind::kAttention, {q, k, v}, causal)[0]) == Reals{2, 3, 2, 3});
  CHECK(real_values(run_op(OpKind::kAttention, {q, k, v})[0]) == Reals{3, 3, 3, 3});
}

TEST_CASE("SkipLayerNormalization adds before it normalizes") {
  const auto out = run_op(OpKind::kSkipLayerNormalization,
                          {floats({1, 1, 2}, {1, 2}), floats({1, 1, 2}, {0, 1}),
                           floats({2}, {1, 2}), floats({2}, {0, 10})},
                          {}, 4);
  CHECK(real_values(out[3]) == Reals{1, 3});
  CHECK(real_values(out[0])[0] == doctest::Approx(-1));
  CHECK(real_values(out[0])[1] == doctest::Approx(12));
  CHECK(real_values(out[1])[0] == doctest::Approx(2));
}

}  // namespace
}  // namespace lathe::test
