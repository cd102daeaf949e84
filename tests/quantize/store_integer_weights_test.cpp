// Weights as integers behind DequantizeLinear, arithmetic in float.
#include <algorithm>
#include <cmath>
#include <random>

#include "ir/error.h"
#include "ir/verify.h"
#include "onnx/read_model.h"
#include "onnx/write_model.h"
#include "pass_check.h"
#include "quantize/apply/store_integer_weights.h"
#include "quantize_case.h"
#include "run/interpreter.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::count_of;
using test::maker;
using test::network;
using test::only;
using test::values_text;

namespace {

WeightStorageRules rules_of(DType dtype) {
  WeightStorageRules rules;
  rules.dtype = dtype;
  return rules;
}

struct Stored {
  Graph before;
  Graph after;
  WeightStoragePlan plan;
  StoredNoise noise;
};

Stored stored(const std::string& body, const WeightStorageRules& rules) {
  Stored result;
  result.before = result.after = network(body);
  result.plan = plan_weight_storage(result.before, rules);
  store_integer_weights(result.after, result.plan, result.noise);
  verify(result.after, "store_integer_weights");
  return result;
}

const std::string kMatMul =
    "agraph (float[2,64] x) => (float[2,5] y) <float[64,5] w = " + values_text(320, 1, -1, 1) +
    "> { y = MatMul(x, w) }";

int64_t attribute(const Graph& graph, const char* name) {
  return only(graph, OpKind::kDequantizeLinear).attributes.int_or(name, -7);
}

}  // namespace

TEST_CASE("int8: one scale per output channel, four bits: one per 32 inputs of it") {
  const Stored bytes = stored(kMatMul, rules_of(DType::kInt8));
  CHECK(attribute(bytes.after, "axis") == 1);
  CHECK(attribute(bytes.after, "block_size") == -7);
  const Node& node = only(bytes.after, OpKind::kDequantizeLinear);
  CHECK(bytes.after.constant(node.inputs[0])->dtype() == DType::kInt8);
  CHECK(bytes.after.constant(node.inputs[1])->shape() == Shape{5});
  CHECK(test::sqnr_between(bytes.before, bytes.after) > 40);

  const Stored nibbles = stored(kMatMul, rules_of(DType::kInt4));
  CHECK(attribute(nibbles.after, "axis") == 0);
  CHECK(attribute(nibbles.after, "block_size") == 32);
  const Node& blocked = only(nibbles.after, OpKind::kDequantizeLinear);
  CHECK(nibbles.after.constant(blocked.inputs[0])->dtype() == DType::kInt4);
  CHECK(nibbles.after.constant(blocked.inputs[1])->shape() == Shape{2, 5});
  CHECK(test::sqnr_between(nibbles.before, nibbles.after) > 18);
  // Rounding noise is spread evenly: what the weights lose is what the outputs lose.
  CHECK(10 * std::log10(nibbles.noise.signal / nibbles.noise.noise) ==
        doctest::Approx(test::sqnr_between(nibbles.before, nibbles.after)).epsilon(0.25));
}

TEST_CASE("the last block of a long axis is cut short; a short axis has blocks of 16 or none") {
  const auto layout = [](int64_t inputs) {
    const std::string n = std::to_string(inputs);
    const Stored s = stored("agraph (float[2," + n + "] x) => (float[2,6] y) <float[6," + n +
                                "] w = " + values_text(6 * inputs, 2, -1, 1) +
                                "> { y = Gemm<transB = 1>(x, w) }",
                            rules_of(DType::kInt4));
    REQUIRE(s.plan.weights.size() == 1);
    return std::pair(s.plan.weights[0].layout.axis, s.plan.weights[0].layout.block_size);
  };
  CHECK(layout(96) == std::pair<int64_t, int64_t>(1, 32));
  CHECK(layout(40) == std::pair<int64_t, int64_t>(1, 32));
  CHECK(layout(16) == std::pair<int64_t, int64_t>(1, 16));
  CHECK(layout(20) == std::pair<int64_t, int64_t>(0, 0));
}

