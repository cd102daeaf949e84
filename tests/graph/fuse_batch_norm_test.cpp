#include "pass_check.h"
#include "passes/passes.h"

#include <doctest/doctest.h>

namespace lathe {
namespace {

using test::check_pass;
using test::count_of;

const char* kConvBatchNorm = R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1,2,4,4] x) => (float[1,3,4,4] y)
<float[3,2,1,1] w = {1.0, -2.0, 0.5, 3.0, -1.0, 0.25}, float[3] b = {0.5, -1.0, 2.0},
 float[3] scale = {1.5, 0.5, -2.0}, float[3] shift = {0.1, 0.2, 0.3},
 float[3] mean = {0.5, -0.5, 1.0}, float[3] variance = {1.0, 4.0, 0.25}>
{ c = Conv(x, w, b)  y = BatchNormalization(c, scale, shift, mean, variance) })";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("fuse_batch_norm: Conv with bias, the graph output keeps its name") {
  const Graph after = check_pass(kConvBatchNorm, fuse_batch_norm, 1);
  CHECK(count_of(after, OpKind::kBatchNormalization) == 0);
}

TEST_CASE("fuse_batch_norm: Conv without bias gets one") {
  check_pass(replaced(kConvBatchNorm, "Conv(x, w, b)", "Conv(x, w)"), fuse_batch_norm, 1);
}

TEST_CASE("fuse_batch_norm: depthwise Conv") {
  check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1,2,4,4] x) => (float[1,2,2,2] y)
<float[2,1,3,3] w = {1,2,3,4,5,6,7,8,9,-1,-2,-3,-4,-5,-6,-7,-8,-9},
 float[2] scale = {1.5, -0.5}, float[2] shift = {0.1, 0.2}, float[2] mean = {0.5, -0.5},
 float[2] variance = {1.0, 4.0}>
{ c = Conv<group = 2>(x, w)  y = BatchNormalization<epsilon = 0.1>(c, scale, shift, mean, variance) })",
             fuse_batch_norm, 1);
}

TEST_CASE("fuse_batch_norm: grouped ConvTranspose scales by its own channel order") {
  check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1,2,3,3] x) => (float[1,4,3,3] y)
<float[2,2,1,1] w = {1, 2, 3, 4},
 float[4] scale = {1, 2, 3, 4}, float[4] shift = {0.1, 0.2, 0.3, 0.4}, float[4] mean = {0, 1, 2, 3},
 float[4] variance = {1, 1, 4, 4}>
{ c = ConvTranspose<group = 2>(x, w)  y = BatchNormalization(c, scale, shift, mean, variance) })",
             fuse_batch_norm, 1);
}

TEST_CASE("fuse_batch_norm: Gemm, both orientations of the weight") {
  const std::string text = R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[2,2] x) => (float[2,2] y)
<float[2,2] w = {1, 2, 3, 4}, float[2] b = {1, -1}, float[2] scale = {2, -3},
 float[2] shift = {0.5, 0.25}, float[2] mean = {1, 2}, float[2] variance = {1, 4}>
{ c = Gemm(x, w, b)  y = BatchNormalization(c, scale, shift, mean, variance) })";
  check_pass(text, fuse_batch_norm, 1);
  check_pass(replaced(text, "Gemm(", "Gemm<transB = 1>("), fuse_batch_norm, 1);
}

TEST_CASE("fuse_batch_norm: near misses stay") {
  SUBCASE("the convolution is read elsewhere too") {
    check_pass(replaced(replaced(kConvBatchNorm, "(float[1,3,4,4] y)",
                                 "(float[1,3,4,4] y, float[1,3,4,4] z)"),
                        "variance) }", "variance)  z = Relu(c) }"),
               fuse_batch_norm, 0);
  }
  SUBCASE("the convolution is a graph output") {
    check_pass(
        replaced(kConvBatchNorm, "(float[1,3,4,4] y)", "(float[1,3,4,4] y, float[1,3,4,4] c)"),
        fuse_batch_norm, 0);
  }
  SUBCASE("an activation stands between") {
    check_pass(replaced(replaced(kConvBatchNorm, "c = Conv", "r = Conv"), "y = Batch",
                        "c = Relu(r)  y = Batch"),
               fuse_batch_norm, 0);
  }
}

TEST_CASE("fuse_batch_norm: a weight that two convolutions share is copied, not changed") {
  const Graph after = check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1,2,4,4] x) => (float[1,2,4,4] y, float[1,2,4,4] z)
<float[2,2,1,1] w = {1, 2, 3, 4}, float[2] scale = {2, 3}, float[2] shift = {1, 1},
 float[2] mean = {0, 0}, float[2] variance = {1, 1}>
{ c = Conv(x, w)  y = BatchNormalization(c, scale, shift, mean, variance)  z = Conv(x, w) })",
                                 fuse_batch_norm, 1);
  CHECK(count_of(after, OpKind::kConv) == 2);
}

}  // namespace lathe
