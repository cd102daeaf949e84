// Quantized TorchScript against LibTorch's quantized kernels, within one step of the result's grid.
#include <doctest/doctest.h>

#include "ops_case.h"

namespace lathe {
namespace {

// q is the input on a grid of step 0.05; results have steps of at most 0.1.
OpCase quantized(const std::string& code, const std::string& input = "x:f:2x4x6x6",
                 std::vector<std::string> weights = {}, double tolerance = 0.101) {
  return {
      "def forward(self, x):\n  q = torch.quantize_per_tensor(x, 0.05, 120, 13)\n  return " + code,
      {input},
      std::move(weights),
      tolerance};
}

TEST_CASE("quantized layers convert to QDQ") {
  const OpCase cases[] = {
      quantized("q.dequantize()", "x:f:2x3", {}, 1e-6),
      quantized("quantized.conv2d(q, self.w, 0.1, 128)", "x:f:2x4x6x6", {"w:qconv:8x4x3x3"}),
      quantized("quantized.conv2d_relu(q, self.w, 0.1, 0)", "x:f:2x4x6x6", {"w:qconv:8x4x3x3"}),
      quantized("quantized.conv1d(q, self.w, 0.1, 128)", "x:f:2x4x9", {"w:qconv:8x4x3"}),
      quantized("quantized.conv3d(q, self.w, 0.1, 128)", "x:f:1x2x4x4x4", {"w:qconv:3x2x3x3x3"}),
      quantized("quantized.linear(q, self.w, 0.1, 128)", "x:f:3x8", {"w:qlinear:5x8"}),
      quantized("quantized.linear(q, self.w, 0.1, 128)", "x:f:2x3x8", {"w:qlinear:5x8"}),
      quantized("quantized.linear_relu(q, self.w, 0.1, 0)", "x:f:3x8", {"w:qlinear:5x8"}),
  };
  for (const OpCase& op : cases) CHECK(op_difference(op) == "");
}

TEST_CASE("dynamically quantized layers convert") {
  CHECK(op_difference(
            {"quantized.linear_dynamic(x, self.w)", {"x:f:3x8"}, {"w:dlinear:5x8"}, 0.02}) == "");
}

TEST_CASE("ops on quantized tensors keep their grid") {
  for (const char* const code : {"torch.max_pool2d(q, 2)",
                                 "torch.relu(q)",
                                 "torch.mean(q, [2, 3])",
                                 "torch.adaptive_avg_pool2d(q, [1, 1])",
                                 "torch.avg_pool2d(q, 2)",
                                 "torch.flatten(q, 1)",
                                 "q.view(2, -1)",
                                 "q.permute(0, 2, 3, 1)",
                                 "q[:, 1]",
                                 "torch.hardtanh(q, -1., 1.)",
                                 "torch.clamp(q, 0., 1.)",
                                 "torch.sigmoid(q)",
                                 "torch.tanh(q)",
                                 "torch.leaky_relu(q, 0.1)",
                                 "torch.upsample_nearest2d(q, [12, 12])",
                                 "quantized.add(q, torch.relu(q), 0.1, 128)",
                                 "quantized.add_relu(q, q, 0.1, 0)",
                                 "quantized.mul(q, q, 0.1, 10)",
                                 "quantized.cat([q, q], 1, 0.1, 128)",
                                 "quantized.hardswish(q, 0.1, 10)",
                                 "quantized.leaky_relu(q, 0.2, False, 0.1, 50)",
                                 "quantized.add_scalar(q, 1.0)",
                                 "quantized.add_scalar(q, -30.0)",
                                 "quantized.mul_scalar(q, 2.0)",
                                 "quantized.mul_scalar(q, -0.5)",
                                 "quantized.relu6(q)",
                                 "quantized.sigmoid(q, 0.01, 0)",
                                 "quantized.elu(q, 0.1, 50)"})
    CHECK(op_difference(quantized(code)) == "");
}

}  // namespace
}  // namespace lathe