TEST_CASE("a table that is a small part of the weights stays as it is") {
  const auto tables = [](int64_t rows) {
    const std::string n = std::to_string(rows);
    return stored("agraph (int64[2] i, float[2," + n +
                      "] x) => (float[2,64] t, float[2,64] y) "
                      "<float[80,64] a = " +
                      values_text(5120, 3, -1, 1) + ", float[" + n + ",64] w = " +
                      values_text(rows * 64, 4, -1, 1) + "> { t = Gather(a, i)  y = MatMul(x, w) }",
                  rules_of(DType::kInt8))
        .plan.weights.size();
  };
  CHECK(tables(9000) == 2);
  CHECK(tables(11000) == 1);
}

TEST_CASE("written at opset 21 and read back, blocks compute the same numbers") {
  Model model;
  model.graph = stored(kMatMul, rules_of(DType::kInt4)).after;
  model.opset = 13;
  const WrittenModel written = write_onnx(model);
  CHECK(written.opset == 21);
  const Model back = read_onnx(std::as_bytes(std::span(written.model_bytes)), {});
  CHECK(test::run_seeded(back.graph)[0].identical(test::run_seeded(model.graph)[0]));
}

TEST_CASE("a second run finds nothing to store") {
  const Stored once = stored(kMatMul, rules_of(DType::kInt8));
  const WeightStoragePlan again = plan_weight_storage(once.after, rules_of(DType::kInt8));
  CHECK(again.empty());
  REQUIRE(again.exceptions.size() == 1);
  CHECK(again.exceptions[0].reason == "its weight is integer already");
}

TEST_CASE("a table is gathered as integers; what was gathered is dequantized") {
  const std::string body = "agraph (int64[2,3] i) => (float[2,3,64] y) <float[80,64] t = " +
                           values_text(5120, 3, -1, 1) + "> { y = Gather(t, i) }";
  const Stored bytes = stored(body, rules_of(DType::kInt8));
  const Node& gather = only(bytes.after, OpKind::kGather);
  CHECK(bytes.after.constant(gather.inputs[0])->dtype() == DType::kInt8);
  CHECK(maker(bytes.after, bytes.after.outputs()[0]) == "DequantizeLinear");
  CHECK(bytes.after.value(bytes.after.outputs()[0]).name == "y");
  const std::vector<double> a = test::run_seeded(bytes.before)[0].to_double();
  const std::vector<double> b = test::run_seeded(bytes.after)[0].to_double();
  for (size_t i = 0; i < a.size(); ++i) CHECK(std::fabs(a[i] - b[i]) < 0.5 / 127 + 1e-6);

  // ONNX has no Gather of four bits: they are asked for, and it reads the dequantized table.
  const Stored eight = stored(body, rules_of(DType::kInt4));
  CHECK(eight.after.constant(only(eight.after, OpKind::kGather).inputs[0])->dtype() ==
        DType::kInt8);
  WeightStorageRules four = rules_of(DType::kInt4);
  four.four_bit_tables = true;
  const Stored nibbles = stored(body, four);
  CHECK(maker(nibbles.after, only(nibbles.after, OpKind::kGather).inputs[0]) == "DequantizeLinear");

  // Nor where no block fits the table's rows and every column has one scale, or all have one.
  for (const bool per_channel : {true, false}) {
    WeightStorageRules rules = four;
    rules.per_channel = per_channel;
    const Stored whole = stored("agraph (int64[2,3] i) => (float[2,3,20] y) <float[220,20] t = " +
                                    values_text(4400, 3, -1, 1) + "> { y = Gather(t, i) }",
                                rules);
    REQUIRE(whole.plan.weights.size() == 1);
    CHECK(whole.plan.weights[0].layout.block_size == 0);
    CHECK(maker(whole.after, only(whole.after, OpKind::kGather).inputs[0]) == "DequantizeLinear");
    CHECK(test::run_seeded(whole.after)[0].shape() == Shape{2, 3, 20});
  }

  // A small one is a lookup of sizes or the like.
  const Stored small = stored(
      "agraph (int64[2] i) => (float[2,4] y) <float[3,4] t = {1,2,3,4,5,6,7,8,9,10,11,12}> "
      "{ y = Gather(t, i) }",
      rules_of(DType::kInt8));
  CHECK(small.plan.empty());
  CHECK(small.plan.exceptions.empty());
}

