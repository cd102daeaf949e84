// Float convolutions by oneDNN and by lathe: right, and the same bytes for any number of threads.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "onednn/convolution_bands.h"
#include "program/own_float_products.h"
#include "run_plan.h"
#include "small_plan.h"

namespace lathe {
namespace {

struct ConvolutionCase {
  const char* name;
  Shape image;                                    // n, channels, height, width
  Shape weights;                                  // ONNX's
  std::vector<int64_t> strides, dilations, pads;  // pads: top, left, bottom, right
  int64_t groups = 1;
  bool transposed = false;
  bool adds = false;  // to an array that is there
};

Shape output_of(const ConvolutionCase& one) {
  Shape shape{one.image[0], one.transposed ? one.weights[1] * one.groups : one.weights[0]};
  for (size_t i = 0; i < 2; ++i) {
    const int64_t reach = (one.weights[i + 2] - 1) * one.dilations[i] + 1;
    const int64_t pads = one.pads[i] + one.pads[i + 2];
    shape.push_back(one.transposed ? (one.image[i + 2] - 1) * one.strides[i] + reach - pads
                                   : (one.image[i + 2] + pads - reach) / one.strides[i] + 1);
  }
  return shape;
}

/// In double precision, channels last, of an image and weights in ONNX's order.
std::vector<double> reference(const ConvolutionCase& one, const std::vector<float>& image,
                              const std::vector<float>& weights, const std::vector<float>& bias) {
  const Shape to = output_of(one);
  const int64_t channels = one.image[1] / one.groups;
  const int64_t outputs = to[1] / one.groups;
  std::vector<double> sums(static_cast<size_t>(element_count(to)));
  for (size_t i = 0; i < sums.size(); ++i)
    sums[i] = bias[i / static_cast<size_t>(to[2] * to[3]) % static_cast<size_t>(to[1])];
  const auto at = [](const Shape& shape, int64_t a, int64_t b, int64_t c, int64_t d) {
    return static_cast<size_t>(((a * shape[1] + b) * shape[2] + c) * shape[3] + d);
  };
  // All pairs of a position of the (conceptual) larger side and one of the smaller.
  const Shape& small = one.transposed ? one.image : to;
  const Shape& large = one.transposed ? to : one.image;
  for (int64_t n = 0; n < to[0]; ++n)
    for (int64_t g = 0; g < one.groups; ++g)
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t o = 0; o < outputs; ++o)
          for (int64_t y = 0; y < small[2]; ++y)
            for (int64_t x = 0; x < small[3]; ++x)
              for (int64_t ky = 0; ky < one.weights[2]; ++ky)
                for (int64_t kx = 0; kx < one.weights[3]; ++kx) {
                  const int64_t row = y * one.strides[0] + ky * one.dilations[0] - one.pads[0];
                  const int64_t column = x * one.strides[1] + kx * one.dilations[1] - one.pads[1];
                  if (row < 0 || row >= large[2] || column < 0 || column >= large[3]) continue;
                  const int64_t in = g * channels + c;
                  const int64_t out = g * outputs + o;
                  if (one.transposed)
                    sums[at(to, n, out, row, column)] +=
                        static_cast<double>(image[at(one.image, n, in, y, x)]) *
                        weights[at(one.weights, in, o, ky, kx)];
                  else
                    sums[at(to, n, out, y, x)] +=
                        static_cast<double>(image[at(one.image, n, in, row, column)]) *
                        weights[at(one.weights, out, c, ky, kx)];
                }
  return sums;
}

std::vector<float> some_values(size_t count, size_t step, int range) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] =
        static_cast<float>(static_cast<int>(i * step % 199) - 99) * static_cast<float>(range) / 99;
  return values;
}

constexpr const char* kConvolutionGemm = "x64:gemm:jit";

