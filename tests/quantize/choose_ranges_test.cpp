#include "quantize/ranges/choose_ranges.h"

#include <cmath>
#include <random>

#include "pass_check.h"
#include "quantize/sensitivity/rounding_sums.h"
#include "quantize_case.h"
#include "run/compare.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::network;
using test::normal_data;
using test::usual_rules;
using test::values_text;

namespace {

// What is far out in x alone reaches y: a sparse map, most of which is zero.
const std::string kSparse = R"(agraph (float[1,1,256,256] x) => (float[1,1,256,256] y)
<float[1,1,1,1] w = {1.0}, float[1] t = {20.0}>
{ c = Conv(x, w)  d = Sub(c, t)  y = Relu(d) })";

SampleSource changed(const Graph& graph, size_t count,
                     void (*change)(size_t, std::vector<float>&)) {
  SampleSource source = normal_data(graph, count);
  source.sample = [inner = source.sample, change](size_t i) {
    std::vector<Tensor> tensors = inner(i);
    const auto old = tensors[0].values<float>();
    std::vector<float> values(old.begin(), old.end());
    change(i, values);
    tensors[0] = Tensor::of<float>(tensors[0].shape(), values);
    return tensors;
  };
  return source;
}

// One element of every sixth sample, too few for the mean squared error.
SampleSource with_peaks(const Graph& graph, size_t count) {
  return changed(graph, count, [](size_t i, std::vector<float>& values) {
    if (i % 6 == 1) values[97 * i] = 60;
  });
}

// Some values are fifteen times the others.
SampleSource spiked(const Graph& graph, size_t count) {
  return changed(graph, count, [](size_t i, std::vector<float>& values) {
    for (size_t k = i % 7; k < values.size(); k += 61) values[k] *= 15;
  });
}

struct Trial {
  Graph graph;
  IntegerRules rules = usual_rules();
  PrecisionPlan selection;
  SampleSource source;
  Statistics statistics;
  std::unique_ptr<OutputJudge> judge;

  Trial(const std::string& body, SampleSource (*data)(const Graph&, size_t), size_t samples)
      : graph(network(body)), selection(select_nodes(graph, rules)), source(data(graph, samples)) {
    statistics = calibrate(Interpreter(graph), calibration_targets(graph, selection), source, {});
    std::vector<size_t> judging;
    for (size_t i = 1; i < samples; i += 2) judging.push_back(i);
    judge = std::make_unique<OutputJudge>(graph, judging, source, SampleRunOptions{});
  }
  RangeTrial trial() const { return {graph, rules, selection, statistics, *judge}; }
};

double tried(const ChosenRanges& chosen, const std::string& name) {
  for (const TriedRanges& row : chosen.tried)
    if (row.name == name) return row.output_sqnr_db;
  FAIL("not tried: " << name);
  return 0;
}

}  // namespace

TEST_CASE("rounding_sums: equal to their definition") {
  std::mt19937_64 random(5);
  std::normal_distribution<float> normal(0.3f, 2);
  for (const size_t count : {size_t{1}, size_t{15}, size_t{16}, size_t{5000}}) {
    std::vector<float> x(count);
    std::vector<float> g(count);
    for (size_t i = 0; i < count; ++i) {
      x[i] = normal(random);
      g[i] = normal(random);
    }
    QuantParams params;
    params.dtype = DType::kInt8;
    params.scales = {0.021f};
    params.zero_points = {-7};
    double squares = 0;
    double product = 0;
    double inside = 0;
    double outside = 0;
    for (size_t i = 0; i < count; ++i) {
      const int32_t q = quantize(x[i], 0.021f, -7, -128, 127);
      const double error = dequantize(q, 0.021f, -7) - static_cast<double>(x[i]);
      squares += error * error;
      product += error * g[i];
      const double scaled = x[i] / 0.021f;
      if (scaled < -121 || scaled > 134)
        outside += error * g[i];
      else
        inside += error * g[i] * error * g[i];
    }
    const RoundingSums sums = rounding_sums(x, g, params);
    CHECK(sums.squares == doctest::Approx(squares).epsilon(1e-3));
    CHECK(sums.product == doctest::Approx(product).epsilon(1e-3));
    CHECK(sums.inside == doctest::Approx(inside).epsilon(1e-3));
    CHECK(sums.outside == doctest::Approx(outside).epsilon(1e-3));
    CHECK(rounding_sums(x, {}, params).squares == sums.squares);
  }
}

