#include "calibration/calibrate.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "ir/error.h"
#include "onnx/text_form.h"
#include "ops/op_row.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

Graph network() {
  Graph graph = parse_text(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1,2,4,4] x) => (float[1,3,4,4] y)
<float[3,2,1,1] w = {1.0, -2.0, 0.5, 3.0, -1.0, 0.25}>
{ c = Conv(x, w)  y = Relu(c) })")
                    .graph;
  infer_shapes(graph);
  return graph;
}

std::vector<float> picture(size_t sample) {
  std::mt19937_64 random(sample + 1);
  std::normal_distribution<float> normal(0.25f, static_cast<float>(sample % 7) + 0.1f);
  std::vector<float> values(32);
  for (float& value : values) value = normal(random);
  return values;
}

SampleSource source(size_t count) {
  SampleSource samples;
  samples.count = count;
  samples.sample = [](size_t i) {
    return std::vector<Tensor>{Tensor::of<float>({1, 2, 4, 4}, picture(i))};
  };
  return samples;
}

CalibrationTargets targets_of(const Graph& graph) {
  CalibrationTargets targets;
  for (const char* name : {"x", "c", "y"}) targets.ranges.insert(graph.find_value(name));
  targets.means[graph.find_value("x")] = 1;
  targets.channels[graph.find_value("y")] = 1;
  return targets;
}

}  // namespace

TEST_CASE("calibration collects what a plain loop over the samples finds") {
  const Graph graph = network();
  const Interpreter interpreter(graph);
  const Statistics statistics = calibrate(interpreter, targets_of(graph), source(9), {});
  CHECK(statistics.samples == 9);
  REQUIRE(statistics.values.size() == 3);
  Histogram x;
  Histogram y;
  double means[2] = {0, 0};
  for (size_t i = 0; i < 9; ++i) {
    const std::vector<float> values = picture(i);
    x.add(values);
    for (size_t k = 0; k < 32; ++k) means[k / 16] += values[k] / 16.0 / 9.0;
    y.add(interpreter.run_tensors(source(9).sample(i))[0].values<float>());
  }
  CHECK((statistics.values.at("x").bins() == x.bins()));
  CHECK((statistics.values.at("y").bins() == y.bins()));
  CHECK(statistics.values.at("c").min() < 0);
  CHECK(statistics.values.at("y").min() == 0);
  CHECK(statistics.values.at("c").max() == statistics.values.at("y").max());
  REQUIRE(statistics.channel_means.size() == 1);
  for (size_t c = 0; c < 2; ++c)
    CHECK(statistics.channel_means.at("x")[c] == doctest::Approx(means[c]).epsilon(1e-6));
  REQUIRE(statistics.channels.size() == 1);
  const ChannelStatistics& channels = statistics.channels.at("y");
  REQUIRE(channels.channels() == 3);
  CHECK(*std::max_element(channels.max.begin(), channels.max.end()) == y.max());
  CHECK(channels.min == std::vector<double>{0, 0, 0});
}

TEST_CASE("calibration is the same to the byte for any number of threads") {
  const Graph graph = network();
  const Interpreter interpreter(graph);
  std::vector<std::string> texts;
  for (const int threads : {1, 4, 3}) {
    SampleRunOptions options;
    options.threads = threads;
    texts.push_back(
        save_statistics(calibrate(interpreter, targets_of(graph), source(50), options)));
  }
  CHECK(texts[0] == texts[1]);
  CHECK(texts[0] == texts[2]);
}

TEST_CASE("NaN on the calibration data is told with value and producer") {
  const Graph graph = network();
  const Interpreter interpreter(graph);
  SampleSource samples = source(3);
  const auto failure = [&]() -> ErrorText {
    try {
      calibrate(interpreter, targets_of(graph), samples, {});
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::kBadInput);
      CHECK(error.id() == "calibration.non_finite");
      return error.text();
    }
    return {};
  };
  samples.sample = [inner = samples.sample](size_t i) {
    std::vector<Tensor> tensors = inner(i);
    if (i != 1) return tensors;
    std::vector<float> values(32, 0);
    values[16] = INFINITY;
    values[0] = NAN;
    return std::vector<Tensor>{Tensor::of<float>({1, 2, 4, 4}, values)};
  };
  const ErrorText text = failure();
  CHECK(text.message.find("2 elements of value 'x'") != std::string::npos);
  CHECK(text.where.find("graph input") != std::string::npos);

  samples.sample = [](size_t) {
    return std::vector<Tensor>{Tensor::of<float>({1, 2, 4, 4}, std::vector<float>(32, 3e38f))};
  };
  const ErrorText inner = failure();
  CHECK(inner.message.find("value 'c'") != std::string::npos);
  CHECK(inner.where.find("Conv") != std::string::npos);
}

}  // namespace lathe
