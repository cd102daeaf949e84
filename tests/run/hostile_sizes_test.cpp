// Sizes that a file may state at no cost: axes of tensors without elements, indices beyond what a
// float holds. Each ends at once, in bounds.
#include "run_text.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::contains;
using test::error_of;
using test::floats;
using test::run_text;

namespace {

using Doubles = std::vector<double>;

}  // namespace

TEST_CASE("a recurrence without sequences takes no steps") {
  const auto y = run_text(R"(agraph (float[1,1,1] w) => (int64[4] y)
    <int64[3] size = {1099511627776, 0, 1}>
    { x = ConstantOfShape(size)  z = RNN <hidden_size = 1> (x, w, w)  y = Shape(z) })",
                          {Tensor::of<float>({1, 1, 1}, {1})});
  CHECK(y[0].to_double() == Doubles{1099511627776.0, 1, 0, 1});
}

TEST_CASE("suppression without boxes looks at no class") {
  const auto y = run_text(R"(agraph (int64[1] k) => (int64[2] y)
    <int64[3] places = {1099511627776, 0, 4}, int64[3] scores = {1099511627776, 1048576, 0}>
    { b = ConstantOfShape(places)  s = ConstantOfShape(scores)
      z = NonMaxSuppression(b, s, k)  y = Shape(z) })",
                          {Tensor::vector<int64_t>({1})});
  CHECK(y[0].to_double() == Doubles{0, 3});
}

TEST_CASE("splits of a sequence do not overflow") {
  const std::string error = error_of([] {
    run_text(R"(agraph (float[4] x) => (int64 y)
      <int64[2] split = {1, 9223372036854775807}>
      { s = SplitToSequence(x, split)  y = SequenceLength(s) })",
             {floats({1, 2, 3, 4})});
  });
  CHECK(contains(error, "3 run.split"));
}

// 2^24 + 4 pixels in a row; the last index, 2^24 + 3, is no float and rounds up.
TEST_CASE("pixels beyond 2^24 are sampled within the image") {
  const char* region = R"(agraph (float[1,4] region) => (float[1,1,1,1] y)
    <int64[4] size = {1, 1, 1, 16777220}, int64[1] batch = {0}>
    { x = ConstantOfShape <value = float[1] {3}> (size)
      y = RoiAlign <sampling_ratio = 1, coordinate_transformation_mode = "output_half_pixel">
          (x, region, batch) })";
  CHECK(run_text(region, {Tensor::of<float>({1, 4}, {16777216, 0, 16777224, 0})})[0].to_double() ==
        Doubles{3});
  const char* grid = R"(agraph (float[1,1,1,2] grid) => (float[1,1,1,1] y)
    <int64[4] size = {1, 1, 1, 16777220}>
    { x = ConstantOfShape <value = float[1] {3}> (size)
      y = GridSample <padding_mode = "border", align_corners = 1> (x, grid) })";
  CHECK(run_text(grid, {Tensor::of<float>({1, 1, 1, 2}, {1, 1})})[0].to_double() == Doubles{3});
}

}  // namespace lathe
