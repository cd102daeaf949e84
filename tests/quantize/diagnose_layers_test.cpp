#include "quantize/diagnose/diagnose_layers.h"

#include <cmath>
#include <random>

#include "diagnosis_case.h"
#include "quantize/diagnose/value_figures.h"
#include "quantize_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::list_text;
using test::Measured;
using test::measured;
using test::named_network;
using test::normal_data;
using test::scaled_data;
using test::spread_depthwise;
using test::usual_rules;

namespace {

std::vector<Diagnosis> diagnosed(const Measured& m, const DiagnosisRequest& request = {}) {
  return diagnose_layers(m.reference, m.plan, m.statistics, m.errors, request);
}

const Diagnosis* of_node(const std::vector<Diagnosis>& found, const std::string& name) {
  for (const Diagnosis& diagnosis : found)
    if (diagnosis.name == name) return &diagnosis;
  return nullptr;
}

// A layer error of a layer that loses `weight` and `input` of its signal and nothing before it.
LayerError error_of(const Graph& graph, const std::string& name, double weight, double input) {
  LayerError error;
  error.node = graph.find_node(name);
  error.name = name;
  error.type = std::string(graph.node(error.node).type_name());
  error.signal = error.network_signal = 1;
  error.weight = weight;
  error.input = input;
  error.local = error.network = weight + input;
  error.output_is_read = true;
  return error;
}

QuantParams uint8_params(double min, double max) {
  const ScaleZeroPoint chosen = choose_asymmetric(min, max, 0, 255);
  QuantParams params;
  params.scales = {chosen.scale};
  params.zero_points = {chosen.zero_point};
  return params;
}

Histogram histogram_of(const std::vector<float>& values) {
  Histogram histogram;
  histogram.add(values);
  return histogram;
}

std::vector<float> normal_values(size_t count, float deviation = 1) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// One Conv whose input x has these statistics and these parameters, and that loses a tenth by them.
struct OneLayer {
  Graph graph = named_network(R"(agraph (float[1,2,4,4] raw) => (float[1,2,4,4] y)
<float[2,2,1,1] w = {1, 0.5, -0.5, 1}> { @maker x = Sigmoid(raw) @layer y = Conv(x, w) })");
  PrecisionPlan plan;
  Statistics statistics;
  std::vector<LayerError> errors;

  OneLayer(const Histogram& histogram, const QuantParams& params) {
    plan.nodes[graph.find_node("layer")] = QuantRole::kCompute;
    plan.values[graph.find_value("x")] = params;
    statistics.values["x"] = histogram;
    errors.push_back(error_of(graph, "layer", 0.001, 0.1));
  }
  Diagnosis diagnosis(const DiagnosisRequest& request = {}) const {
    const auto found = diagnose_layers(graph, plan, statistics, errors, request);
    REQUIRE(found.size() == 1);
    return found[0];
  }
};

}  // namespace

TEST_CASE("spread depthwise channels are named, and scales per channel mend them") {
  const Graph graph = spread_depthwise();
  const SampleSource data = scaled_data(graph, 16, 8);
  IntegerRules rules = usual_rules();
  rules.weight_per_channel = false;
  const Measured bad = measured(graph, rules, data);
  DiagnosisRequest request;
  request.weight_granularity = "tensor";
  const std::vector<Diagnosis> found = diagnosed(bad, request);
  REQUIRE(!found.empty());
  CHECK(found[0].name == "depthwise");
  CHECK(found[0].cause == LossCause::kChannelSpread);
  CHECK(found[0].flag == "--weight-granularity channel");
  CHECK(found[0].text.find("8 depthwise channels") != std::string::npos);
  // What reaches the output says the same.
  request.sensitivity = measure_sensitivity(graph, graph, bad.plan, data, {});
  const std::vector<Diagnosis> blamed = diagnosed(bad, request);
  REQUIRE(!blamed.empty());
  CHECK(blamed[0].name == "depthwise");
  CHECK(blamed[0].cause == LossCause::kChannelSpread);
  CHECK(blamed[0].text.find("of the noise at the outputs") != std::string::npos);
  rules.weight_per_channel = true;
  const Measured mended = measured(graph, rules, data);
  MESSAGE(bad.output_db << " dB became " << mended.output_db);
  CHECK(mended.output_db > bad.output_db + 6);
  CHECK(of_node(diagnosed(mended), "depthwise") == nullptr);
}

