#include "quantize/encodings/encodings.h"

#include <algorithm>
#include <utility>

#include "ir/error.h"
#include "pass_check.h"
#include "quantize/encodings/tensor_overrides.h"
#include "quantize_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::network;
using test::normal_data;
using test::usual_rules;
using test::values_text;

namespace {

struct Planned {
  Graph graph;
  PrecisionPlan plan;
  std::vector<std::string> names;

  Planned() : graph(network(body())) {
    const IntegerRules rules = usual_rules();
    plan = select_nodes(graph, rules);
    const Statistics statistics =
        calibrate(Interpreter(graph), calibration_targets(graph, plan), normal_data(graph, 4), {});
    plan = plan_precision(graph, rules, plan, statistics, Observer::kMinMax);
    for (const ValueId id : graph.value_ids()) names.push_back(graph.value(id).name);
    std::sort(names.begin(), names.end());
  }
  static std::string body() {
    return "agraph (float[1,3,8,8] x) => (float[1,4,8,8] y)\n<float[4,3,1,1] w = " +
           values_text(12, 3, -0.5f, 0.5f) + ", float[4] b = " + values_text(4, 4, -0.5f, 0.5f) +
           ", float[4,4,1,1] v = " + values_text(16, 5, -0.5f, 0.5f) +
           R"(>
{ c = Conv(x, w, b)  r = Relu(c)  m = MaxPool<kernel_shape = [1, 1]>(r)  y = Conv(m, v) })";
  }
  AppliedEncodings apply(const std::string& text) {
    return apply_encodings(graph, read_encodings(text, "e.json"), "e.json", names, plan);
  }
  const QuantParams& of(const std::string& name) const {
    return plan.values.at(graph.find_value(name));
  }
  std::string refused(const std::string& text) {
    try {
      apply(text);
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::kBadInput);
      CHECK_FALSE(error.text().where.empty());
      return error.id();
    }
    return "taken";
  }
};

std::string aimet(const std::string& activations, const std::string& parameters) {
  return R"({"version": "0.6.1", "activation_encodings": {)" + activations +
         R"(}, "param_encodings": {)" + parameters + "}}";
}

}  // namespace

TEST_CASE("encodings that are written and read again change nothing, in both formats") {
  const Planned whole;
  for (const EncodingsFormat format : {EncodingsFormat::kAimet, EncodingsFormat::kOnnxRuntime}) {
    std::vector<std::string> weights;
    const Encodings out = encodings_of(whole.graph, whole.plan, weights);
    CHECK(weights.size() == 2);
    Planned again;
    for (auto& [id, params] : again.plan.values) params.scales = {1};
    const std::string text = write_encodings(out, weights, format);
    const AppliedEncodings applied = again.apply(text);
    CHECK(applied.weights == 2);
    CHECK(applied.values == static_cast<int>(whole.plan.values.size()));
    CHECK(applied.unused.empty());
    CHECK((again.plan.values == whole.plan.values));
    for (size_t i = 0; i < whole.plan.weights.size(); ++i)
      CHECK(again.plan.weights[i].params == whole.plan.weights[i].params);
    for (size_t i = 0; i < whole.plan.biases.size(); ++i)
      CHECK(again.plan.biases[i].params == whole.plan.biases[i].params);
    std::vector<std::string> same;
    CHECK(write_encodings(encodings_of(again.graph, again.plan, same), same, format) == text);
  }
}

