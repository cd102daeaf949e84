#include "quantize/plan/saturation.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "pass_check.h"
#include "quantize/diagnose/device_arithmetic.h"
#include "quantize/plan/plan_saturation.h"
#include "quantize_case.h"
#include "run/compare.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::network;
using test::quantize_case;
using test::QuantizeCase;
using test::usual_rules;

namespace {

Tensor int8_weights(const Shape& shape, uint64_t seed, int largest) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<int> uniform(-largest, largest);
  std::vector<int8_t> values(static_cast<size_t>(element_count(shape)));
  for (int8_t& value : values) value = static_cast<int8_t>(uniform(random));
  return Tensor::of<int8_t>(shape, values);
}

at::Tensor bytes(at::IntArrayRef shape, int64_t seed) {
  at::manual_seed(static_cast<uint64_t>(seed));
  return at::randint(0, 256, shape, at::TensorOptions().dtype(at::kFloat));
}

// The instruction as its manual writes it.
int32_t pair_sum(int32_t a, int32_t wa, int32_t b, int32_t wb) {
  return std::clamp(a * wa + b * wb, -32768, 32767);
}

struct Reference {
  std::vector<int64_t> sums;     // saturated
  std::vector<int64_t> changes;  // against exact sums
  int64_t pairs = 0;
  int64_t saturating = 0;
};

void add_row(Reference& reference, const std::vector<int32_t>& x, const std::vector<int32_t>& w) {
  int64_t sum = 0;
  int64_t exact = 0;
  for (size_t i = 0; i < x.size(); ++i) exact += x[i] * w[i];
  for (size_t i = 0; i + 1 < x.size(); i += 2) {
    const int32_t kept = pair_sum(x[i], w[i], x[i + 1], w[i + 1]);
    sum += kept;
    ++reference.pairs;
    reference.saturating += kept != x[i] * w[i] + x[i + 1] * w[i + 1] ? 1 : 0;
  }
  if (x.size() % 2 == 1) sum += x.back() * w.back();
  reference.sums.push_back(sum);
  reference.changes.push_back(sum - exact);
}

// A 2-D convolution, tap by tap, channels fastest.
Reference reference_conv(const at::Tensor& x, const Tensor& weight, int64_t group, int64_t stride,
                         int64_t dilation, int64_t begin, int64_t end, int32_t padding) {
  Reference reference;
  const Shape& shape = weight.shape();
  const auto w = weight.values<int8_t>();
  const int64_t height = x.size(2);
  const int64_t width = x.size(3);
  const auto outputs = [&](int64_t size, int64_t kernel) {
    return (size + begin + end - dilation * (kernel - 1) - 1) / stride + 1;
  };
  const auto image = x.accessor<float, 4>();
  for (int64_t n = 0; n < x.size(0); ++n)
    for (int64_t o = 0; o < shape[0]; ++o)
      for (int64_t i = 0; i < outputs(height, shape[2]); ++i)
        for (int64_t j = 0; j < outputs(width, shape[3]); ++j) {
          std::vector<int32_t> a;
          std::vector<int32_t> b;
          for (int64_t p = 0; p < shape[2]; ++p)
            for (int64_t q = 0; q < shape[3]; ++q)
              for (int64_t c = 0; c < shape[1]; ++c) {
                const int64_t y = i * stride + p * dilation - begin;
                const int64_t z = j * stride + q * dilation - begin;
                const int64_t channel = o / (shape[0] / group) * shape[1] + c;
                const bool inside = y >= 0 && y < height && z >= 0 && z < width;
                a.push_back(inside ? static_cast<int32_t>(image[n][channel][y][z]) : padding);
                b.push_back(
                    w[static_cast<size_t>(((o * shape[1] + c) * shape[2] + p) * shape[3] + q)]);
              }
          add_row(reference, a, b);
        }
  return reference;
}

