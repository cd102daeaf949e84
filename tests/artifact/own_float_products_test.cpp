// Float products by lathe's own kernels: right, and the same bytes for any number of threads.
#include "program/own_float_products.h"

#include <doctest/doctest.h>

#include "convolution_case.h"
#include "kernels/bfloat16_panels.h"
#include "matmul_case.h"

namespace lathe {

using test::check_convolution;
using test::check_matmul;
using test::check_products;
using test::ConvolutionCase;

TEST_CASE("products in panels: the same bytes for any number of threads, and right") {
  check_products(kOwnFloatProduct);
  check_matmul({"matrices for some",
                {{2, 1, 5, 30}, {150, 150, 30, 1}},
                {{3, 30, 17}, {510, 17, 1}},
                {2, 3, 5, 17},
                true,
                true},
               kOwnFloatProduct);
  check_matmul({"one row", {{1, 3000}, {3000, 1}}, {{3000, 100}, {1, 3000}}, {1, 100}, true, true},
               kOwnFloatProduct);
}

TEST_CASE("convolutions in panels: the same bytes for any number of threads, and right") {
  const auto check = [](const ConvolutionCase& one) { check_convolution(one, kOwnFloatProduct); };
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

TEST_CASE("what may be rounded to bfloat16 is, where the processor multiplies it") {
  const std::string_view name = has_bfloat16_products() ? kOwnBFloat16Product : kOwnFloatProduct;
  const std::string_view asked = has_bfloat16_products() ? "" : kOwnFloatProduct;
  ConvolutionCase one{"bfloat16", {1, 600, 5, 7}, {40, 300, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 2};
  one.bfloat16 = true;
  check_convolution(one, asked, name);
  one = {"depthwise", {1, 20, 5, 7}, {20, 1, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 20};
  one.bfloat16 = true;
  check_convolution(one, asked, kOwnFloatProduct);
}

}  // namespace lathe
