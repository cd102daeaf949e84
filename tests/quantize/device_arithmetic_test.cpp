// Forms of integer products other than Q/DQ pairs, and rounding of power-of-two devices.
#include "quantize/diagnose/device_arithmetic.h"

#include <ATen/ATen.h>

#include "pass_check.h"
#include "quantize/plan/power_of_two.h"
#include "quantize/plan/weight_params.h"
#include "quantize_case.h"

#include <cmath>

#include "doctest_after_torch.h"

namespace lathe {

using test::network;
using test::quantize_case;
using test::QuantizeCase;
using test::usual_rules;

namespace {

// Outputs with exact sums and on the device, for a fixed uint8 input.
struct Both {
  at::Tensor exact;
  at::Tensor device;
  int64_t saturating = 0;
  size_t layers = 0;
};

Both both(const std::string& body, const Tensor& input) {
  const Graph graph = network(body);
  const PairSumArithmetic device(graph);
  const Interpreter interpreter(graph);
  Both result;
  result.exact = interpreter.run({to_runtime(input)})[0].tensor;
  RunOptions run;
  run.compute = [&](const Node& node, const std::vector<RuntimeValue>& inputs) {
    return device.compute(node, inputs);
  };
  result.device = interpreter.run({to_runtime(input)}, run)[0].tensor;
  result.layers = device.rows().size();
  for (const PairSumRow& row : device.rows()) result.saturating += row.count.saturating;
  return result;
}

// x = 200 everywhere; the column of weights 127, 127, -100, 5: the first pair is 50800.
const Tensor kBytes = Tensor::of<uint8_t>({1, 4}, {200, 200, 200, 200});
const Tensor kPixels = Tensor::of<uint8_t>({1, 4, 1, 1}, {200, 200, 200, 200});
constexpr int64_t kLost = 200 * 254 - 32767;
const std::string kWeights = "w = {127, 127, -100, 5}";

}  // namespace

TEST_CASE("integer products lose what saturation takes, before they are rounded") {
  const auto difference = [](const Both& result) {
    return result.exact.to(at::kDouble).item<double>() -
           result.device.to(at::kDouble).item<double>();
  };
  const Both conv = both("agraph (uint8[1,4,1,1] x) => (int32[1,1,1,1] y) <int8[1,4,1,1] " +
                             kWeights + "> { y = ConvInteger(x, w) }",
                         kPixels);
  CHECK(difference(conv) == kLost);
  CHECK(conv.saturating == 1);
  const Both product = both("agraph (uint8[1,4] x) => (int32[1,1] y) <int8[4,1] " + kWeights +
                                ", uint8 z = {7}> { y = MatMulInteger(x, w, z) }",
                            kBytes);
  CHECK(difference(product) == kLost);

  const std::string scales =
      ", float xs = {0.5}, uint8 xz = {3}, float ws = {0.01}, int8 wz = {0}, "
      "float ys = {1}, uint8 yz = {10}";
  const Both qconv =
      both("agraph (uint8[1,4,1,1] x) => (uint8[1,1,1,1] y) <int8[1,4,1,1] " + kWeights + scales +
               ", int32[1] b = {400}> { y = QLinearConv(x, xs, xz, w, ws, wz, ys, "
               "yz, b) }",
           kPixels);
  const double exact = (197.0 * (127 + 127 - 100 + 5) + 400) * 0.005;
  CHECK(qconv.exact.item<int>() == static_cast<int>(std::nearbyint(exact)) + 10);
  CHECK(qconv.device.item<int>() ==
        static_cast<int>(std::nearbyint(exact - 0.005 * static_cast<double>(kLost))) + 10);
  const Both qproduct = both("agraph (uint8[1,4] x) => (uint8[1,1] y) <int8[4,1] " + kWeights +
                                 scales + "> { y = QLinearMatMul(x, xs, xz, w, ws, wz, ys, yz) }",
                             kBytes);
  CHECK(qproduct.saturating == 1);
  CHECK(qproduct.exact.item<int>() - qproduct.device.item<int>() ==
        doctest::Approx(0.005 * kLost).epsilon(0.02));
}

TEST_CASE("int8 inputs are shifted, padding is the zero point") {
  // 100 becomes 228, the padding -128 becomes 0.
  const Tensor bytes = Tensor::of<int8_t>({1, 4, 1, 1}, {100, 100, 100, 100});
  const Both result = both(R"(agraph (int8[1,4,1,1] x) => (int32[1,1,1,1] y)
<int8[1,4,1,1] )" + kWeights + ", int8 z = {-128}> { y = ConvInteger(x, w, z) }",
                           bytes);
  CHECK(result.exact.item<int>() - result.device.item<int>() == 228 * 254 - 32767);
}