Node conv_node(int64_t group, int64_t stride, int64_t dilation, int64_t begin, int64_t end) {
  Node node;
  node.kind = OpKind::kConv;
  node.attributes.set("group", group);
  node.attributes.set("strides", std::vector<int64_t>{stride, stride});
  node.attributes.set("dilations", std::vector<int64_t>{dilation, dilation});
  node.attributes.set("pads", std::vector<int64_t>{begin, begin, end, end});
  return node;
}

void check_equal(const SaturationCount& count, const at::Tensor& correction,
                 const Reference& reference) {
  CHECK(count.pairs == reference.pairs);
  CHECK(count.saturating == reference.saturating);
  CHECK(count.near >= count.saturating);
  double lost = 0;
  for (const int64_t change : reference.changes)
    lost += static_cast<double>(change) * static_cast<double>(change) * 0.25;
  CHECK(std::accumulate(count.lost.begin(), count.lost.end(), 0.0) == doctest::Approx(lost));
  if (reference.saturating == 0) {
    CHECK_FALSE(correction.defined());
    return;
  }
  const at::Tensor flat = correction.contiguous().view({-1});
  REQUIRE(flat.numel() == static_cast<int64_t>(reference.changes.size()));
  for (int64_t i = 0; i < flat.numel(); ++i)
    REQUIRE(flat[i].item<float>() == static_cast<float>(reference.changes[static_cast<size_t>(i)]));
}

}  // namespace

TEST_CASE("pair sums of convolutions equal the instruction, pair by pair") {
  struct Case {
    Shape weight;
    int64_t group, stride, dilation, begin, end;
    int largest;
  };
  for (const Case& c :
       {Case{{4, 3, 3, 3}, 1, 1, 1, 1, 1, 127}, Case{{4, 4, 1, 1}, 1, 1, 1, 0, 0, 127},
        Case{{6, 2, 3, 2}, 3, 2, 1, 1, 0, 127}, Case{{2, 5, 2, 2}, 1, 1, 2, 2, 1, 90},
        Case{{4, 4, 3, 3}, 1, 1, 1, 1, 1, 64}, Case{{4, 1, 3, 3}, 2, 1, 1, 1, 1, 127}}) {
    CAPTURE(shape_text(c.weight));
    const Tensor weight = int8_weights(c.weight, 5, c.largest);
    const at::Tensor x = bytes({2, c.weight[1] * c.group, 7, 6}, 9);
    const Node node = conv_node(c.group, c.stride, c.dilation, c.begin, c.end);
    const auto layer = pair_layer(node, weight);
    REQUIRE(layer);
    at::Tensor correction;
    const SaturationCount count = count_pairs(*layer, node, x, 100, {0.5f}, &correction);
    const Reference reference =
        reference_conv(x, weight, c.group, c.stride, c.dilation, c.begin, c.end, 100);
    check_equal(count, correction, reference);
    CHECK((count.saturating > 0) == (c.largest > 64));
    const SaturationCount again = count_pairs(*layer, node, x, 100, {0.5f});
    CHECK(again.saturating == count.saturating);
  }
}

TEST_CASE("pair sums of products equal the instruction") {
  for (const bool transposed : {false, true})
    for (const int64_t inner : {9, 10, 1}) {
      const Tensor weight = int8_weights(transposed ? Shape{5, inner} : Shape{inner, 5}, 3, 127);
      Node node;
      node.kind = OpKind::kGemm;
      node.attributes.set("transB", int64_t{transposed});
      const at::Tensor x = bytes({40, inner}, 4);
      const auto layer = pair_layer(node, weight);
      REQUIRE(layer);
      Reference reference;
      const auto w = weight.values<int8_t>();
      for (int64_t m = 0; m < 40; ++m)
        for (int64_t n = 0; n < 5; ++n) {
          std::vector<int32_t> a;
          std::vector<int32_t> b;
          for (int64_t k = 0; k < inner; ++k) {
            a.push_back(x[m][k].item<int32_t>());
            b.push_back(w[static_cast<size_t>(transposed ? n * inner + k : k * 5 + n)]);
          }
          add_row(reference, a, b);
        }
      at::Tensor correction;
      const SaturationCount count = count_pairs(*layer, node, x, 0, {0.5f}, &correction);
      check_equal(count, correction, reference);
      // One product alone fits into 16 bits.
      CHECK((count.saturating > 0) == (inner > 1));
    }
}