/// `implementation` may be any ("").
void check_convolution(const ConvolutionCase& one, const char* implementation) {
  CAPTURE(std::string(one.name));
  const Shape to = output_of(one);
  test::SmallPlan s;
  const std::vector<float> weights =
      some_values(static_cast<size_t>(element_count(one.weights)), 7919, 1);
  const std::vector<float> bias = some_values(static_cast<size_t>(to[1]), 31, 3);
  const ViewId x = s.input(DType::kFloat32, one.image);
  const ViewId image = s.floats(one.image, true);
  s.step(CopyStep{x, image});
  const ViewId made = s.floats(to, true);
  if (one.adds) s.step(CopyStep{s.input(DType::kFloat32, to), made});
  FloatConvStep step{image,
                     made,
                     s.constant(Tensor::of(one.weights, weights)),
                     s.constant(Tensor::vector(bias)),
                     one.strides,
                     one.dilations,
                     {one.pads[0], one.pads[1]},
                     {one.pads[2], one.pads[3]},
                     one.groups,
                     one.transposed,
                     {}};
  if (one.adds) step.tail.sum = made;
  s.step(step);
  s.plan.steps.back().choice.implementation = implementation;
  s.step(CopyStep{made, s.output(DType::kFloat32, to)});
  place_blocks(s.plan);
  const test::Outputs inputs = test::seeded_inputs(s.plan, 3);
  const test::Outputs alone = test::check_threads(
      s.plan, inputs, one.adds ? 2 : 1,
      one.transposed && implementation != kOwnFloatProduct ? "" : implementation);
  const std::vector<float> got = test::floats_of(alone[0]);
  std::vector<double> wanted = reference(one, test::floats_of(inputs[0]), weights, bias);
  if (one.adds) {
    const std::vector<float> there = test::floats_of(inputs[1]);
    for (size_t i = 0; i < wanted.size(); ++i) wanted[i] += static_cast<double>(there[i]);
  }
  double worst = 0;
  double largest = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    worst = std::max(worst, std::abs(wanted[i] - static_cast<double>(got[i])));
    largest = std::max(largest, std::abs(wanted[i]));
  }
  CHECK(worst < 1e-5 * largest);
}

}  // namespace

TEST_CASE("bands of a convolution cover its output, each with the lines that it reads") {
  // Lines 0 to 19 in bands of 7, by windows of 5 every second line.
  const auto bands = convolution_bands({40, 5, 2, 1, 2, 1}, 20, 3);
  REQUIRE(bands.size() == 3);
  CHECK(bands[0].input == 0);
  CHECK(bands[0].pad_begin == 2);
  CHECK(bands[0].input_lines == 15);
  CHECK(bands[0].pad_end == 0);
  CHECK(bands[1].output == 7);
  CHECK(bands[1].input == 12);
  CHECK(bands[1].input_lines == 17);
  CHECK(bands[1].pad_begin + bands[1].pad_end == 0);
  CHECK(bands[2].output + bands[2].output_lines == 20);
  CHECK(bands[2].input + bands[2].input_lines == 40);
  CHECK(bands[2].pad_end == 1);
  CHECK(convolution_bands({40, 5, 2, 1, 2, 1}, 20, 1).size() == 1);
  CHECK(convolution_bands({1, 1, 1, 1, 0, 0}, 1, 16).size() == 1);
  // The last line sees nothing but padding.
  CHECK(convolution_bands({4, 2, 1, 1, 0, 8}, 11, 11).size() == 1);
}

TEST_CASE("bands of a transposed convolution cover its output, too") {
  // Lines 0 to 12 of 7 in bands of 5: the whole is 15 lines, of which one is cut off at each end.
  const auto bands = convolution_bands({7, 3, 2, 1, 1, 1}, 13, 3, true);
  REQUIRE(bands.size() == 3);
  CHECK(bands[0].input == 0);
  CHECK(bands[0].input_lines == 3);
  CHECK(bands[0].pad_begin == 1);
  CHECK(bands[0].pad_end == 1);
  CHECK(bands[1].output == 5);
  CHECK(bands[1].input == 2);
  CHECK(bands[1].pad_begin == 2);
  CHECK(bands[1].input_lines == 4);
  CHECK(bands[1].pad_end == 2);
  CHECK(bands[2].output_lines == 3);
  CHECK(bands[2].input + bands[2].input_lines == 7);
  CHECK(bands[2].pad_end == 1);
  // Lines between those of the input are computed from none.
  CHECK(convolution_bands({7, 1, 3, 1, 0, 0}, 19, 19, true).size() == 1);
}

