#include "ops/activation_fusion.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "onnx/text_form.h"

namespace lathe {
namespace {

// "c -> y: Relu" of every pair, by output names.
std::string fusions(const std::string& body) {
  const Graph graph = parse_text(R"(<ir_version: 8, opset_import: ["" : 24]>
g (float[1,2,4,4] x, float bound) => (float[1,2,4,4] y)
<float[2,2,1,1] w = {1, 2, 3, 4}, float zero = {0}, float six = {6}> { )" +
                                 body + " }")
                          .graph;
  std::string text;
  for (const ActivationFusion& pair : plan_activation_fusion(graph).pairs)
    text += fmt::format("{}{} -> {}: {}", text.empty() ? "" : "; ",
                        graph.value(graph.node(pair.producer).outputs[0]).name,
                        graph.value(graph.node(pair.activation).outputs[0]).name,
                        activation_text(pair.form));
  return text;
}

}  // namespace

TEST_CASE("plan_activation_fusion: every producer and form") {
  CHECK(fusions("c = Conv(x, w) y = Relu(c)") == "c -> y: Relu");
  CHECK(fusions("c = ConvTranspose(x, w) y = Clip(c, zero, six)") == "c -> y: Clip(0, 6)");
  CHECK(fusions("c = MatMul(x, x) y = Clip(c, zero)") == "c -> y: Clip(0, inf)");
  CHECK(fusions("c = Conv(x, w) y = LeakyRelu<alpha = 0.1>(c)") == "c -> y: LeakyRelu(0.1)");
  CHECK(fusions("c = Conv(x, w) y = HardSigmoid(c)") == "c -> y: HardSigmoid(0.2, 0.5)");
  CHECK(fusions("c = Conv(x, w) y = Swish(c)") == "c -> y: Swish(1)");
  CHECK(fusions("c = Conv(x, w) y = Gelu<approximate = \"tanh\">(c)") == "c -> y: Gelu(tanh)");
  CHECK(fusions("a = Conv(x, w) b = Tanh(a) c = Conv(b, w) y = HardSwish(c)") ==
        "a -> b: Tanh; c -> y: HardSwish");
}

TEST_CASE("plan_activation_fusion: what stays alone") {
  CHECK(fusions("c = Conv(x, w) r = Relu(c) y = Add(r, c)").empty());
  CHECK(fusions("c = Conv(x, w) y = Clip(c, bound)").empty());
  CHECK(fusions("c = Conv(x, w) y = Clip(c, six, zero)").empty());
  CHECK(fusions("c = MaxPool<kernel_shape = [1, 1]>(x) y = Relu(c)").empty());
  CHECK(fusions("y = Conv(x, w)").empty());
}

}  // namespace lathe
