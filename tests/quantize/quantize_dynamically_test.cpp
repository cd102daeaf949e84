// DynamicQuantizeLinear and integer products.
#include "quantize/apply/quantize_dynamically.h"
#include "ir/verify.h"
#include "onnx/read_model.h"
#include "onnx/write_model.h"
#include "pass_check.h"
#include "quantize_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::count_of;
using test::network;
using test::values_text;

namespace {

struct Dynamic {
  Graph before;
  Graph after;
  DynamicPlan plan;
};

Dynamic dynamic(const std::string& body, const DynamicRules& rules = {}) {
  Dynamic result;
  result.before = result.after = network(body);
  result.plan = plan_dynamic(result.before, rules);
  CHECK(quantize_dynamically(result.after, result.plan) == result.plan.count());
  verify(result.after, "quantize_dynamically");
  CHECK(plan_dynamic(result.after, rules).empty());
  return result;
}

std::string reason(const std::string& body, const DynamicRules& rules = {}) {
  const DynamicPlan plan = plan_dynamic(network(body), rules);
  CHECK(plan.empty());
  return plan.exceptions.empty() ? "" : plan.exceptions[0].reason;
}

}  // namespace

TEST_CASE("products that read the same value share its DynamicQuantizeLinear") {
  const Dynamic d =
      dynamic("agraph (float[2,8] x) => (float[2,4] y, float[2,4] z) <float[8,4] w = " +
              values_text(32, 1, -1, 1) + ", float[8,4] v = " + values_text(32, 2, -1, 1) +
              "> { y = MatMul(x, w)  z = MatMul(x, v) }");
  CHECK(count_of(d.after, OpKind::kDynamicQuantizeLinear) == 1);
  CHECK(count_of(d.after, OpKind::kMatMulInteger) == 2);
  CHECK(count_of(d.after, OpKind::kMatMul) == 0);
  CHECK(test::sqnr_between(d.before, d.after) > 35);
  CHECK(d.after.value(d.after.outputs()[1]).name == "z");
}

TEST_CASE("Gemm: transposed weight, alpha in its scales, beta in its bias") {
  const auto gemm = [](const std::string& attributes, const std::string& weight,
                       const std::string& bias) {
    return dynamic("agraph (float[3,16] x, float[1,4] s) => (float[3,4] y) <float" + weight +
                   " w = " + values_text(64, 3, -1, 1) +
                   ", float[4] c = {1, -2, 3, 40}> { y = Gemm<" + attributes + ">(x, w" + bias +
                   ") }");
  };
  for (const Dynamic& d : {gemm("transB = 1, alpha = 0.25, beta = 3.0", "[4,16]", ", c"),
                           gemm("beta = 0.5", "[16,4]", ", s"), gemm("transB = 0", "[16,4]", "")}) {
    CHECK(d.plan.nodes.size() == 1);
    CHECK(test::sqnr_between(d.before, d.after) > 30);
  }
}

TEST_CASE("batched weights and convolutions that were asked for") {
  const Dynamic batched =
      dynamic("agraph (float[2,3,16] x) => (float[2,3,4] y) <float[2,16,4] w = " +
              values_text(128, 4, -1, 1) + "> { y = MatMul(x, w) }");
  CHECK(test::sqnr_between(batched.before, batched.after) > 35);

  const std::string conv = "agraph (float[1,4,6,6] x) => (float[1,6,6,6] y) <float[6,2,3,3] w = " +
                           values_text(108, 5, -1, 1) +
                           ", float[6] b = {1,2,3,4,5,6}> { y = Conv<group = 2, pads = [1,1,1,1]>"
                           "(x, w, b) }";
  CHECK(reason(conv) == "convolutions stay float unless --include names them");
  DynamicRules asked;
  asked.convolution = [](const Node&) { return true; };
  const Dynamic d = dynamic(conv, asked);
  CHECK(count_of(d.after, OpKind::kConvInteger) == 1);
  CHECK(test::sqnr_between(d.before, d.after) > 30);
  asked.per_channel = false;
  asked.reduce_range = true;
  const Dynamic coarse = dynamic(conv, asked);
  CHECK(test::sqnr_between(coarse.before, coarse.after) < test::sqnr_between(d.before, d.after));
}

TEST_CASE("LSTM becomes ONNX Runtime's, survives a file, and computes in lathe") {
  for (const std::string direction : {"forward", "reverse", "bidirectional"}) {
    CAPTURE(direction);
    const int64_t n = direction == "bidirectional" ? 2 : 1;
    const std::string d = std::to_string(n);
    const std::string body =
        "agraph (float[5,3,16] x) => (float[5," + d + ",3,8] y, float[" + d + ",3,8] h) <float[" +
        d + ",32,16] w = " + values_text(n * 512, 6, -0.4F, 0.4F) + ", float[" + d +
        ",32,8] r = " + values_text(n * 256, 7, -0.4F, 0.4F) + ", float[" + d +
        ",64] b = " + values_text(n * 64, 8, -0.4F, 0.4F) +
        "> { y, h = LSTM<hidden_size = 8, direction = \"" + direction + "\">(x, w, r, b) }";
    const Dynamic dynamic_lstm = dynamic(body);
    CHECK(count_of(dynamic_lstm.after, OpKind::kLSTM) == 0);
    CHECK(test::sqnr_between(dynamic_lstm.before, dynamic_lstm.after) > 28);
    CHECK(test::sqnr_between(dynamic_lstm.before, dynamic_lstm.after) < 70);
    Model model;
    model.graph = dynamic_lstm.after;
    const WrittenModel written = write_onnx(model);
    const Model back = read_onnx(std::as_bytes(std::span(written.model_bytes)), {});
    CHECK(back.other_opsets.at("com.microsoft") == 1);
    CHECK(test::run_seeded(back.graph)[0].identical(test::run_seeded(model.graph)[0]));
    DynamicRules coarse;
    coarse.per_channel = false;
    const Dynamic one_scale = dynamic(body, coarse);
    CHECK(test::sqnr_between(one_scale.before, one_scale.after) > 25);
    DynamicRules other;
    other.contrib = false;
    CHECK(reason(body, other) == "the runtime has no integer LSTM");
  }
}

TEST_CASE("what stays float, and why") {
  const std::string head = "agraph (float[2,2] x, float[2,2] b) => (float[2,2] y) ";
  CHECK(reason(head + "{ y = MatMul(x, b) }") == "its weight is computed");
  CHECK(reason(head + "<float[2,2] w = {1,2,3,4}> { y = MatMul(w, x) }") ==
        "its first input is a constant");
  CHECK(reason(head + "<float[2,2] w = {1,2,3,4}> { y = Gemm<transA = 1>(x, w, b) }") ==
        "it transposes its input");
  CHECK(reason("agraph (int32[2,2] x) => (int32[2,2] y) <int32[2,2] w = {1,2,3,4}> "
               "{ y = MatMul(x, w) }") == "its input is not float32");
  DynamicRules excluded;
  excluded.obstacle = [](const Node&) { return std::string("excluded by name"); };
  CHECK(reason(head + "<float[2,2] w = {1,2,3,4}> { y = MatMul(x, w) }", excluded) ==
        "excluded by name");
}

TEST_CASE("weights of zeros and inputs of zeros give zeros") {
  const Dynamic d = dynamic("agraph (float[2,8] x) => (float[2,4] y) <float[8,4] w = " +
                            values_text(32, 1, 0, 0) + "> { y = MatMul(x, w) }");
  for (const double y : test::run_seeded(d.after)[0].to_double()) CHECK(y == 0);
}

}  // namespace lathe