TEST_CASE("recurrent weights by row, nodes that share a weight read one DequantizeLinear") {
  const Stored gru = stored("agraph (float[4,2,32] x) => (float[4,1,2,8] y) <float[1,24,32] w = " +
                                values_text(768, 4, -0.3F, 0.3F) +
                                ", float[1,24,8] r = " + values_text(192, 5, -0.3F, 0.3F) +
                                "> { y = GRU<hidden_size = 8>(x, w, r) }",
                            rules_of(DType::kInt8));
  REQUIRE(gru.plan.weights.size() == 2);
  CHECK(gru.plan.weights[0].layout == ScaleLayout{1, 0});
  CHECK(test::sqnr_between(gru.before, gru.after) > 35);

  const Stored shared = stored(
      "agraph (float[2,8] x) => (float[2,8] y) <float[8,8] w = " + values_text(64, 6, -1, 1) +
          "> { a = MatMul(x, w)  y = MatMul(a, w) }",
      rules_of(DType::kInt8));
  CHECK(shared.plan.weights.size() == 1);
  CHECK(count_of(shared.after, OpKind::kDequantizeLinear) == 1);
}

TEST_CASE("bodies are stored, too; excluded and computed weights stay, with the reason") {
  const std::string body = R"(agraph (bool c, float[2,8] x) => (float[2,4] y) <float[8,4] w = )" +
                           values_text(32, 7, -1, 1) + R"(> {
    y = If (c) <then_branch = t () => (float[2,4] a) <float[8,4] v = )" +
                           values_text(32, 8, -1, 1) + R"(> { a = MatMul(x, v) },
                else_branch = e () => (float[2,4] b) { z = MatMul(x, w)  b = Relu(z) }> })";
  const Stored both = stored(body, rules_of(DType::kInt8));
  CHECK(both.plan.bodies.size() == 1);
  REQUIRE(both.plan.exceptions.size() == 1);  // w lies outside of its reader's graph
  CHECK(both.plan.exceptions[0].reason == "its weight is computed");

  WeightStorageRules excluded = rules_of(DType::kInt8);
  excluded.obstacle = [](const Node&) { return std::string("excluded by name"); };
  const Stored none = stored(kMatMul, excluded);
  CHECK(none.plan.empty());
  CHECK(none.plan.exceptions.at(0).reason == "excluded by name");
}

TEST_CASE("weights of zeros get finite scales, weights that are not finite are refused") {
  for (const DType dtype : {DType::kInt8, DType::kInt4}) {
    const Stored zero = stored("agraph (float[2,32] x) => (float[2,4] y) <float[32,4] w = " +
                                   values_text(128, 1, 0, 0) + "> { y = MatMul(x, w) }",
                               rules_of(dtype));
    const Node& node = only(zero.after, OpKind::kDequantizeLinear);
    for (const float scale : zero.after.constant(node.inputs[1])->values<float>()) {
      CHECK(std::isfinite(scale));
      CHECK(scale > 0);
    }
    for (const double y : test::run_seeded(zero.after)[0].to_double()) CHECK(y == 0);
  }
  Graph graph = network(kMatMul);
  std::vector<float> values(320, 1.0F);
  values[7] = NAN;
  graph.set_constant(graph.find_value("w"), Tensor::of<float>({64, 5}, values));
  CHECK_THROWS_WITH_AS(plan_weight_storage(graph, rules_of(DType::kInt8)),
                       doctest::Contains("1 of 320 weights are NaN"), Error);
}

