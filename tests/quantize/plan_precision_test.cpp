#include "pass_check.h"
#include "quantize/plan/weight_params.h"
#include "quantize_case.h"

#include <cmath>
#include <limits>

#include "ir/error.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::network;
using test::quantize_case;
using test::QuantizeCase;
using test::usual_rules;

namespace {

const std::string kPlanHead = R"(agraph (float[1,2,4,4] x) => (float[1,3,4,4] y)
<float[3,2,1,1] w = {1, -2, 30, 4, 0.005, 0.006}, float[3] b = {0.5, -1, 2}> { )";

// Statistics of one histogram per planned value.
Statistics ranges(const Graph& graph, const PrecisionPlan& plan, float min, float max) {
  Statistics statistics;
  for (const ValueId id : calibration_targets(graph, plan).ranges)
    statistics.values[graph.value(id).name].add(std::vector<float>{min, max, max / 2});
  return statistics;
}

std::string failure(const Graph& graph, const Statistics& statistics) {
  try {
    plan_precision(graph, usual_rules(), select_nodes(graph, usual_rules()), statistics,
                   Observer::kMinMax);
  } catch (const Error& error) {
    return std::to_string(static_cast<int>(error.code())) + " " + error.id() + ": " +
           error.text().where + ": " + error.text().message;
  }
  return {};
}

const QuantParams& weight_of(const PrecisionPlan& plan) {
  REQUIRE(plan.weights.size() == 1);
  return plan.weights[0].params;
}

}  // namespace

TEST_CASE("activation parameters map the measured range onto 0..255") {
  const Graph graph = network(kPlanHead + "c = Conv(x, w, b)  y = Relu(c) }");
  PrecisionPlan plan = select_nodes(graph, usual_rules());
  const Statistics statistics = ranges(graph, plan, -1, 3);
  plan = plan_precision(graph, usual_rules(), plan, statistics, Observer::kMinMax);
  const QuantParams& x = plan.values.at(graph.find_value("x"));
  CHECK(x.dtype == DType::kUInt8);
  CHECK(x.scales == std::vector<float>{static_cast<float>(4.0 / 255)});
  CHECK(x.zero_points == std::vector<int32_t>{64});
  CHECK(plan.ranges.at(graph.find_value("x")).range == Range{-1, 3});

  IntegerRules symmetric = usual_rules();
  symmetric.activation_dtype = DType::kInt8;
  symmetric.activation_symmetric = true;
  plan = plan_precision(graph, symmetric, select_nodes(graph, symmetric), statistics,
                        Observer::kMinMax);
  CHECK(plan.values.at(graph.find_value("x")).scales ==
        std::vector<float>{static_cast<float>(3.0 / 127)});
  CHECK(plan.values.at(graph.find_value("x")).zero_points == std::vector<int32_t>{0});
}

TEST_CASE("a range that fills its Clip stays inside it in float arithmetic") {
  for (const float limit : {6.0f, 1.0f, 3.1f, 0.7f, 20.0f, 5.9999995f}) {
    const std::string constant = std::to_string(limit);
    for (int i = 0; i < 200; ++i) {
      Graph graph = network(R"(agraph (float[1,1,2,2] x) => (float[1,1,2,2] y)
<float[1,1,1,1] w = {1}, float zero = {0}, float high = {1}> { c = Conv(x, w)  y = Clip(c, zero, high) })");
      const float bound = limit * (1 + static_cast<float>(i) * 1e-3f);
      graph.set_constant(graph.find_value("high"), Tensor::scalar(bound));
      PrecisionPlan plan = select_nodes(graph, usual_rules());
      plan = plan_precision(graph, usual_rules(), plan, ranges(graph, plan, 0, bound),
                            Observer::kMinMax);
      const float scale = plan.values.at(graph.find_value("y")).scales[0];
      CHECK(255.0f * scale <= bound);
      CHECK(255.0f * scale >= bound * 0.99999f);
      if (i > 20 && limit != 6.0f) break;
    }
  }
}