TEST_CASE("AIMET's offsets and ONNX Runtime's ranges are read by their definitions") {
  Planned p;
  // x = scale * (q + offset): q = 3 is zero.
  p.apply(aimet(R"("r": [{"bitwidth": 8, "dtype": "int", "is_symmetric": "False",
                         "max": 25.2, "min": -0.3, "offset": -3, "scale": 0.1}])",
                R"("w": [{"bitwidth": 8, "scale": 0.01, "offset": -128},
                        {"bitwidth": 8, "scale": 0.02, "offset": -128},
                        {"bitwidth": 8, "scale": 0.03, "offset": -128},
                        {"bitwidth": 8, "scale": 0.04, "offset": -128}])"));
  CHECK(p.of("r").scales == std::vector<float>{0.1f});
  CHECK(p.of("r").zero_points == std::vector<int32_t>{3});
  CHECK(p.of("m") == p.of("r"));  // MaxPool passes its integers on
  for (const WeightPlan& weight : p.plan.weights)
    if (p.graph.value(p.graph.node(weight.node).inputs[1]).name == "w")
      CHECK(weight.params.scales == std::vector<float>{0.01f, 0.02f, 0.03f, 0.04f});
  const float x = p.of("x").scales[0];
  CHECK(p.plan.biases.at(0).params.scales ==
        std::vector<float>{0.01f * x, 0.02f * x, 0.03f * x, 0.04f * x});
  Planned q;
  q.apply(R"({"r": [{"quant_type": "QUInt8", "rmin": -1.0, "rmax": 254.0}],
              "x": [{"quant_type": "QInt16", "scale": 0.5, "zero_point": -4}],
              "y": [{"quant_type": "QInt8", "rmin": -3.0, "rmax": 12.7, "symmetric": true}]})");
  CHECK(q.of("r").scales == std::vector<float>{1.0f});
  CHECK(q.of("r").zero_points == std::vector<int32_t>{1});
  CHECK(q.of("x").dtype == DType::kInt16);
  CHECK(q.of("x").zero_points == std::vector<int32_t>{-4});
  CHECK(q.of("y").dtype == DType::kInt8);
  CHECK(q.of("y").scales[0] == doctest::Approx(0.1));
  CHECK(q.of("y").zero_points == std::vector<int32_t>{0});
  // 1.0.0, and a tensor that stays in float.
  Planned r;
  const AppliedEncodings applied = r.apply(R"({"version": "1.0.0", "activation_encodings": [
      {"name": "c", "bw": 8, "dtype": "INT", "scale": [0.2], "offset": [0]},
      {"name": "r", "bw": 16, "dtype": "INT", "scale": [0.2], "offset": [-7]}],
      "param_encodings": []})");
  CHECK(applied.unused == std::vector<std::string>{"c"});
  CHECK(r.of("r").dtype == DType::kUInt16);
  CHECK(r.of("r").zero_points == std::vector<int32_t>{7});
}

TEST_CASE("a value that is moved has the range of where it comes from") {
  Planned p;
  const auto ask = [&](const std::string& scale) {
    return p.apply(R"({"m": [{"quant_type": "QUInt8", "scale": )" + scale +
                   R"(, "zero_point": 0}], "r": [{"quant_type": "QUInt8", "scale": 0.5,
                   "zero_point": 0}]})");
  };
  AppliedEncodings applied = ask("0.25");
  CHECK(applied.unused == std::vector<std::string>{"m"});
  CHECK(applied.values == 1);
  CHECK(p.of("m").scales[0] == 0.5f);
  applied = ask("0.5");
  CHECK(applied.unused.empty());
}

TEST_CASE("encodings that cannot be meant are refused with their place") {
  Planned p;
  const auto row = [](const std::string& members) {
    return aimet(R"("r": [{)" + members + "}]", "");
  };
  CHECK(p.refused(aimet(R"("rr": [{"bitwidth": 8, "scale": 1, "offset": 0}])", "")) ==
        "encodings.unknown");
  CHECK(p.refused(row(R"("bitwidth": 8, "scale": 0, "offset": 0)")) == "encodings.range");
  CHECK(p.refused(row(R"("bitwidth": 8, "scale": -1, "offset": 0)")) == "encodings.range");
  CHECK(p.refused(row(R"("bitwidth": 8, "scale": 1e-60, "offset": 0)")) == "encodings.range");
  CHECK(p.refused(row(R"("bitwidth": 8, "scale": 1, "offset": 0, "min": 2, "max": 1)")) ==
        "encodings.range");
  CHECK(p.refused(row(R"("bitwidth": 8, "scale": 1, "offset": -8, "min": -4, "max": 123)")) ==
        "encodings.range");
  CHECK(p.refused(R"({"r": [{"quant_type": "QInt8", "scale": 1, "zero_point": 0, "rmin": -128,
                             "rmax": 512}]})") == "encodings.range");
  CHECK(p.refused(row(R"("bitwidth": 8, "scale": 1, "offset": 5)")) == "encodings.zero");
  CHECK(p.refused(row(R"("bitwidth": 8, "scale": 1, "offset": -256)")) == "encodings.zero");
  CHECK(p.refused(row(R"("bitwidth": 8, "scale": 1, "offset": -0.5)")) == "encodings.zero");
  CHECK(p.refused(row(R"("bitwidth": 4, "scale": 1, "offset": 0)")) == "encodings.bits");
  CHECK(p.refused(row(R"("bitwidth": 16, "dtype": "float")")) == "encodings.dtype");
  CHECK(p.refused(row(R"("bitwidth": 8, "scale": "1", "offset": 0)")) == "encodings.malformed");
  CHECK(p.refused(R"({"r": [{"quant_type": "QUInt8", "rmin": 2, "rmax": 1}]})") ==
        "encodings.range");
  CHECK(p.refused(R"({"r": [{"quant_type": "QInt4", "scale": 1, "zero_point": 0}]})") ==
        "encodings.dtype");
  CHECK(p.refused(R"({"r": 1})") == "encodings.malformed");
  CHECK(p.refused("{}") == "encodings.malformed");
  CHECK(p.refused("[]") == "encodings.malformed");
  CHECK(p.refused(aimet(R"("r": [{"bitwidth": 8, "scale": 1, "offset": 0},
                                 {"bitwidth": 8, "scale": 1, "offset": 0}])",
                        "")) == "encodings.channels");
  CHECK(p.refused(aimet("", R"("w": [{"bitwidth": 8, "scale": 1, "offset": -128},
                                     {"bitwidth": 8, "scale": 1, "offset": -128}])")) ==
        "encodings.channels");
  CHECK(p.refused(aimet("", R"("w": [{"bitwidth": 8, "scale": 1, "offset": -3}])")) ==
        "encodings.zero");
}

