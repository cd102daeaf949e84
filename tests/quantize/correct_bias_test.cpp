#include "pass_check.h"
#include "quantize/plan/weight_params.h"
#include "quantize_case.h"

#include <cmath>
#include <random>

#include "onnx/text_form.h"
#include "run/interpreter.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::network;
using test::normal_data;
using test::usual_rules;

namespace {

// Small weights beside a few of 100, so that rounding errors are large and add up: W stands for
// the constant w of `shape`.
Graph layer(std::string text, const Shape& shape) {
  std::string dims;
  for (const int64_t dim : shape) dims += (dims.empty() ? "" : ",") + std::to_string(dim);
  const std::string weight =
      "float[" + dims + "] w = " + test::values_text(element_count(shape), 3, 0.2f, 0.4f, true);
  return network(text.replace(text.find("W"), 1, weight));
}

struct Outcome {
  std::vector<double> shift;  // mean of output (after - before) per channel
  double sqnr = 0;
  int changes = 0;
};

std::vector<double> channel_sums(const Graph& graph, const SampleSource& data) {
  std::vector<double> sums(2, 0);
  const Interpreter interpreter(graph);
  for (size_t i = 0; i < data.count; ++i) {
    const Tensor y = interpreter.run_tensors(data.sample(i))[0];
    const std::vector<double> values = y.to_double();
    const size_t inner = values.size() / 2;
    for (size_t k = 0; k < values.size(); ++k)
      sums[k / inner] += values[k] / static_cast<double>(inner * data.count);
  }
  return sums;
}

Outcome outcome(const Graph& before, bool corrected) {
  Graph graph = before;
  PrecisionPlan plan = select_nodes(graph, usual_rules());
  const SampleSource data = normal_data(graph, 64);
  const Statistics statistics =
      calibrate(Interpreter(graph), calibration_targets(graph, plan), data, {});
  plan = plan_precision(graph, usual_rules(), plan, statistics, Observer::kMinMax);
  Outcome result;
  if (corrected) result.changes = correct_bias(graph, plan, statistics);
  insert_qdq(graph, plan);
  const std::vector<double> wanted = channel_sums(before, data);
  const std::vector<double> got = channel_sums(graph, data);
  for (size_t c = 0; c < 2; ++c) result.shift.push_back(std::fabs(got[c] - wanted[c]));
  result.sqnr = test::sqnr_between(before, graph);
  return result;
}

void check_layer(const Graph& before) {
  const Outcome plain = outcome(before, false);
  const Outcome corrected = outcome(before, true);
  CHECK(corrected.changes == 1);
  for (size_t c = 0; c < 2; ++c) {
    CHECK(plain.shift[c] > 0.3);
    CHECK(corrected.shift[c] < 0.25 * plain.shift[c]);
  }
  CHECK(corrected.sqnr > plain.sqnr + 1);
}

}  // namespace

TEST_CASE("correct_bias takes back the mean shift of a Conv, with or without bias") {
  check_layer(layer(R"(agraph (float[1,16,4,4] x) => (float[1,2,4,4] y)
<W, float[2] b = {1, -2}> { y = Conv(x, w, b) })",
                    {2, 16, 1, 1}));
  check_layer(layer(R"(agraph (float[1,16,4,4] x) => (float[1,2,4,4] y)
<W> { y = Conv(x, w) })",
                    {2, 16, 1, 1}));
}

TEST_CASE("correct_bias of a Conv in groups and with several taps") {
  check_layer(layer(R"(agraph (float[1,16,4,4] x) => (float[1,2,2,2] y)
<W> { y = Conv<group = 2, kernel_shape = [3, 3]>(x, w) })",
                    {2, 8, 3, 3}));
}

TEST_CASE("correct_bias of Gemm, both ways round") {
  check_layer(layer(R"(agraph (float[1,16] x) => (float[1,2] y)
<W> { y = Gemm<transB = 1>(x, w) })",
                    {2, 16}));
  check_layer(layer(R"(agraph (float[1,29] x) => (float[1,2] y)
<W, float[2] b = {1, -2}> { y = Gemm(x, w, b) })",
                    {29, 2}));
}

TEST_CASE("correct_bias leaves computed weights, missing means and integer graphs alone") {
  const Graph before = layer(R"(agraph (float[1,16,4,4] x) => (float[1,2,4,4] y)
<W> { y = Conv(x, w) })",
                             {2, 16, 1, 1});
  Graph graph = before;
  PrecisionPlan plan = select_nodes(graph, usual_rules());
  Statistics statistics =
      calibrate(Interpreter(graph), calibration_targets(graph, plan), normal_data(graph, 4), {});
  plan = plan_precision(graph, usual_rules(), plan, statistics, Observer::kMinMax);
  Statistics without = statistics;
  without.channel_means.clear();
  CHECK(correct_bias(graph, plan, without) == 0);
  CHECK(text_form(graph) == text_form(before));
  without.channel_means["x"] = {1, 2, 3};  // another number of channels
  CHECK(correct_bias(graph, plan, without) == 0);
  CHECK(text_form(graph) == text_form(before));

  CHECK(correct_bias(graph, plan, statistics) == 1);
  insert_qdq(graph, plan);
  const std::string integer = text_form(graph);
  PrecisionPlan again = select_nodes(graph, usual_rules());
  again = plan_precision(graph, usual_rules(), again, statistics, Observer::kMinMax);
  CHECK(correct_bias(graph, again, statistics) == 0);
  CHECK(insert_qdq(graph, again) == 0);
  CHECK(text_form(graph) == integer);
}

}  // namespace lathe
