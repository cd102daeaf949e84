#include "evaluate_fixture.h"

namespace lathe::test {
namespace {

std::vector<double> counting(int64_t count) {
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  return values;
}

TEST_CASE("Conv: asymmetric padding, SAME_LOWER, groups, and attributes that cannot be") {
  const Given x = floats({1, 1, 3, 3}, counting(9));
  const Given ones = floats({1, 1, 2, 2}, {1, 1, 1, 1});
  const auto conv = [&](Attributes attributes) {
    return run_op(OpKind::kConv, {x, ones}, std::move(attributes))[0];
  };
  CHECK(real_values(conv({})) == Reals{8, 12, 20, 24});
  const at::Tensor padded = conv(attributes_of({{"pads", Ints{0, 1, 0, 0}}}));
  CHECK(padded.sizes().vec() == Ints{1, 1, 2, 3});
  CHECK(real_values(padded) == Reals{3, 8, 12, 9, 20, 24});
  const at::Tensor lower = conv(attributes_of({{"auto_pad", std::string("SAME_LOWER")}}));
  CHECK(real_values(lower) == Reals{0, 1, 3, 3, 8, 12, 9, 20, 24});
  CHECK_THROWS_AS(conv(attributes_of({{"group", int64_t{0}}})), Error);
  CHECK_THROWS_AS(conv(attributes_of({{"group", int64_t{2}}})), Error);
  CHECK_THROWS_AS(conv(attributes_of({{"strides", Ints{0, 1}}})), Error);
  CHECK_THROWS_AS(conv(attributes_of({{"dilations", Ints{1, -1}}})), Error);
  CHECK_THROWS_AS(conv(attributes_of({{"dilations", Ints{3, 3}}})), Error);
  CHECK_THROWS_AS(conv(attributes_of({{"pads", Ints{1, 1}}})), Error);
  CHECK_THROWS_AS(conv(attributes_of({{"pads", Ints{0, 0, 0, int64_t{1} << 62}}})), Error);
  CHECK_THROWS_AS(conv(attributes_of({{"pads", Ints{1 << 30, 1 << 30, 1 << 30, 1 << 30}}})), Error);
  const at::Tensor depthwise =
      run_op(OpKind::kConv, {floats({1, 2, 1, 2}, {1, 2, 3, 4}), floats({2, 1, 1, 1}, {10, 100})},
             attributes_of({{"group", int64_t{2}}}))[0];
  CHECK(real_values(depthwise) == Reals{10, 20, 300, 400});
}

TEST_CASE("ConvTranspose: output_shape, output padding beyond the kernel, asymmetric crop") {
  const Given x = floats({1, 1, 2}, {1, 2});
  const Given kernel = floats({1, 1, 2}, {1, 10});
  const auto transposed = [&](Attributes attributes) {
    return real_values(
        run_op(OpKind::kConvTranspose, {x, kernel, floats({1}, {0.5})}, std::move(attributes))[0]);
  };
  CHECK(transposed({}) == Reals{1.5, 12.5, 20.5});
  CHECK(transposed(attributes_of({{"pads", Ints{0, 1}}})) == Reals{1.5, 12.5});
  CHECK(transposed(attributes_of({{"pads", Ints{1, 0}}})) == Reals{12.5, 20.5});
  CHECK(transposed(attributes_of({{"strides", Ints{2}}, {"output_padding", Ints{1}}})) ==
        Reals{1.5, 10.5, 2.5, 20.5, 0.5});
  CHECK(transposed(attributes_of({{"output_shape", Ints{2}}})) == Reals{12.5, 20.5});
  CHECK_THROWS_AS(transposed(attributes_of({{"pads", Ints{2, 2}}})), Error);
  CHECK_THROWS_AS(transposed(attributes_of({{"group", int64_t{3}}})), Error);
}

TEST_CASE("MaxPool: indices count over the whole tensor, padding never wins") {
  const Given x = floats({1, 2, 2, 2}, {-1, -2, -3, -4, -8, -7, -6, -5});
  const Attributes attributes = attributes_of(
      {{"kernel_shape", Ints{2, 2}}, {"pads", Ints{0, 0, 1, 1}}, {"strides", Ints{2, 2}}});
  const auto pooled = run_op(OpKind::kMaxPool, {x}, attributes, 2);
  CHECK(real_values(pooled[0]) == Reals{-1, -5});
  CHECK(int_values(pooled[1]) == Ints{0, 7});
  Attributes column_major = attributes;
  column_major.set("storage_order", int64_t{1});
  const Given mixed = floats({1, 1, 2, 2}, {0, 9, 1, 2});
  CHECK(int_values(run_op(OpKind::kMaxPool, {mixed}, attributes, 2)[1]) == Ints{1});
  CHECK(int_values(run_op(OpKind::kMaxPool, {mixed}, column_major, 2)[1]) == Ints{2});
  CHECK_THROWS_AS(run_op(OpKind::kMaxPool, {x}, attributes_of({{"kernel_shape", Ints{3, 3}}})),
                  Error);
  CHECK_THROWS_AS(run_op(OpKind::kMaxPool, {x}, attributes_of({{"kernel_shape", Ints{0, 1}}})),
                  Error);
}

TEST_CASE("AveragePool: what counts, also with asymmetric or dilated windows") {
  const Given x = floats({1, 1, 4}, {1, 2, 3, 4});
  const auto pool = [&](Attributes attributes) {
    return real_values(run_op(OpKind::kAveragePool, {x}, std::move(attributes))[0]);
  };
  const auto with = [](Ints kernel, Ints pads, int64_t include) {
    return attributes_of(
        {{"kernel_shape", kernel}, {"pads", pads}, {"count_include_pad", include}});
  };
  CHECK(pool(with({2}, {1, 1}, 0)) == Reals{1, 1.5, 2.5, 3.5, 4});
  CHECK(pool(with({2}, {1, 1}, 1)) == Reals{0.5, 1.5, 2.5, 3.5, 2});
  CHECK(pool(with({2}, {1, 0}, 0)) == Reals{1, 1.5, 2.5, 3.5});
  CHECK(pool(with({2}, {1, 0}, 1)) == Reals{0.5, 1.5, 2.5, 3.5});
  Attributes dilated = with({2}, {1, 1}, 0);
  dilated.set("dilations", Ints{2});
  CHECK(pool(dilated) == Reals{2, 2, 3, 3});
  Attributes ceil = with({2}, {0, 0}, 1);
  ceil.set("strides", Ints{3});
  ceil.set("ceil_mode", int64_t{1});
  CHECK(pool(ceil) == Reals{1.5, 4});
}

TEST_CASE("NonMaxSuppression: limit per class, threshold, equal scores keep their order") {
  const Given boxes = floats({1, 3, 4}, {0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, 10, 1, 11});
  const Given scores = floats({1, 1, 3}, {0.5, 0.5, 0.4});
  const auto selected = [&](int64_t limit, double iou, double score) {
    return int_values(
        run_op(OpKind::kNonMaxSuppression,
               {boxes, scores, int64s({limit}), floats({1}, {iou}), floats({1}, {score})})[0]);
  };
  CHECK(selected(3, 0.5, 0.0) == Ints{0, 0, 0, 0, 0, 2});
  CHECK(selected(3, 0.95, 0.0) == Ints{0, 0, 0, 0, 0, 1, 0, 0, 2});
  CHECK(selected(1, 0.5, 0.0) == Ints{0, 0, 0});
  CHECK(selected(3, 0.5, 0.45) == Ints{0, 0, 0});
  CHECK(selected(0, 0.5, 0.0).empty());
}

}  // namespace
}  // namespace lathe::test