TEST_CASE("the bound does not depend on the order of weights") {
  Node node;
  node.kind = OpKind::kMatMul;
  const auto bound = [&](std::vector<int8_t> column) {
    const auto rows = static_cast<int64_t>(column.size());
    return saturation_bound(*pair_layer(node, Tensor::of<int8_t>({rows, 1}, column)));
  };
  CHECK(bound({64, 1, 64, 0}).largest == 255 * 128);
  CHECK_FALSE(bound({64, 1, 64, 0}).possible());  // 32640
  CHECK(bound({65, 1, 0, 64}).possible());        // 32895
  CHECK(bound({65, -64, 0, -63}).largest == 255 * 127);
  CHECK_FALSE(bound({65, -64, 0, -63}).possible());  // signs differ or are too small
  CHECK(bound({-65, 3, 2, -64}).possible());
  CHECK_FALSE(bound({-128}).possible());
  CHECK_FALSE(bound({63, 63, -63, -63}).possible());  // 7 bits
}

TEST_CASE("exact kernels have no pairs") {
  Node depthwise = conv_node(4, 1, 1, 0, 0);
  CHECK_FALSE(pair_layer(depthwise, int8_weights({4, 1, 3, 3}, 1, 127)));
  Node transposed;
  transposed.kind = OpKind::kConvTranspose;
  CHECK_FALSE(pair_layer(transposed, int8_weights({4, 4, 3, 3}, 1, 127)));
  Node product;
  product.kind = OpKind::kMatMul;
  CHECK_FALSE(pair_layer(product, Tensor::of<uint8_t>({2, 2}, {255, 255, 255, 255})));
  const auto stack = pair_layer(product, int8_weights({2, 6, 3}, 1, 127));
  REQUIRE(stack);
  CHECK_FALSE(stack->countable);
  CHECK(saturation_bound(*stack).possible());
}

namespace {

// Channels whose weights all have one sign and one size: as 8-bit integers two of them always
// leave 16 bits when the inputs are large.
std::string saturating_network() {
  std::string weights = "{";
  for (int o = 0; o < 4; ++o)
    for (int c = 0; c < 8; ++c)
      weights += (weights.size() == 1 ? "" : ", ") +
                 std::to_string((o % 2 == 0 ? 1.0 : -1.0) * (1.0 - 0.002 * (o + c)));
  return R"(agraph (float[1,8,6,6] x) => (float[1,3,6,6] y)
<float[4,8,1,1] w = )" +
         weights + R"(}, float[4] b = {0.5, 9, -1, 9},
 float[3,4,3,3] v = )" +
         test::values_text(108, 7, -1, 1) + R"(, float[3] c = {0.1, 0.2, 0.3}>
{ h = Conv(x, w, b)  r = Relu(h)  y = Conv<pads = [1, 1, 1, 1]>(r, v, c) })";
}

IntegerRules maddubs_rules() {
  IntegerRules rules = usual_rules();
  rules.pair_sums_saturate = true;
  return rules;
}

struct Judged {
  double exact_db = 0;
  double device_db = 0;
  std::vector<PairSumRow> rows;
};

Judged judge(const Graph& before, const Graph& after) {
  const PairSumArithmetic device(after);
  SampleSource fresh = test::normal_data(before, 8);
  fresh.sample = [inner = fresh.sample](size_t i) { return inner(i + 1000); };
  CompareOptions options;
  options.layers = false;
  const auto db = [&] {
    return compare_graphs(Interpreter(before), Interpreter(after), fresh, options)
        .outputs.at(0)
        .sums.sqnr_db();
  };
  Judged judged;
  judged.exact_db = db();
  options.candidate_compute = [&](const Node& node, const std::vector<RuntimeValue>& inputs) {
    return device.compute(node, inputs);
  };
  judged.device_db = db();
  judged.rows = device.rows();
  return judged;
}

}  // namespace

