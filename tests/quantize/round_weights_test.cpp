#include "quantize/weights/round_weights.h"

#include <algorithm>
#include <cmath>

#include "ir/error.h"
#include "ir/verify.h"
#include "pass_check.h"
#include "quantize/plan/weight_params.h"
#include "quantize/weights/round_stored_weights.h"
#include "quantize_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::network;
using test::normal_data;
using test::sqnr_between;
using test::usual_rules;

namespace {

// int4 weights, so that rounding is what costs.
IntegerRules coarse_rules() {
  IntegerRules rules = usual_rules();
  rules.weight_dtype = DType::kInt4;
  return rules;
}

struct Rounded {
  Graph reference;
  Graph rounded;
  PrecisionPlan plan;
  Graph after;
  std::vector<RoundingRow> rows;
};

Rounded round_network(const std::string& body, const RoundingOptions& options, bool really = true) {
  Rounded result;
  result.reference = network(body);
  result.rounded = result.reference;
  PrecisionPlan plan = select_nodes(result.reference, coarse_rules());
  const SampleSource data = normal_data(result.reference, 96);
  const Statistics statistics = calibrate(Interpreter(result.reference),
                                          calibration_targets(result.reference, plan), data, {});
  plan = plan_precision(result.reference, coarse_rules(), plan, statistics, Observer::kMinMax);
  if (really) result.rows = round_weights(result.reference, result.rounded, plan, data, options);
  verify(result.rounded, "round_weights");
  result.plan = plan;
  result.after = result.rounded;
  insert_qdq(result.after, plan);
  verify(result.after, "insert_qdq");
  return result;
}

std::string chain() {
  using test::values_text;
  return "g (float[1,3,12,12] x) => (float[1,5] y)\n<float[8,3,3,3] w1 = " +
         values_text(216, 1, -0.3f, 0.4f) + ", float[8] b1 = " + values_text(8, 2, -0.5f, 0.5f) +
         ", float[8,1,3,3] w2 = " + values_text(72, 3, -0.5f, 0.5f) +
         ", float[16,8,1,1] w3 = " + values_text(128, 4, -0.5f, 0.5f) +
         ", float[16,5] w4 = " + values_text(80, 5, -0.5f, 0.5f) +
         ", float[5] b4 = " + values_text(5, 6, -0.5f, 0.5f) + ">\n" +
         "{ a = Conv<pads = [1,1,1,1]>(x, w1, b1)\n ar = Relu(a)\n"
         "  d = Conv<group = 8, pads = [1,1,1,1]>(ar, w2)\n dr = Relu(d)\n"
         "  e = Conv(dr, w3)\n p = GlobalAveragePool(e)\n f = Flatten(p)\n"
         "  y = Gemm(f, w4, b4) }";
}

}  // namespace

TEST_CASE("round_weights: a network of coarse weights keeps more of its outputs") {
  const Rounded plain = round_network(chain(), {}, false);
  const Rounded rounded = round_network(chain(), {});
  REQUIRE(rounded.rows.size() == 4);
  for (const RoundingRow& row : rounded.rows) {
    CHECK(row.error_after <= row.error_nearest);
    CHECK(std::isfinite(row.error_after));
  }
  const double before = sqnr_between(plain.reference, plain.after);
  const double after = sqnr_between(rounded.reference, rounded.after);
  CAPTURE(before);
  CHECK(after > before + 4);
}

TEST_CASE("round_weights: constants are on the grid, and inserting finds the same integers") {
  const Rounded rounded = round_network(chain(), {});
  for (const WeightPlan& weight : rounded.plan.weights) {
    const Tensor& values =
        *rounded.rounded.constant(rounded.rounded.node(weight.node).inputs[weight.input]);
    const Tensor integers = quantize_tensor(values, weight.params, weight.reduce_range);
    const std::vector<int64_t> q = integers.to_int64();
    const int64_t outer = weight.params.axis == 0 ? values.shape()[0] : 1;
    const int64_t inner = values.numel() / outer;
    for (int64_t i = 0; i < values.numel(); ++i) {
      const size_t channel = weight.params.axis == 0 ? static_cast<size_t>(i / inner)
                                                     : static_cast<size_t>(i % values.shape()[1]);
      const float back =
          static_cast<float>(q[static_cast<size_t>(i)]) * weight.params.scales.at(channel);
      CHECK(values.values<float>()[static_cast<size_t>(i)] == doctest::Approx(back).epsilon(1e-6));
    }
  }
}