TEST_CASE("weights have one scale per output channel, or one for all") {
  const Graph graph = network(kPlanHead + "c = Conv(x, w, b)  y = Relu(c) }");
  PrecisionPlan plan = select_nodes(graph, usual_rules());
  const Statistics statistics = ranges(graph, plan, -1, 3);
  const PrecisionPlan channels =
      plan_precision(graph, usual_rules(), plan, statistics, Observer::kMinMax);
  const QuantParams& per_channel = weight_of(channels);
  CHECK(per_channel.axis == 0);
  REQUIRE(per_channel.scales.size() == 3);
  for (size_t c = 0; c < 3; ++c) {
    const double largest[] = {2, 30, 0.006};
    CHECK(per_channel.scales[c] == doctest::Approx(largest[c] / 127));
  }
  REQUIRE(channels.biases.size() == 1);
  const float x_scale = channels.values.at(graph.find_value("x")).scales[0];
  for (size_t c = 0; c < 3; ++c)
    CHECK(channels.biases[0].params.scales[c] == x_scale * per_channel.scales[c]);
  CHECK(channels.biases[0].params.dtype == DType::kInt32);

  IntegerRules tensor = usual_rules();
  tensor.weight_per_channel = false;
  const PrecisionPlan whole = plan_precision(graph, tensor, plan, statistics, Observer::kMinMax);
  CHECK(weight_of(whole).axis == -1);
  CHECK(weight_of(whole).scales == std::vector<float>{static_cast<float>(30.0 / 127)});
}

TEST_CASE("output channels of transposed products") {
  const auto axis = [](const std::string& body) {
    const Graph graph = network(body);
    PrecisionPlan plan = select_nodes(graph, usual_rules());
    plan =
        plan_precision(graph, usual_rules(), plan, ranges(graph, plan, -1, 1), Observer::kMinMax);
    return std::pair(weight_of(plan).axis, weight_of(plan).scales.size());
  };
  const std::string head = "agraph (float[1,2] x) => (float[1,3] y) <float[";
  CHECK(axis(head + "2,3] w = {1,2,3,4,5,6}> { y = Gemm(x, w) }") ==
        std::pair<int64_t, size_t>{1, 3});
  CHECK(axis(head + "3,2] w = {1,2,3,4,5,6}> { y = Gemm<transB = 1>(x, w) }") ==
        std::pair<int64_t, size_t>{0, 3});
  CHECK(axis(head + "2,3] w = {1,2,3,4,5,6}> { y = MatMul(x, w) }") ==
        std::pair<int64_t, size_t>{1, 3});
  CHECK(axis(R"(agraph (float[1,2,3,3] x) => (float[1,3,3,3] y)
<float[2,3,1,1] w = {1,2,3,4,5,6}> { y = ConvTranspose(x, w) })") ==
        std::pair<int64_t, size_t>{1, 3});
  CHECK(axis(R"(agraph (float[1,2,3,3] x) => (float[1,6,3,3] y)
<float[2,3,1,1] w = {1,2,3,4,5,6}> { y = ConvTranspose<group = 2>(x, w) })")
            .first == -1);
}

TEST_CASE("int8 weights never hold -128; reduced range ends at 63") {
  std::vector<float> values;
  for (int i = 0; i < 512; ++i) values.push_back(std::sin(static_cast<float>(i)) * 3 - 1);
  const Tensor weight = Tensor::of<float>({8, 64}, values);
  for (const bool reduced : {false, true})
    for (const int64_t axis : {-1, 0, 1}) {
      const Tensor q = quantize_tensor(weight, weight_params(weight, DType::kInt8, axis, reduced));
      CHECK(q.shape() == weight.shape());
      int64_t largest = 0;
      for (const int64_t value : q.to_int64()) largest = std::max(largest, std::abs(value));
      CHECK(largest == (reduced ? 63 : 127));
    }
  // Rounding: half a step at most.
  const QuantParams params = weight_params(weight, DType::kInt8, 0);
  const std::vector<int64_t> q = quantize_tensor(weight, params).to_int64();
  for (size_t i = 0; i < values.size(); ++i)
    CHECK(std::fabs(static_cast<float>(q[i]) * params.scales[i / 64] - values[i]) <=
          params.scales[i / 64] * 0.5001f);
}