TEST_CASE("nothing changes where nothing saturates") {
  const QuantizeCase result = quantize_case(
      R"(agraph (float[1,2,4,4] x) => (float[1,2,4,4] y)
<float[2,1,3,3] w = )" +
      test::values_text(18, 3, -1, 1) + R"(> { y = Conv<group = 2, pads = [1, 1, 1, 1]>(x, w) })");
  CHECK(PairSumArithmetic(result.after).rows().empty());  // depthwise
  const Both small = both(
      "agraph (uint8[1,4] x) => (int32[1,1] y) <int8[4,1] w = {60, 60, 9, 1}> "
      "{ y = MatMulInteger(x, w) }",
      kBytes);
  CHECK(small.saturating == 0);
  CHECK(at::equal(small.exact, small.device));
}

TEST_CASE("powers of two, up or down by the error") {
  CHECK(power_of_two_above(0.25f) == 0.25f);
  CHECK(power_of_two_above(0.26f) == 0.5f);
  CHECK(power_of_two_above(3) == 4);
  CHECK(is_power_of_two(0.125f));
  CHECK_FALSE(is_power_of_two(0.1f));
  CHECK_FALSE(is_power_of_two(0));
  CHECK_FALSE(is_power_of_two(INFINITY));
  // Many values within 0.9 and one of 2.2: 2^-6 clips one value and halves all other errors.
  std::vector<float> values;
  for (int i = 0; i < 20000; ++i) values.push_back(0.9f * static_cast<float>(i) / 20000);
  Histogram body;
  body.add(values);
  values.push_back(2.2f);
  Histogram outlier;
  outlier.add(values);
  CHECK(power_of_two_for(outlier, 2.2f / 127, -128, 127) == 1.0f / 64);
  CHECK(power_of_two_for(body, 0.9f / 127, -128, 127) == 1.0f / 128);  // 0.0071 -> 0.0078
  Histogram flat;  // all of 0..2.2: clipping a tenth of them costs more
  for (float& value : values) value *= 2.2f / 0.9f;
  values.pop_back();
  flat.add(values);
  CHECK(power_of_two_for(flat, 2.2f / 127, -128, 127) == 1.0f / 32);
}

TEST_CASE("a device of shifts gets powers of two everywhere, and rounds halves up") {
  IntegerRules rules = usual_rules();
  rules.activation_dtype = DType::kInt8;
  rules.activation_symmetric = true;
  rules.power_of_two = true;
  const std::string body = R"(agraph (float[1,4,6,6] x) => (float[1,3,6,6] y)
<float[4,4,1,1] w = )" + test::values_text(16, 1, -1, 1) +
                           R"(, float[4] b = {0.5, 9, -1, 9},
 float[3,4,3,3] v = )" + test::values_text(108, 7, -1, 1) +
                           R"(, float[3] c = {0.1, 0.2, 0.3},
 float zero = {0}, float six = {6}>
{ h = Conv(x, w, b)  r = Clip(h, zero, six)  y = Conv<pads = [1, 1, 1, 1]>(r, v, c) })";
  const QuantizeCase result = quantize_case(body, rules);
  CHECK(not_power_of_two(result.after, 9).empty());
  for (const auto& [id, params] : result.plan.values) {
    CHECK(is_power_of_two(params.scales[0]));
    CHECK(params.zero_points[0] == 0);
  }
  for (const auto* group : {&result.plan.weights, &result.plan.biases})
    for (const WeightPlan& weight : *group)
      for (const float scale : weight.params.scales) CHECK(is_power_of_two(scale));
  CHECK(test::sqnr_between(result.before, result.after) > 25);
  CHECK(not_power_of_two(quantize_case(body).after, 2).size() == 2);

  const Graph graph = network(R"(agraph (float[5] x) => (int8[5] y)
<float s = {0.5}, int8 z = {0}> { y = QuantizeLinear(x, s, z) })");
  RunOptions run;
  run.compute = round_half_up;
  const Tensor halves = Tensor::of<float>({5}, {0.25f, 0.75f, -0.25f, -0.75f, 99});
  const Interpreter interpreter(graph);
  CHECK(interpreter.run_tensors({halves})[0].to_int64() == std::vector<int64_t>{0, 2, 0, -2, 127});
  CHECK(interpreter.run_tensors({halves}, run)[0].to_int64() ==
        std::vector<int64_t>{1, 2, 0, -1, 127});
}

}  // namespace lathe