TEST_CASE("balanced rounding: errors of a kernel and of an output sum up to half a step at most") {
  std::mt19937_64 random(11);
  std::normal_distribution<float> normal;
  std::vector<float> values(6 * 20 * 9);
  for (float& value : values) value = normal(random);
  const Tensor weight = Tensor::of<float>({6, 20, 3, 3}, values);
  for (const DType dtype : {DType::kInt8, DType::kInt4}) {
    const ScaledIntegers nearest = quantize_blocks(weight, dtype, {0, 0});
    const ScaledIntegers balanced =
        quantize_blocks(weight, dtype, {0, 0}, WeightRounding::kBalanced);
    CHECK(balanced.scales.identical(nearest.scales));
    CHECK(balanced.noise > nearest.noise);
    CHECK(balanced.noise < 1.6 * nearest.noise);
    const std::vector<int64_t> q = balanced.integers.to_int64();
    const std::vector<int64_t> rounded = nearest.integers.to_int64();
    for (size_t output = 0; output < 6; ++output) {
      const double scale = balanced.scales.values<float>()[output];
      double sum = 0;
      for (size_t i = output * 180; i < (output + 1) * 180; ++i) {
        sum += values[i] - static_cast<double>(q[i]) * scale;
        CHECK(std::abs(q[i] - rounded[i]) <= 1);
      }
      CHECK(std::fabs(sum) <= 0.501 * scale);
    }
  }
  // A depthwise filter on one colour: nearest rounding shifts the mean, this does not.
  const std::string body = "agraph (float[1,4,8,8] x) => (float[1,4,6,6] y) <float[4,1,3,3] w = " +
                           values_text(36, 12, -1, 1) +
                           "> { r = Relu(x)  y = Conv<group = 4>(r, w) }";
  const Graph graph = network(body);
  Graph balanced = graph;
  StoredNoise noise;
  store_integer_weights(balanced, plan_weight_storage(graph, rules_of(DType::kInt4)), noise);
  const std::vector<Tensor> ones = {Tensor::of<float>({1, 4, 8, 8}, std::vector<float>(256, 1))};
  const auto a = Interpreter(graph).run_tensors(ones)[0].to_double();
  const auto b = Interpreter(balanced).run_tensors(ones)[0].to_double();
  for (size_t i = 0; i < a.size(); ++i) CHECK(std::fabs(a[i] - b[i]) < 0.51 / 127);
}

TEST_CASE("balanced rounding of a large kernel whose every weight was rounded the same way") {
  // With steps of 1 each 0.4 goes to 0; 48000 of them, the first ones, have to go to 1 instead.
  std::vector<float> values(300 * 400, 0.4F);
  values[0] = 127;
  const ScaledIntegers balanced = quantize_blocks(Tensor::of<float>({1, 1, 300, 400}, values),
                                                  DType::kInt8, {0, 0}, WeightRounding::kBalanced);
  const std::vector<int64_t> q = balanced.integers.to_int64();
  CHECK(q[0] == 127);
  CHECK(std::count(q.begin() + 1, q.begin() + 48001, 1) == 48000);
  CHECK(std::count(q.begin() + 48001, q.end(), 0) == 71999);
}

TEST_CASE("scales of four bits are those of least error, over all sixteen integers") {
  std::vector<float> values(32, 0.1F);
  values[0] = -0.8F;  // -8 steps of 0.1
  const ScaledIntegers q =
      quantize_blocks(Tensor::of<float>({32, 1}, values), DType::kInt4, {0, 32});
  CHECK(q.scales.values<float>()[0] < 0.8F / 7);
  double widest = 0;
  for (const float w : values) {
    const double scale = 0.8 / 7;
    const double error = w - std::nearbyint(w / scale) * scale;
    widest += error * error;
  }
  CHECK(q.noise <= widest + 1e-9);
  CHECK(q.integers.to_int64()[0] < -7);
  CHECK(q.scales.values<float>()[0] == doctest::Approx(0.1).epsilon(0.03));
  // A block may end with the axis.
  const ScaledIntegers cut = quantize_blocks(
      Tensor::of<float>({5, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}), DType::kInt8, {0, 4});
  CHECK(cut.scales.shape() == Shape{2, 2});
  CHECK(cut.scales.values<float>()[3] == doctest::Approx(10.0 / 127));
}

}  // namespace lathe