TEST_CASE("GEMM convolutions: the same bytes for any number of threads, and right") {
  check_convolution(
      {"pictures of a style", {1, 32, 75, 60}, {3, 32, 9, 9}, {1, 1}, {1, 1}, {4, 4, 4, 4}},
      kConvolutionGemm);
  check_convolution({"every second line of two samples",
                     {2, 24, 61, 47},
                     {22, 12, 5, 3},
                     {2, 1},
                     {1, 2},
                     {0, 2, 3, 1},
                     2},
                    kConvolutionGemm);
  check_convolution({"holes", {1, 13, 64, 64}, {19, 13, 3, 3}, {1, 1}, {6, 6}, {6, 6, 6, 6}},
                    kConvolutionGemm);
  check_convolution(
      {"turned", {2, 52, 13, 13}, {52, 16, 5, 5}, {1, 1}, {2, 2}, {0, 0, 0, 0}, 4, true},
      kConvolutionGemm);
  check_convolution(
      {"turned and wider", {1, 78, 7, 7}, {78, 5, 5, 5}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 6, true},
      kConvolutionGemm);
}

// Shapes that oneDNN divides in another way for another number of threads.
TEST_CASE("convolutions by brgemm: the same bytes for any number of threads, and right") {
  check_convolution({"few outputs", {1, 512, 8, 33}, {17, 512, 3, 3}, {3, 3}, {1, 1}, {1, 1, 1, 1}},
                    "");
  check_convolution({"a line", {1, 3, 1, 14}, {8, 3, 1, 7}, {2, 2}, {2, 2}, {0, 6, 0, 6}}, "");
  check_convolution({"lines of pairs", {1, 8, 4, 28}, {17, 8, 1, 2}, {1, 1}, {1, 1}, {0, 1, 0, 1}},
                    "");
  check_convolution({"a long line", {1, 64, 1, 900}, {64, 64, 1, 9}, {1, 1}, {1, 1}, {0, 4, 0, 4}},
                    "");
  check_convolution({"mostly padding", {2, 16, 1, 14}, {1, 16, 7, 7}, {3, 3}, {1, 1}, {3, 3, 3, 3}},
                    "");
  check_convolution({"many bands", {2, 64, 40, 40}, {64, 64, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},
                    "");
  check_convolution({"deep, of few lines",
                     {2, 128, 14, 9},
                     {128, 128, 3, 3},
                     {1, 1},
                     {1, 1},
                     {1, 1, 1, 1},
                     1,
                     false,
                     true},
                    "");
  check_convolution({"deeper", {1, 96, 13, 13}, {320, 96, 5, 5}, {2, 2}, {1, 1}, {2, 2, 2, 2}}, "");
  check_convolution(
      {"turned", {2, 32, 16, 16}, {32, 8, 4, 4}, {2, 2}, {1, 1}, {0, 0, 0, 0}, 1, true}, "");
  check_convolution(
      {"turned and cut", {1, 256, 7, 7}, {256, 64, 4, 4}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 1, true},
      "");
}

TEST_CASE("convolutions in panels: the same bytes for any number of threads, and right") {
  const auto check = [](const ConvolutionCase& one) {
    check_convolution(one, kOwnFloatProduct.data());
  };
  check({"pictures of a style", {1, 32, 35, 30}, {3, 32, 9, 9}, {1, 1}, {1, 1}, {4, 4, 4, 4}});
  check({"every second line of two samples",
         {2, 24, 61, 47},
         {22, 12, 5, 3},
         {2, 1},
         {1, 2},
         {0, 2, 3, 1},
         2});
  check({"holes", {1, 13, 64, 64}, {19, 13, 3, 3}, {1, 1}, {6, 6}, {6, 6, 6, 6}});
  check({"pixels", {2, 40, 7, 9}, {70, 40, 1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}});
  check({"pixels in padding", {1, 4, 3, 3}, {5, 4, 1, 1}, {2, 2}, {1, 1}, {1, 1, 1, 1}});
  check({"deeper than a part", {1, 600, 3, 3}, {40, 600, 1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}});
  check({"depthwise", {2, 35, 12, 13}, {35, 1, 3, 3}, {2, 1}, {1, 2}, {1, 2, 1, 2}, 35});
  check({"two outputs a group", {1, 6, 8, 8}, {12, 1, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 6});
  check({"added", {1, 8, 9, 9}, {16, 8, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 1, false, true});
  check({"turned", {2, 52, 13, 13}, {52, 16, 5, 5}, {1, 1}, {2, 2}, {0, 0, 0, 0}, 4, true});
  check({"turned, wider", {1, 78, 7, 7}, {78, 5, 5, 5}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 6, true});
  check({"turned, depthwise", {1, 9, 5, 4}, {9, 1, 4, 4}, {2, 3}, {1, 1}, {1, 0, 2, 1}, 9, true});
}

}  // namespace lathe
