#include "quantize/equalize/absorb_high_biases.h"

#include "pass_check.h"
#include "quantize_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::network;
using test::normal_data;
using test::values_text;

namespace {

// Data within these bounds: |w x| stays below the bias of channels 0 and 2, not of channel 1.
SampleSource bounded_data(const Graph& graph) {
  SampleSource source = normal_data(graph, 4);
  source.sample = [inner = source.sample](size_t i) {
    std::vector<Tensor> tensors = inner(i);
    for (Tensor& tensor : tensors) {
      std::vector<float> values;
      for (const float value : tensor.values<float>()) values.push_back(std::tanh(value));
      tensor = Tensor::of<float>(tensor.shape(), values);
    }
    return tensors;
  };
  return source;
}

Statistics statistics_of(const Graph& graph) {
  CalibrationTargets targets;
  targets.channels = absorption_targets(graph);
  return calibrate(Interpreter(graph), targets, bounded_data(graph), {});
}

std::string body(const std::string& between, const std::string& last, const std::string& weight) {
  return "agraph (float[1,2,4,4] x) => (float y)\n<float[3,2,1,1] w = " +
         values_text(6, 1, -0.5f, 0.5f) + ", float[3] b = {3, 0.1, 5}, float hi = {6}, " + weight +
         "> { c = Conv(x, w, b)  r = " + between + "  " + last + " }";
}

const std::string kPlain = "float[2,3,1,1] v = " + values_text(6, 2, -1, 1);
const std::string kWide = "float[2,3,3,3] v = " + values_text(54, 2, -1, 1);

// Runs the pass, CHECKs the number of channels and the function, and a second run with statistics
// of what it made. Returns it.
Graph check_absorption(const std::string& text, int channels) {
  const Graph before = network(text);
  Graph after = before;
  CHECK(absorb_high_biases(after, statistics_of(before)) == channels);
  const SampleSource data = bounded_data(before);
  for (size_t i = 0; i < data.count; ++i) {
    const auto wanted = Interpreter(before).run_tensors(data.sample(i));
    const auto got = Interpreter(after).run_tensors(data.sample(i));
    for (size_t o = 0; o < wanted.size(); ++o)
      for (int64_t k = 0; k < wanted[o].numel(); ++k)
        CHECK(got[o].values<float>()[static_cast<size_t>(k)] ==
              doctest::Approx(wanted[o].values<float>()[static_cast<size_t>(k)]).epsilon(1e-4));
  }
  CHECK(absorb_high_biases(after, statistics_of(after)) == 0);
  return after;
}

}  // namespace

TEST_CASE("what a Relu always lets through moves into the next layer's bias") {
  const Graph after = check_absorption(body("Relu(c)", "y = Conv(r, v)", kPlain), 2);
  const ChannelStatistics left = statistics_of(after).channels.at("c");
  CHECK(left.min[0] == doctest::Approx(0).epsilon(1e-5));
  CHECK(left.min[1] < 0);
  CHECK(left.min[2] == doctest::Approx(0).epsilon(1e-5));
  // A bias that is there, several taps without padding, two readers.
  check_absorption(body("Relu(c)", "y = Conv(r, v, a)", kPlain + ", float[2] a = {1, 2}"), 2);
  check_absorption(body("Relu(c)", "y = Conv<kernel_shape = [3, 3]>(r, v)", kWide), 2);
  check_absorption(body("Relu(c)", "s = Conv(r, v)  t = Conv(r, u)  y = Add(s, t)",
                        kPlain + ", float[2,3,1,1] u = " + values_text(6, 7, -1, 1)),
                   2);
}

TEST_CASE("a Gemm takes it, too") {
  check_absorption(
      "agraph (float[3,4] x) => (float y)\n<float[4,3] w = " + values_text(12, 1, -0.5f, 0.5f) +
          ", float[3] b = {3, 0.1, 5}, float[2,3] v = " + values_text(6, 2, -1, 1) +
          "> { c = Gemm(x, w, b)  r = Relu(c)  y = Gemm<transB = 1>(r, v) }",
      2);
}

TEST_CASE("padding, other readers and other activations keep their biases") {
  check_absorption(
      body("Relu(c)", "y = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(r, v)", kWide), 0);
  check_absorption(
      body("Relu(c)", "y = Conv<kernel_shape = [3, 3], auto_pad = \"SAME_UPPER\">(r, v)", kWide),
      0);
  check_absorption(body("Clip(c, , hi)", "y = Conv(r, v)", kPlain), 0);
  check_absorption(
      body("Relu(c)", "s = Conv(r, v)  t = Neg(r)  y = Concat<axis = 1>(s, t)", kPlain), 0);
  check_absorption(
      body("Relu(c)", "s = Conv(r, v)  t = Neg(c)  y = Concat<axis = 1>(s, t)", kPlain), 0);
  check_absorption(body("Relu(c)", "s = Flatten(r)  y = Gemm(s, v)",
                        "float[48,2] v = " + values_text(96, 2, -1, 1)),
                   0);
}

}  // namespace lathe