TEST_CASE("a network with saturating weights collapses on the device, and 7 bits mend it") {
  const QuantizeCase vnni = quantize_case(saturating_network());
  const Judged broken = judge(vnni.before, vnni.after);
  CHECK(broken.exact_db > 30);
  CHECK(broken.device_db < broken.exact_db - 15);
  REQUIRE(broken.rows.size() == 2);
  CHECK(broken.rows[0].count.saturating > 1000);
  CHECK(broken.rows[0].bound.rows == 4);

  const QuantizeCase mended = quantize_case(saturating_network(), maddubs_rules());
  for (size_t c = 0; c < 4; ++c)
    CHECK(mended.plan.weights[0].params.scales[c] > 1.9f * vnni.plan.weights[0].params.scales[c]);
  const Judged good = judge(mended.before, mended.after);
  CHECK(good.rows[0].count.saturating == 0);
  CHECK(good.device_db == good.exact_db);
  CHECK(good.device_db > broken.device_db + 12);
}

TEST_CASE("what the simulation adds is what the instruction leaves out") {
  const QuantizeCase result = quantize_case(saturating_network());
  const PairSumArithmetic device(result.after);
  const Interpreter interpreter(result.after);
  const std::vector<Tensor> inputs = test::normal_data(result.before, 1).sample(0);
  at::Tensor seen;    // what the first Conv computed on the device
  at::Tensor wanted;  // the same with every pair clamped here
  RunOptions run;
  run.compute = [&](const Node& node, const std::vector<RuntimeValue>& values) {
    auto results = device.compute(node, values);
    if (node.kind != OpKind::kConv || seen.defined()) return results;
    seen = results->at(0).tensor;
    const QuantParams& x = result.plan.values.at(result.before.find_value("x"));
    const QuantParams& w = result.plan.weights[0].params;
    const at::Tensor q = at::round(*values[0].tensor / x.scales[0]) + x.zero_points[0];
    const at::Tensor k = at::round(*values[1].tensor / at::tensor(w.scales).view({4, 1, 1, 1}));
    wanted = at::zeros({1, 4, 6, 6});
    for (int64_t c = 0; c < 8; c += 2) {
      const at::Tensor sum =
          q.select(1, c).unsqueeze(1) * k.select(1, c).view({1, 4, 1, 1}) +
          q.select(1, c + 1).unsqueeze(1) * k.select(1, c + 1).view({1, 4, 1, 1});
      wanted += at::clamp(sum, -32768, 32767);
    }
    wanted -= x.zero_points[0] * at::sum(k, {1, 2, 3}).view({1, 4, 1, 1});
    wanted = wanted * (at::tensor(w.scales) * x.scales[0]).view({1, 4, 1, 1}) +
             values[2].tensor->view({1, 4, 1, 1});
    return results;
  };
  interpreter.run_tensors(inputs, run);
  REQUIRE(wanted.defined());
  CHECK(at::max(at::abs(seen - wanted)).item<float>() <
        1e-4f * at::max(at::abs(wanted)).item<float>());
  CHECK(device.rows()[0].count.saturating > 0);
}