TEST_CASE("a healthy network has no diagnosis") {
  const Graph graph = named_network(R"(agraph (float[1,8,8,8] x) => (float[1,8,4,4] z)
<float[8,8,3,3] a = )" + test::values_text(576, 1, -1, 1) +
                                    R"(, float[8,8,3,3] b = )" + test::values_text(576, 2, -1, 1) +
                                    R"(>
{ c = Conv<kernel_shape = [3, 3]>(x, a)  r = Relu(c)  z = Conv<kernel_shape = [3, 3]>(r, b) })");
  const Measured healthy = measured(graph, usual_rules(), normal_data(graph, 8));
  CHECK(healthy.output_db > 25);
  CHECK(healthy.errors.size() == 2);
  CHECK(diagnosed(healthy).empty());
}

TEST_CASE("outliers that a layer cuts off behind it are named; leaving it in float mends it") {
  // Two values of one sample are 100 times the others; behind the Clip they are worth no more.
  const Graph graph = named_network(R"(agraph (float[1,4,16,16] x) => (float[1,4,16,16] y)
<float[4,4,1,1] w = )" + test::values_text(16, 1, 0.2f, 0.6f) +
                                    R"(, float lo = {-3}, float hi = {3}>
{ @layer c = Conv(x, w)  y = Clip(c, lo, hi) })");
  SampleSource data = normal_data(graph, 8);
  data.sample = [inner = data.sample](size_t sample) {
    std::vector<Tensor> tensors = inner(sample);
    std::vector<float> values(tensors[0].values<float>().begin(), tensors[0].values<float>().end());
    if (sample == 3) {
      values[31] = 300;
      values[57] = -300;
    }
    return std::vector<Tensor>{Tensor::of<float>(tensors[0].shape(), values)};
  };
  IntegerRules rules = usual_rules();
  const Measured bad = measured(graph, rules, data, Observer::kAuto);
  const auto found = diagnosed(bad);
  REQUIRE(!found.empty());
  CHECK(found[0].name == "layer");
  CHECK(found[0].cause == LossCause::kOutliers);
  CHECK(found[0].text.find("-300 to 300") != std::string::npos);
  CHECK(found[0].flag == "--exclude 'layer'");
  rules.selected = [](const Node& node) { return node.name != "layer"; };
  const Measured mended = measured(graph, rules, data, Observer::kAuto);
  CHECK(mended.output_db > bad.output_db + 6);
}

TEST_CASE("outliers that another observer would cut off") {
  std::vector<float> values = normal_values(2'000'000);
  values[7] = 500;
  OneLayer layer(histogram_of(values), uint8_params(-6, 500));
  DiagnosisRequest request;
  request.observer = "minmax";
  const Diagnosis found = layer.diagnosis(request);
  CHECK(found.cause == LossCause::kOutliers);
  CHECK(found.flag.starts_with("--observer "));
  // Automatic choice has tried them all.
  CHECK(layer.diagnosis().flag == "--exclude 'layer'");
}