TEST_CASE("round_weights: a layer without a bias gets one, as an integer") {
  const Rounded rounded = round_network(chain(), {});
  size_t biases = 0;
  for (const WeightPlan& bias : rounded.plan.biases) {
    const Node& node = rounded.rounded.node(bias.node);
    REQUIRE(node.inputs.size() == 3);
    CHECK(rounded.rounded.constant(node.inputs[2]) != nullptr);
    ++biases;
  }
  CHECK(biases == 4);
}

TEST_CASE("round_weights: the same bits for any number of threads and little memory") {
  RoundingOptions one;
  RoundingOptions other;
  other.threads = 3;
  other.cache_bytes = 1;
  other.target_bytes = 1;
  const Rounded a = round_network(chain(), one);
  const Rounded b = round_network(chain(), other);
  for (const WeightPlan& weight : a.plan.weights)
    for (size_t i = 1; i < 3; ++i)
      CHECK(a.rounded.constant(a.rounded.node(weight.node).inputs[i])
                ->identical(*b.rounded.constant(b.rounded.node(weight.node).inputs[i])));
}

TEST_CASE("round_weights: clipped scales reach the plan, integers and biases") {
  RoundingOptions options;
  options.clip = true;
  const Rounded plain = round_network(chain(), {});
  const Rounded clipped = round_network(chain(), options);
  size_t changed = 0;
  for (size_t i = 0; i < clipped.plan.weights.size(); ++i) {
    const WeightPlan& weight = clipped.plan.weights[i];
    if (weight.params.scales == plain.plan.weights[i].params.scales) continue;
    ++changed;
    for (const WeightPlan& bias : clipped.plan.biases)
      if (bias.node == weight.node)
        CHECK(bias.params.scales[0] ==
              weight.params.scales[0] *
                  clipped.plan.values.at(clipped.rounded.node(weight.node).inputs[0]).scales[0]);
  }
  CHECK(changed >= 1);
  CHECK(std::count_if(clipped.rows.begin(), clipped.rows.end(), [](const RoundingRow& row) {
          return row.clipped;
        }) == static_cast<std::ptrdiff_t>(changed));
  CHECK(sqnr_between(clipped.reference, clipped.after) >
        sqnr_between(plain.reference, plain.after) - 0.5);
}

TEST_CASE("round_stored_weights: four bits in blocks lose less with data") {
  const Graph reference = network(chain());
  WeightStorageRules rules;
  rules.dtype = DType::kInt4;
  WeightStoragePlan plan = plan_weight_storage(reference, rules);
  Graph plain = reference;
  StoredNoise noise;
  store_integer_weights(plain, plan, noise);
  Graph fitted = reference;
  const std::vector<RoundingRow> rows =
      round_stored_weights(reference, fitted, plan, normal_data(reference, 48), {});
  verify(fitted, "round_stored_weights");
  CHECK(rows.size() == plan.weights.size());
  StoredNoise left;
  Graph stored = fitted;
  store_integer_weights(stored, plan, left);
  verify(stored, "store_integer_weights");
  // They are on their integers already.
  CHECK(left.noise < 1e-9 * left.signal);
  CHECK(sqnr_between(reference, stored) > sqnr_between(reference, plain) + 3);
}

TEST_CASE("round_weights: NaN on the data is an error that names the node") {
  std::string body = chain();
  body.replace(body.find("a = Conv"), 8, "x1 = Log(x)\n a = Conv");
  body.replace(body.find("(x, w1, b1)"), 11, "(x1, w1, b1)");
  const Graph graph = network(body);
  Graph rounded = graph;
  PrecisionPlan plan = select_nodes(graph, usual_rules());
  for (auto& [id, params] : plan.values) params = {DType::kUInt8, {0.1f}, {0}, -1};
  for (const auto& [id, role] : plan.nodes)
    if (role == QuantRole::kCompute)
      plan.weights.push_back({id, 1, {DType::kInt8, {0.01f}, {0}, -1}, false});
  plan.values.erase(graph.node(graph.order()[0]).output(0));
  try {
    round_weights(graph, rounded, plan, normal_data(graph, 8), {});
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.id() == "calibration.non_finite");
    CHECK(error.code() == ExitCode::kBadInput);
  }
}

}  // namespace lathe
