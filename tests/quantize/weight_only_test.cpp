// Plans of weights alone, and weights of four bits.
#include "onnx/read_model.h"
#include "onnx/write_model.h"
#include "pass_check.h"
#include "quantize/plan/weight_params.h"
#include "quantize_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::count_of;
using test::maker;
using test::network;
using test::only;
using test::planned;
using test::reason_for;
using test::usual_rules;

namespace {

IntegerRules weight_rules(DType dtype, bool per_channel) {
  IntegerRules rules = usual_rules();
  rules.weight_only = true;
  rules.weight_dtype = dtype;
  rules.weight_per_channel = per_channel;
  return rules;
}

// Odd numbers of channels and elements: the last byte of four-bit tensors is half empty.
Graph odd_network() {
  return network("agraph (float[1,3,4,4] x) => (float[1,5] y) <float[3,3,1,1] w = " +
                 test::values_text(9, 1, -1, 1) + ", float[3] b = {0.5, -1, 2}, float[3,5] v = " +
                 test::values_text(15, 2, -2, 2) + R"(>
{ c = Conv(x, w, b)  r = Relu(c)  p = GlobalAveragePool(r)  f = Flatten(p)  y = MatMul(f, v) })");
}

std::vector<double> numbers(const std::vector<Tensor>& outputs) { return outputs[0].to_double(); }

}  // namespace

TEST_CASE("weight-only plans hold weights alone and need no statistics") {
  const Graph graph = odd_network();
  const IntegerRules rules = weight_rules(DType::kInt8, true);
  PrecisionPlan plan = select_nodes(graph, rules);
  CHECK(planned(graph, plan) == "Conv MatMul");
  CHECK(plan.values.empty());
  CHECK(calibration_targets(graph, plan).ranges.empty());
  plan = plan_precision(graph, rules, plan, {}, Observer::kAuto);
  CHECK(plan.weights.size() == 2);
  CHECK(plan.biases.empty());
  Graph after = graph;
  CHECK(insert_qdq(after, plan) == 2);
  CHECK(count_of(after, OpKind::kQuantizeLinear) == 0);
  const Node& conv = only(after, OpKind::kConv);
  CHECK(after.is_input(conv.inputs[0]));
  CHECK(maker(after, conv.inputs[1]) == "DequantizeLinear");
  CHECK(after.constant(conv.inputs[2])->dtype() == DType::kFloat32);
}

TEST_CASE("what has no constant weight stays float, alpha and odd biases do not matter") {
  const auto reasons = [](const std::string& body) {
    const Graph graph = network(body);
    const PrecisionPlan plan = select_nodes(graph, weight_rules(DType::kInt4, false));
    return planned(graph, plan) + "|" + reason_for(plan, "MatMul");
  };
  const std::string head = "agraph (float[2,2] x, float[2,2] b) => (float[2,2] y) ";
  CHECK(reasons(head + "{ y = MatMul(x, b) }") == "|its weight is computed");
  CHECK(reasons(head + "<float[2,2] w = {1,2,3,4}> { y = MatMul(w, x) }") ==
        "|its first input is a constant");
  CHECK(reasons(head + "<float[2,2] w = {1,2,3,4}> { y = Gemm<alpha = 2.0>(x, w, b) }") == "Gemm|");
}

TEST_CASE("four-bit integers are packed from the low bits, -7 to 7") {
  const Tensor weight = Tensor::of<float>({5}, {7, -7, 3.4F, -8.5F, 1});
  const Tensor q = quantize_tensor(weight, {DType::kInt4, {1}, {0}, -1});
  CHECK(q.dtype() == DType::kInt4);
  CHECK(q.shape() == Shape{5});
  const std::vector<std::byte> bytes = {std::byte{0x97}, std::byte{0x93}, std::byte{0x01}};
  CHECK(std::equal(bytes.begin(), bytes.end(), q.bytes().begin(), q.bytes().end()));
  CHECK(q.to_int64() == std::vector<int64_t>{7, -7, 3, -7, 1});
  CHECK(integer_tensor(DType::kUInt4, {3}, {15, 1, 8}).to_int64() ==
        std::vector<int64_t>{15, 1, 8});
  CHECK(integer_tensor(DType::kInt2, {5}, {1, -2, 0, -1, 1}).to_int64() ==
        std::vector<int64_t>{1, -2, 0, -1, 1});
  CHECK(integer_tensor(DType::kInt16, {2}, {-300, 7}).to_int64() == std::vector<int64_t>{-300, 7});

  const Tensor many = Tensor::of<float>({3, 3}, {1, -2, 0.5F, 30, 4, 5, 0, 0, 0});
  CHECK(weight_params(many, DType::kInt4, -1).scales == std::vector<float>{30.0F / 7});
  const QuantParams channels = weight_params(many, DType::kInt4, 0);
  CHECK(channels.scales[0] == 2.0F / 7);
  CHECK(channels.scales[2] > 0);
}

TEST_CASE("four-bit weights: written at opset 21, read back, the same numbers") {
  for (const bool per_channel : {false, true})
    for (const bool weight_only : {false, true}) {
      CAPTURE(per_channel);
      CAPTURE(weight_only);
      Model model;
      model.graph = odd_network();
      model.opset = 17;
      const Graph before = model.graph;
      IntegerRules rules = weight_rules(DType::kInt4, per_channel);
      rules.weight_only = weight_only;
      PrecisionPlan plan = select_nodes(before, rules);
      Statistics statistics;
      if (!weight_only)
        statistics = calibrate(Interpreter(before), calibration_targets(before, plan),
                               test::normal_data(before, 16), {});
      plan = plan_precision(before, rules, plan, statistics, Observer::kMinMax);
      insert_qdq(model.graph, plan);
      const WrittenModel written = write_onnx(model);
      CHECK(written.opset == 21);
      CHECK(written.ir_version == 10);
      const auto bytes = std::as_bytes(std::span(written.model_bytes));
      const Model back = read_onnx(bytes, {});
      int packed = 0;
      for (const ValueId id : back.graph.value_ids())
        if (const Tensor* tensor = back.graph.constant(id))
          packed += tensor->dtype() == DType::kInt4 ? 1 : 0;
      CHECK(packed == 4);  // two weights, two zero points
      CHECK(numbers(test::run_seeded(back.graph)) == numbers(test::run_seeded(model.graph)));
      CHECK(test::sqnr_between(before, back.graph) > 10);
      CHECK(test::sqnr_between(before, back.graph) < 40);
    }
}

TEST_CASE("biases take back the mean of rounding where only weights are integers") {
  const Graph before =
      network("agraph (float[1,3,4,4] x) => (float[1,3,4,4] y) <float[3,3,1,1] w = " +
              test::values_text(9, 3, -1, 1) + "> { y = Conv(x, w) }");
  const IntegerRules rules = weight_rules(DType::kInt4, false);
  PrecisionPlan plan = select_nodes(before, rules);
  const Statistics statistics = calibrate(Interpreter(before), calibration_targets(before, plan),
                                          test::normal_data(before, 64), {});
  plan = plan_precision(before, rules, plan, statistics, Observer::kAuto);
  Graph plain = before, corrected = before;
  insert_qdq(plain, plan);
  CHECK(correct_bias(corrected, plan, statistics) == 1);
  CHECK(plan.biases.empty());
  insert_qdq(corrected, plan);
  CHECK(test::sqnr_between(before, corrected) > test::sqnr_between(before, plain));
}

}  // namespace lathe