TEST_CASE("a range that cuts off too much") {
  OneLayer layer(histogram_of(normal_values(100'000)), uint8_params(-1, 1));
  DiagnosisRequest request;
  request.observer = "entropy";
  const Diagnosis found = layer.diagnosis(request);
  CHECK(found.cause == LossCause::kClipped);
  CHECK(found.flag == "--observer auto");
  CHECK(found.text.find("'x'") != std::string::npos);
}

TEST_CASE("the tail of a sigmoid") {
  std::vector<float> values = normal_values(100'000);
  for (float& value : values) value = 1 / (1 + std::exp(8 - value));
  values[0] = 1;
  OneLayer layer(histogram_of(values), uint8_params(0, 1));
  Diagnosis found = layer.diagnosis();
  CHECK(found.cause == LossCause::kSqueezed);
  CHECK(found.flag == "--exclude 'layer'");
  CHECK(found.text.find("Sigmoid") != std::string::npos);
  // The same figures behind another op are no tail.
  layer.graph.edit(layer.graph.find_node("maker")).kind = OpKind::kTanh;
  CHECK(layer.diagnosis().cause != LossCause::kSqueezed);
  // Neither are sigmoids that are spread evenly.
  for (float& value : values = normal_values(100'000)) value = 1 / (1 + std::exp(-value));
  CHECK(OneLayer(histogram_of(values), uint8_params(0, 1)).diagnosis().cause !=
        LossCause::kSqueezed);
}

TEST_CASE("saturation is named whatever the SQNR, from the device's counts") {
  OneLayer layer(histogram_of(normal_values(1000)), uint8_params(-4, 4));
  layer.errors[0] = error_of(layer.graph, "layer", 1e-5, 1e-5);
  CHECK(diagnose_layers(layer.graph, layer.plan, layer.statistics, layer.errors, {}).empty());
  DiagnosisRequest request;
  request.saturating_share[layer.errors[0].node] = 0.02;
  CHECK(layer.diagnosis(request).cause == LossCause::kSaturation);
  CHECK(layer.diagnosis(request).flag == "--profile x86-64");
  CHECK(layer.diagnosis(request).text.find("2 %") != std::string::npos);
  request.profile_guards_saturation = true;
  CHECK(layer.diagnosis(request).flag == "--exclude 'layer'");
  request.saturating_share[layer.errors[0].node] = 1e-6;
  CHECK(diagnose_layers(layer.graph, layer.plan, layer.statistics, layer.errors, request).empty());
}

TEST_CASE("channels of very different size in the input") {
  OneLayer layer(histogram_of(normal_values(1000)), uint8_params(-4, 4));
  layer.errors[0].input_peaks = {40, 0, 1};
  Diagnosis found = layer.diagnosis();
  CHECK(found.cause == LossCause::kInputSpread);
  CHECK(found.flag == "--effort balanced");
  DiagnosisRequest request;
  request.effort = "balanced";
  CHECK(layer.diagnosis(request).flag == "--exclude 'layer'");
  layer.errors[0].input_peaks = {40, 0, 20};
  CHECK(layer.diagnosis().cause == LossCause::kLastLayer);
}

TEST_CASE("weights: few large ones, and nothing in particular") {
  const auto diagnosis_of = [](const std::vector<float>& weight, const DiagnosisRequest& request) {
    const Graph graph = named_network(R"(agraph (float[1,256,2,2] x) => (float[1,2,2,2] y)
<float[2,256,1,1] w = )" + list_text(weight) +
                                      "> { @layer y = Conv(x, w) }");
    PrecisionPlan plan = select_nodes(graph, usual_rules());
    const Statistics statistics =
        calibrate(Interpreter(graph), calibration_targets(graph, plan), normal_data(graph, 1), {});
    plan = plan_precision(graph, usual_rules(), std::move(plan), statistics, Observer::kMinMax);
    const auto found =
        diagnose_layers(graph, plan, statistics, {error_of(graph, "layer", 0.1, 0.001)}, request);
    REQUIRE(found.size() == 1);
    return found[0];
  };
  const Diagnosis plain = diagnosis_of(normal_values(512), {});
  CHECK(plain.cause == LossCause::kWeights);
  CHECK(plain.flag == "--effort balanced");
  DiagnosisRequest request;
  request.effort = "best";
  CHECK(diagnosis_of(normal_values(512), request).flag == "--exclude 'layer'");
  request.weight_bits = 4;
  CHECK(diagnosis_of(normal_values(512), request).flag == "--weight-bits 8");
  // One of 256 weights is large: the root mean square is a sixteenth of it.
  std::vector<float> large(512, 0.001f);
  large[0] = large[256] = 1;
  const Diagnosis few = diagnosis_of(large, {});
  CHECK(few.cause == LossCause::kLargeWeights);
  CHECK(few.text.find("16 times") != std::string::npos);
}

TEST_CASE("what arrives is not a layer's own fault") {
  const Graph graph = named_network(R"(agraph (float[1,2,4,4] x) => (float[1,2,4,4] z)
<float[2,2,1,1] w = {1, 0.5, -0.5, 1}>
{ @one y = Conv(x, w)  @two u = Conv(y, w)  @three z = Conv(u, w) })");
  PrecisionPlan plan;
  for (const NodeId id : graph.node_ids()) plan.nodes[id] = QuantRole::kCompute;
  std::vector<LayerError> errors{error_of(graph, "one", 0.2, 0.01), error_of(graph, "two", 1e-4, 0),
                                 error_of(graph, "three", 1e-4, 0)};
  errors[1].network = 0.2;
  errors[2].network = 0.21;
  auto found = diagnose_layers(graph, plan, {}, errors, {});
  REQUIRE(found.size() == 3);
  CHECK(found[0].name == "one");
  CHECK(found[0].cause == LossCause::kWeights);
  CHECK(found[1].name == "three");
  CHECK(found[1].cause == LossCause::kGathered);
  CHECK(found[1].culprit == "one");
  CHECK(found[1].flag == found[0].flag);
  // Half as bad each: no layer is to blame alone.
  for (LayerError& error : errors) error.weight = error.local = 0.002;
  errors[0].network = 0.002;
  errors[1].network = 0.02;
  errors[2].network = 0.04;
  found = diagnose_layers(graph, plan, {}, errors, {});
  REQUIRE(found.size() == 1);
  CHECK(found[0].cause == LossCause::kGathered);
  CHECK(found[0].flag == "--effort balanced");
  CHECK(found[0].text.find("2 layers") != std::string::npos);
}

TEST_CASE("whom to blame is decided by what reaches the outputs") {
  const Graph graph = named_network(R"(agraph (float[1,2,4,4] x) => (float[1,2,4,4] z)
<float[2,2,1,1] w = {1, 0.5, -0.5, 1}>
{ @one y = Conv(x, w)  @two u = Conv(y, w)  @three z = Conv(u, w) })");
  PrecisionPlan plan;
  for (const NodeId id : graph.node_ids()) plan.nodes[id] = QuantRole::kCompute;
  for (const char* name : {"x", "y", "u"})
    plan.values[graph.find_value(name)] = uint8_params(-4, 4);
  std::vector<LayerError> errors{error_of(graph, "one", 1e-4, 1e-4),
                                 error_of(graph, "two", 2e-3, 2e-3),
                                 error_of(graph, "three", 1e-4, 1e-4)};
  errors[2].network = 0.1;
  DiagnosisRequest request;
  request.sensitivity.emplace();
  request.sensitivity->noise = 0.1;
  request.sensitivity->values = {{graph.find_value("x"), 0.07, NoiseEstimate::kGradient},
                                 {graph.find_value("u"), 0.01, NoiseEstimate::kGradient}};
  request.sensitivity->nodes = {{graph.find_node("two"), 0.02, 0, 0.02, NoiseEstimate::kGradient}};
  const auto found = diagnose_layers(graph, plan, {}, errors, request);
  REQUIRE(found.size() == 3);
  CHECK(found[0].name == "one");  // nothing makes x: its first reader answers for it
  CHECK(found[0].cause == LossCause::kFirstLayer);
  CHECK(found[0].flag == "--exclude 'one'");
  CHECK(found[0].text.find("70 %") != std::string::npos);
  CHECK(found[1].name == "two");
  CHECK(found[1].cause == LossCause::kWeights);
  CHECK(found[2].cause == LossCause::kGathered);
  CHECK(found[2].culprit == "one");
  // A network in which nothing is bad has nobody to blame.
  errors[2].network = 1e-3;
  CHECK(diagnose_layers(graph, plan, {}, errors, request).empty());
}

TEST_CASE("a step of more than half an integer in shape arithmetic") {
  const Graph graph = named_network(R"(agraph (float[4] size, float[1,6] x) => (float[a,b] y)
<float[4] k = {2, 2, 2, 2}>
{ @scale s = Mul(size, k)  i = Cast<to = 7>(s)  first = Constant<value = int64[1] {0}>()
  last = Constant<value = int64[1] {2}>()  part = Slice(i, first, last)  y = Reshape(x, part) })");
  PrecisionPlan plan;
  plan.nodes[graph.find_node("scale")] = QuantRole::kFollow;
  plan.values[graph.find_value("size")] = uint8_params(0, 1000);
  const std::vector<LayerError> errors{error_of(graph, "scale", 0, 1e-5)};
  const auto found = diagnose_layers(graph, plan, {}, errors, {});
  REQUIRE(found.size() == 1);
  CHECK(found[0].cause == LossCause::kShapeArithmetic);
  CHECK(found[0].flag == "--exclude 'scale'");
  plan.values[graph.find_value("size")] = uint8_params(0, 10);
  CHECK(diagnose_layers(graph, plan, {}, errors, {}).empty());
}

TEST_CASE("flags that leave a value in float name its maker and its readers") {
  const Graph graph = named_network(R"(agraph (float[1,2,4,4] x) => (float[1,2,4,4] z)
<float[2,2,1,1] w = {1, 0.5, -0.5, 1}>
{ @it's y = Conv(x, w)  r = Relu(y)  t = Transpose<perm = [0, 1, 3, 2]>(r)  @two z = Conv(t, w) })");
  const PrecisionPlan plan = select_nodes(graph, usual_rules());
  const std::string flags = "--exclude 'it'\\''s' --exclude 'two'";
  CHECK(exclude_value_flags(graph, plan, graph.find_value("r")) == flags);
  CHECK(exclude_value_flags(graph, plan, graph.find_value("t")) == flags);
  CHECK(exclude_value_flags(graph, plan, graph.find_value("x")) == "--exclude 'it'\\''s'");
}

TEST_CASE("figures of a value") {
  Histogram histogram;
  std::vector<float> values(1000, 1.0f);
  values[0] = 100;
  histogram.add(values);
  const ValueFigures figures = value_figures(histogram, uint8_params(0, 50));
  CHECK(figures.step == doctest::Approx(50.0 / 255));
  CHECK(figures.clipped_share == doctest::Approx(0.001));
  CHECK(figures.clipped_noise > 0.99);
  CHECK(figures.error == doctest::Approx(2.5).epsilon(0.02));
  CHECK(figures.mean_square == doctest::Approx(11).epsilon(0.05));
  CHECK(value_figures(Histogram{}, uint8_params(0, 1)).error == 0);
}

}  // namespace lathe