TEST_CASE("channels keep 8 bits where the data do not ask for less") {
  const IntegerRules rules = maddubs_rules();
  // All could saturate by their weights; with small inputs beside one outlier none does.
  const auto decide = [&](float scale) {
    Graph graph = network(saturating_network());
    PrecisionPlan plan = select_nodes(graph, rules);
    SampleSource source = test::normal_data(graph, 8);
    source.sample = [inner = source.sample, scale](size_t i) {
      std::vector<Tensor> tensors = inner(i);
      std::vector<float> values(tensors[0].values<float>().begin(),
                                tensors[0].values<float>().end());
      for (float& value : values) value *= scale;
      if (i == 0) values[0] = 40;
      return std::vector{Tensor::of<float>(tensors[0].shape(), values)};
    };
    const Statistics statistics =
        calibrate(Interpreter(graph), calibration_targets(graph, plan), source, {});
    plan = plan_precision(graph, rules, std::move(plan), statistics, Observer::kMinMax);
    // Without counts: as far as the bound asks.
    CHECK(plan.weights[0].params.scales[0] == doctest::Approx(1.0 / 127 * 254 / 126).epsilon(0.01));
    std::vector<LayerSaturation> layers = bound_saturation(graph, rules, plan);
    REQUIRE(layers.size() == 2);
    std::vector<LayerSaturation> threaded = layers;
    count_pairs_of_layers(graph, rules, plan, source, {}, layers);
    SampleRunOptions two;
    two.threads = 2;
    count_pairs_of_layers(graph, rules, plan, source, two, threaded);
    CHECK(threaded[0].count.lost == layers[0].count.lost);
    CHECK(threaded[0].count.saturating == layers[0].count.saturating);
    CHECK(threaded[0].rounding == layers[0].rounding);
    decide_saturation(layers);
    apply_saturation(graph, rules, layers, plan);
    CHECK_FALSE(layers[0].reason.empty());
    for (size_t c = 0; c < 4; ++c) {
      const double full = (1.0 - 0.002 * static_cast<double>(c)) / 127;
      CHECK(plan.weights[0].params.scales[c] ==
            doctest::Approx(full * layers[0].widened[c]).epsilon(0.001));
    }
    CHECK(plan.biases[0].params.scales[0] ==
          plan.weights[0].params.scales[0] * plan.values.at(graph.find_value("x")).scales[0]);
    return layers[0];
  };
  const LayerSaturation quiet = decide(0.1f);
  CHECK(quiet.widened_scales == 0);
  CHECK(quiet.count.saturating < 20);  // the outlier with its neighbour
  const LayerSaturation loud = decide(12.0f);
  CHECK(loud.widened_scales == 4);
  CHECK(loud.lost() > loud.rounding_error());
  CHECK(loud.count.saturating > 100);
}

TEST_CASE("only the channels that need it are widened, and only as far") {
  Node node;
  node.kind = OpKind::kMatMul;
  const auto layer =
      pair_layer(node, Tensor::of<int8_t>({3, 3}, {127, 127, 127, 1, 127, 63, 0, -127, -90}));
  const std::vector<float> factors = widening_factors(*layer, 3);
  CHECK(factors[0] == 1);  // 127 + 1 fits
  CHECK(factors[1] == doctest::Approx(254.0 / 126));
  CHECK(factors[2] == doctest::Approx(190.0 / 126));
  CHECK(widening_factors(*layer, 1) == std::vector<float>{factors[1]});

  LayerSaturation counted;
  counted.bound = saturation_bound(*layer);
  counted.factors = factors;
  counted.counted = true;
  counted.count = {1000, 10, 20, {0, 5, 0.1}};
  counted.rounding = {0, 1, 1};
  std::vector<LayerSaturation> layers = {counted};
  decide_saturation(layers);
  CHECK(layers[0].widened == std::vector<float>{1, factors[1], 1});
  CHECK(layers[0].widened_scales == 1);
}

TEST_CASE("without data the bound decides, and other rules plan no layer") {
  const Graph graph = network(saturating_network());
  std::vector<LayerSaturation> layers(1);
  layers[0].bound = {64770, 4};
  layers[0].factors = {2, 1};
  decide_saturation(layers);
  CHECK(layers[0].widened == std::vector<float>{2, 1});
  CHECK(layers[0].widened_scales == 1);
  CHECK(layers[0].reason.find("64770") != std::string::npos);
  const QuantizeCase vnni = quantize_case(saturating_network());
  CHECK(bound_saturation(vnni.before, usual_rules(), vnni.plan).empty());
  IntegerRules unsigned_weights = maddubs_rules();
  unsigned_weights.weight_dtype = DType::kUInt8;
  CHECK(bound_saturation(vnni.before, unsigned_weights, vnni.plan).empty());
}

}  // namespace lathe
