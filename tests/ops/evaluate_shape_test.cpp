#include "evaluate_fixture.h"

namespace lathe::test {
namespace {

Given counted(std::vector<int64_t> sizes) {
  const int64_t count = element_count(sizes);
  return {DType::kFloat32, at::arange(count, at::kFloat).reshape(sizes)};
}

TEST_CASE("Slice clamps, steps backwards and refuses step 0") {
  const Given x = int64s({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  const auto slice = [&](int64_t start, int64_t end, int64_t step) {
    return int_values(run_op(OpKind::kSlice,
                             {x, int64s({start}), int64s({end}), int64s({0}), int64s({step})})[0]);
  };
  CHECK(slice(1, 1000, 3) == Ints{1, 4, 7});
  CHECK(slice(-3, INT64_MAX, 1) == Ints{7, 8, 9});
  CHECK(slice(20, 0, -4) == Ints{9, 5, 1});
  CHECK(slice(-1, INT64_MIN, -3) == Ints{9, 6, 3, 0});
  CHECK(slice(2, -12, -1) == Ints{2, 1, 0});
  CHECK(slice(3, 3, -1).empty());
  CHECK(slice(5, 2, 1).empty());
  CHECK(slice(8, 2, INT64_MIN) == Ints{8});
  CHECK_THROWS_AS(slice(0, 5, 0), Error);
}

TEST_CASE("Pad modes and negative pads") {
  const Given x = floats({4}, {1, 2, 3, 4});
  const auto pad = [&](const char* mode, int64_t before, int64_t after) {
    return real_values(run_op(OpKind::kPad, {x, int64s({before, after})},
                              attributes_of({{"mode", std::string(mode)}}))[0]);
  };
  CHECK(pad("constant", 1, 2) == Reals{0, 1, 2, 3, 4, 0, 0});
  CHECK(pad("constant", -1, 1) == Reals{2, 3, 4, 0});
  CHECK(pad("edge", 2, 1) == Reals{1, 1, 1, 2, 3, 4, 4});
  CHECK(pad("reflect", 2, 4) == Reals{3, 2, 1, 2, 3, 4, 3, 2, 1, 2});
  CHECK(pad("wrap", 3, 2) == Reals{2, 3, 4, 1, 2, 3, 4, 1, 2});
  CHECK_THROWS_AS(pad("constant", -3, -2), Error);
  CHECK_THROWS_AS(pad("mirror", 1, 1), Error);
  const Given value = ints(DType::kInt32, {}, {7});
  CHECK(int_values(run_op(OpKind::kPad, {ints(DType::kInt32, {1, 2}, {1, 2}), int64s({1, 0}), value,
                                         int64s({-1})})[0]) == Ints{7, 1, 2});
}

TEST_CASE("Reshape copies zeros, infers -1 and obeys allowzero") {
  const auto sizes = [](const at::Tensor& t) { return t.sizes().vec(); };
  CHECK(sizes(run_op(OpKind::kReshape, {counted({2, 3, 4}), int64s({0, -1})})[0]) == Ints{2, 12});
  CHECK(sizes(run_op(OpKind::kReshape, {counted({2, 3, 4}), int64s({0, 2, -1, 2})})[0]) ==
        Ints{2, 2, 3, 2});
  CHECK(sizes(run_op(OpKind::kReshape, {counted({0, 3}), int64s({3, 0})},
                     attributes_of({{"allowzero", int64_t{1}}}))[0]) == Ints{3, 0});
  CHECK(sizes(run_op(OpKind::kFlatten, {counted({2, 3, 4})},
                     attributes_of({{"axis", int64_t{0}}}))[0]) == Ints{1, 24});
  CHECK_THROWS_AS(run_op(OpKind::kReshape, {counted({6}), int64s({2, 0})}), Error);
}

TEST_CASE("Split into uneven parts") {
  const auto parts =
      run_op(OpKind::kSplit, {counted({7})}, attributes_of({{"num_outputs", int64_t{4}}}), 4);
  CHECK(parts.size() == 4);
  CHECK(real_values(parts[0]) == Reals{0, 1});
  CHECK(real_values(parts[3]) == Reals{6});
  CHECK_THROWS_AS(run_op(OpKind::kSplit, {counted({7}), int64s({3, 3})}, {}, 2), Error);
  CHECK_THROWS_AS(run_op(OpKind::kSplit, {counted({7}), int64s({9, -2})}, {}, 2), Error);
}

TEST_CASE("DepthToSpace orders and its inverse") {
  const Given x = counted({1, 8, 1, 1});
  const Attributes dcr = attributes_of({{"blocksize", int64_t{2}}});
  const Attributes crd = attributes_of({{"blocksize", int64_t{2}}, {"mode", std::string("CRD")}});
  const at::Tensor spread = run_op(OpKind::kDepthToSpace, {x}, dcr)[0];
  CHECK(real_values(spread) == Reals{0, 2, 4, 6, 1, 3, 5, 7});
  CHECK(real_values(run_op(OpKind::kDepthToSpace, {x}, crd)[0]) == Reals{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(run_op(OpKind::kSpaceToDepth, {{DType::kFloat32, spread}}, dcr)[0].equal(x.tensor));
}

TEST_CASE("CenterCropPad, Crop and ReverseSequence") {
  CHECK(real_values(run_op(OpKind::kCenterCropPad, {counted({5, 1}), int64s({2, 2})})[0]) ==
        Reals{1, 0, 2, 0});
  const Attributes border = attributes_of({{"border", std::vector<int64_t>{1, 0, 0, 1}}});
  CHECK(real_values(run_op(OpKind::kCrop, {counted({1, 1, 2, 3})}, border)[0]) == Reals{1, 2});
  const Attributes batch_first =
      attributes_of({{"batch_axis", int64_t{0}}, {"time_axis", int64_t{1}}});
  CHECK(real_values(run_op(OpKind::kReverseSequence, {counted({2, 3}), int64s({2, 3})},
                           batch_first)[0]) == Reals{1, 0, 2, 5, 4, 3});
  CHECK_THROWS_AS(run_op(OpKind::kReverseSequence, {counted({2, 3}), int64s({4, 3})}, batch_first),
                  Error);
}

TEST_CASE("reductions: axes, empty sets and no-op") {
  const Given x = counted({2, 3});
  CHECK(real_values(run_op(OpKind::kReduceSum, {x, int64s({-1})})[0]) == Reals{3, 12});
  CHECK(real_values(run_op(OpKind::kReduceSum, {x})[0]) == Reals{15});
  const Attributes noop = attributes_of({{"noop_with_empty_axes", int64_t{1}}});
  CHECK(real_values(run_op(OpKind::kReduceSumSquare, {x, int64s({})}, noop)[0]) ==
        Reals{0, 1, 4, 9, 16, 25});
  CHECK(real_values(run_op(OpKind::kReduceMax, {counted({2, 0}), int64s({1})})[0])[0] ==
        -std::numeric_limits<double>::infinity());
  CHECK(int_values(run_op(OpKind::kReduceMean, {ints(DType::kInt32, {2}, {2, 5})})[0]) == Ints{3});
  const Attributes last =
      attributes_of({{"select_last_index", int64_t{1}}, {"keepdims", int64_t{0}}});
  const Given ties = floats({4}, {1, 9, 9, 1});
  CHECK(int_values(run_op(OpKind::kArgMax, {ties})[0]) == Ints{1});
  CHECK(int_values(run_op(OpKind::kArgMax, {ties}, last)[0]) == Ints{2});
  const Attributes both = attributes_of({{"exclusive", int64_t{1}}, {"reverse", int64_t{1}}});
  CHECK(real_values(run_op(OpKind::kCumSum, {floats({3}, {1, 2, 3}), int64s({0})}, both)[0]) ==
        Reals{5, 3, 0});
  CHECK_THROWS_AS(run_op(OpKind::kReduceSum, {x, int64s({2})}), Error);
}

TEST_CASE("Range counts steps and refuses delta 0") {
  const auto range = [](int64_t start, int64_t limit, int64_t delta) {
    return int_values(
        run_op(OpKind::kRange, {ints(DType::kInt64, {}, {start}), ints(DType::kInt64, {}, {limit}),
                                ints(DType::kInt64, {}, {delta})})[0]);
  };
  CHECK(range(10, 6, -3) == Ints{10, 7});
  CHECK(range(1, 5, 2) == Ints{1, 3});
  CHECK(range(5, 1, 2).empty());
  CHECK_THROWS_AS(range(0, 5, 0), Error);
  CHECK_THROWS_AS(range(INT64_MIN, INT64_MAX, 1), Error);
}

}  // namespace
}  // namespace lathe::test