TEST_CASE("a channel of zeros does not saturate its bias") {
  const char* body = R"(agraph (float[1,2,2,2] x) => (float[1,2,2,2] y)
<float[2,2,1,1] w = {1, -2, 0, 0}, float[2] b = {0.5, 1000}> { y = Conv(x, w, b) })";
  const QuantizeCase result = quantize_case(body);
  const QuantParams& bias = result.plan.biases.at(0).params;
  const Tensor q = quantize_tensor(*result.before.constant(result.before.find_value("b")), bias);
  CHECK(std::abs(q.to_int64()[1]) < (int64_t{1} << 30) + 1);
  CHECK(static_cast<double>(q.to_int64()[1]) * bias.scales[1] ==
        doctest::Approx(1000).epsilon(1e-5));
  CHECK(test::sqnr_between(result.before, result.after) > 50);

  const QuantizeCase zero = quantize_case(R"(agraph (float[1,2,2,2] x) => (float[1,2,2,2] y)
<float[2,2,1,1] w = {0, 0, 0, 0}, float[2] b = {3, -1000}> { y = Conv(x, w, b) })");
  CHECK(test::sqnr_between(zero.before, zero.after) > 40);
}

TEST_CASE("a Gemm's C of one number or of a whole matrix stays float and right") {
  const std::string head =
      "agraph (float[2,2] x) => (float[2,3] y) <float[2,3] w = {1,2,3,4,5,6}, float[";
  for (const std::string c : {"1] c = {1000}", "2,3] c = {100,0,0,0,0,-100}", "1,3] c = {7,8,9}"}) {
    CAPTURE(c);
    const QuantizeCase result =
        quantize_case(head + c + "> { y = Gemm(x, w, c) }", usual_rules(), true);
    CHECK(result.plan.biases.empty());
    CHECK(test::sqnr_between(result.before, result.after) > 30);
  }
  const QuantizeCase vector = quantize_case(head + "3] c = {7,8,9}> { y = Gemm(x, w, c) }");
  CHECK(vector.plan.biases.size() == 1);
}

TEST_CASE("NaN and infinite weights are refused by name, missing statistics too") {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    for (const char* name : {"w", "b"}) {
      Graph graph = network(kPlanHead + "c = Conv(x, w, b)  y = Relu(c) }");
      const ValueId id = graph.find_value(name);
      std::vector<float> values(static_cast<size_t>(graph.constant(id)->numel()), 1);
      values[1] = bad;
      graph.set_constant(id, Tensor::of<float>(graph.constant(id)->shape(), values));
      const std::string text =
          failure(graph, ranges(graph, select_nodes(graph, usual_rules()), -1, 1));
      CHECK(text.rfind("3 model.non_finite_weight", 0) == 0);
      CHECK(text.find("Conv") != std::string::npos);
    }
  const Graph graph = network(kPlanHead + "c = Conv(x, w, b)  y = Relu(c) }");
  Statistics statistics = ranges(graph, select_nodes(graph, usual_rules()), -1, 1);
  statistics.values.erase("y");
  const std::string text = failure(graph, statistics);
  CHECK(text.rfind("3 statistics.missing", 0) == 0);
  CHECK(text.find("'y'") != std::string::npos);
}

TEST_CASE("moves take over the parameters of what they read") {
  const QuantizeCase result = quantize_case(R"(agraph (float[1,2,4,4] x) => (float[1,2,2,2] y)
<float[2,2,1,1] w = {1, 2, 3, 4}>
{ c = Conv(x, w)  p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(c)
  t = Transpose<perm = [0, 1, 3, 2]>(p)  y = Conv(t, w) })");
  const auto& values = result.plan.values;
  const auto of = [&](const char* name) { return values.at(result.before.find_value(name)); };
  CHECK((of("p") == of("c")));
  CHECK((of("t") == of("c")));
  CHECK_FALSE((of("y") == of("c")));
}

}  // namespace lathe
