// Float convolutions by oneDNN: right, and the same bytes for any number of threads.
#include <doctest/doctest.h>

#include "convolution_case.h"
#include "onednn/convolution_bands.h"

namespace lathe {

using test::check_convolution;

constexpr const char* kConvolutionGemm = "x64:gemm:jit";

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
      kConvolutionGemm, "");
  check_convolution(
      {"turned and wider", {1, 78, 7, 7}, {78, 5, 5, 5}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 6, true},
      kConvolutionGemm, "");
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

}  // namespace lathe