namespace {

void override_tensors(Planned& p, const std::vector<std::string>& texts) {
  std::vector<TensorOverride> overrides;
  for (const std::string& text : texts) overrides.push_back(parse_override(text));
  apply_encodings(p.graph, overridden_encodings(p.graph, p.plan, overrides), "--tensor", {},
                  p.plan);
}

std::string refused_override(const std::string& text) {
  Planned p;
  try {
    override_tensors(p, {text});
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kUsage);
    CHECK(error.text().where == "--tensor");
    return error.text().message;
  }
  return "taken";
}

}  // namespace

TEST_CASE("single tensors by the pattern of their names") {
  Planned p;
  const QuantParams before = p.of("r");
  const float weight = p.plan.weights[0].params.scales[1];
  override_tensors(p, {"r=uint16", "x=-2..4", "y=int8,symmetric,-1..0.5", "w=int16"});
  // The same range in finer steps.
  CHECK(p.of("r").dtype == DType::kUInt16);
  CHECK(p.of("r").scales[0] * 65535 == doctest::Approx(before.scales[0] * 255).epsilon(1e-4));
  CHECK(p.of("m") == p.of("r"));
  CHECK(p.of("x").scales[0] == doctest::Approx(6.0 / 255));
  CHECK(p.of("x").zero_points == std::vector<int32_t>{85});
  CHECK(p.of("y").dtype == DType::kInt8);
  CHECK(p.of("y").scales[0] == doctest::Approx(1.0 / 127));
  CHECK(p.of("y").zero_points == std::vector<int32_t>{0});
  CHECK(p.plan.weights[0].params.dtype == DType::kInt16);
  CHECK(p.plan.weights[0].params.scales[1] * 32767 == doctest::Approx(weight * 127));
  CHECK(p.plan.biases[0].params.scales[1] ==
        doctest::Approx(p.of("x").scales[0] * p.plan.weights[0].params.scales[1]));

  // Later words win; zero is in the middle of an unsigned type's integers.
  Planned q;
  override_tensors(q, {"*=uint16", "?=symmetric", "r=uint8,0..2", "v=-0.25..0.1"});
  CHECK(q.of("x").dtype == DType::kUInt16);
  CHECK(q.of("x").zero_points == std::vector<int32_t>{32768});
  CHECK(q.of("r").dtype == DType::kUInt8);
  CHECK(q.of("r").zero_points == std::vector<int32_t>{128});
  CHECK(q.of("r").scales[0] == doctest::Approx(2.0 / 127));
  CHECK(q.plan.weights[0].params.dtype == DType::kInt8);
  for (const float scale : q.plan.weights[1].params.scales)
    CHECK(scale == doctest::Approx(0.25 / 127));
}

TEST_CASE("overrides that cannot be meant are refused") {
  const std::pair<const char*, const char*> refused[] = {
      {"rr=uint8", "'rr'"},
      {"w=uint8", "int8 or int16"},
      {"r=uint8,int8", "one type"},
      {"r=0..1,0..2", "one range"},
      {"r=0..1e39", "float32"},
      {"m=uint8", "'m'"},  // what is moved has the range of where it comes from
      {"r=uint4", "'uint4'"},
      {"r=", "''"},
      {"r=uint8,", "''"},
      {"r", "GLOB=WORDS"},
      {"=uint8", "GLOB=WORDS"},
      {"r=3..3", "empty"},
      {"r=4..3", "empty"}};
  for (const auto& [text, said] : refused) {
    CAPTURE(text);
    CHECK(refused_override(text).find(said) != std::string::npos);
  }
  for (const char* range : {"r=..1", "r=0..", "r=0..nan", "r=0..inf", "r=0..1..2", "r=a..b"})
    CHECK(refused_override(range).find("two numbers") != std::string::npos);
}

}  // namespace lathe