TEST_CASE("OutputJudge: the errors of compare_graphs, of all samples or some, kept or run") {
  const Trial t(kSparse, with_peaks, 9);
  Graph quantized = t.graph;
  insert_qdq(quantized,
             plan_precision(t.graph, t.rules, t.selection, t.statistics, Observer::kMinMax));
  SampleSource odd = t.source;
  odd.count = 4;
  odd.sample = [&](size_t i) { return t.source.sample(2 * i + 1); };
  CompareOptions options;
  options.layers = false;
  const CompareResult wanted =
      compare_graphs(Interpreter(t.graph), Interpreter(quantized), odd, options);
  CompareResult found = t.judge->judge(quantized);
  CHECK(found.samples == 4);
  CHECK(found.outputs[0].sums.noise == wanted.outputs[0].sums.noise);
  CHECK(found.outputs[0].value == "y");
  OutputJudge kept(t.graph, {1, 3, 5, 7}, t.source, {});
  for (size_t i = 0; i < 9; ++i) {
    std::vector<RuntimeValue> inputs;
    for (const Tensor& tensor : t.source.sample(i)) inputs.push_back(to_runtime(tensor));
    kept.keep(i, inputs, Interpreter(t.graph).run(inputs));
  }
  CHECK(kept.judge(quantized).outputs[0].sums.noise == wanted.outputs[0].sums.noise);
  found = kept.judge(quantized, [](size_t sample) { return sample == 3; });
  CHECK(found.samples == 1);
  CHECK(found.outputs[0].sums.noise < wanted.outputs[0].sums.noise);
  CHECK(kept.judge(quantized, [](size_t) { return false; }).samples == 0);
}

TEST_CASE("choose_ranges: extremes where they reach the outputs, and never worse than any tried") {
  const Trial t(kSparse, with_peaks, 24);
  const ChosenRanges chosen = choose_ranges(t.trial());
  CHECK(chosen.name == "minmax");
  CHECK(tried(chosen, "minmax") > tried(chosen, "auto") + 1);
  // Behind nothing that looks at extremes, what is best for the value itself.
  const std::string plain =
      "agraph (float[1,4,8,8] x) => (float[1,4,8,8] y)\n<float[4,4,1,1] w = " +
      values_text(16, 3, -0.5f, 0.5f) + R"(>
{ s = Tanh(x)  c = Conv(s, w)  r = Relu(c)  y = Conv(r, w) })";
  const Trial other(plain, normal_data, 24);
  const ChosenRanges best = choose_ranges(other.trial());
  double most = -1000;
  for (const TriedRanges& row : best.tried) most = std::max(most, row.output_sqnr_db);
  CHECK(most - tried(best, best.name) < 0.25);
}

TEST_CASE("ranges_by_outputs: what nobody behind looks at is cut off") {
  // c is cut at 1 by the Clip behind the addition: its extremes are worth nothing.
  const std::string body = "agraph (float[1,4,8,8] x) => (float[1,4,8,8] y)\n<float[4,4,1,1] w = " +
                           values_text(16, 3, -0.5f, 0.5f) +
                           R"(, float low = {-1.0}, float high = {1.0}>
{ c = Conv(x, w)  a = Add(c, c)  p = Clip(a, low, high)  y = Conv(p, w) })";
  const Trial t(body, spiked, 24);
  ChosenRanges chosen = choose_ranges(t.trial());
  const RangeRules own = ranges_by_outputs(t.trial(), Observer::kMinMax, t.source, {});
  const ValueId c = t.graph.find_value("c");
  REQUIRE(own.others.contains(c));
  try_ranges(t.trial(), "outputs", own, chosen);
  CHECK(tried(chosen, "outputs") > tried(chosen, "minmax") + 3);
  // The same for any number of threads.
  SensitivityOptions two;
  two.run.threads = 2;
  const RangeRules again = ranges_by_outputs(t.trial(), Observer::kMinMax, t.source, two);
  REQUIRE(again.others.size() == own.others.size());
  for (const auto& [id, rule] : own.others) {
    CHECK(again.at(id).observer == rule.observer);
    CHECK(again.at(id).reach == rule.reach);
  }
}

}  // namespace lathe
