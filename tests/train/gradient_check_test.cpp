// Autograd through every evaluate function that claims to be differentiable, against central
// differences in double.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <set>

#include "ir/seeded_random.h"
#include "train/gradient_path.h"

#include "ops/evaluate_fixture.h"

namespace lathe::test {
namespace {

using A = std::initializer_list<std::pair<std::string, Attribute>>;

/// Uniform within low..high.
Given reals(std::vector<int64_t> sizes, uint64_t stream, double low, double high) {
  SeededRandom random(6, stream);
  const at::Tensor out = at::empty(sizes, at::kDouble);
  for (int64_t i = 0; i < out.numel(); ++i)
    out.data_ptr<double>()[i] =
        low + (high - low) * static_cast<double>(random.next() >> 11) * 0x1p-53;
  return {DType::kFloat64, out};
}

/// Within ±0.2 … ±1.5, no two closer than 1e-3 in expectation: away from the kink at 0.
Given signed_reals(std::vector<int64_t> sizes, uint64_t stream) {
  Given given = reals(std::move(sizes), stream, -1.3, 1.3);
  given.tensor = given.tensor + at::sign(given.tensor) * 0.2;
  return given;
}

Given real(double value) { return {DType::kFloat64, at::scalar_tensor(value, at::kDouble)}; }
Given absent() { return {}; }
Given row(std::vector<double> values) { return {DType::kFloat64, at::tensor(values, at::kDouble)}; }
Given truths(std::vector<int64_t> sizes, std::vector<int64_t> values) {
  return {DType::kBool, at::tensor(values, at::kLong).reshape(sizes).to(at::kBool)};
}

struct GradientCase {
  OpKind kind;
  std::vector<Given> inputs;
  Attributes attributes;
  size_t outputs = 1;
  std::set<size_t> fixed;  // float inputs that have no derivative (bounds, exponents, scales)
};

double weighted_sum(const GradientCase& one, const std::vector<Given>& inputs, at::Tensor* sum) {
  at::Tensor total = at::zeros({}, at::kDouble);
  uint64_t stream = 100;
  std::vector<at::Tensor> outputs = run_op(one.kind, inputs, one.attributes, one.outputs);
  // The averages that BatchNormalization moves are no function to differentiate.
  outputs.resize(std::min(outputs.size(), one.outputs));
  for (const at::Tensor& output : outputs) {
    if (!output.defined() || !output.is_floating_point()) continue;
    CHECK((output.scalar_type() == at::kDouble));
    total = total + (output * reals(output.sizes().vec(), ++stream, 0.3, 1.7).tensor).sum();
  }
  if (sum != nullptr) *sum = total;
  return total.item<double>();
}

void check_gradients(const GradientCase& one) {
  std::vector<Given> inputs = one.inputs;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].dtype == DType::kFloat64 && !one.fixed.contains(i))
      inputs[i].tensor = inputs[i].tensor.clone().set_requires_grad(true);
  at::Tensor sum;
  weighted_sum(one, inputs, &sum);
  REQUIRE(sum.requires_grad());
  sum.backward();
  const at::NoGradGuard no_gradient;
  constexpr double kStep = 1e-5;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].tensor.defined() || !inputs[i].tensor.requires_grad()) continue;
    CAPTURE(i);
    REQUIRE(inputs[i].tensor.grad().defined());
    const at::Tensor gradient = inputs[i].tensor.grad().contiguous();
    std::vector<Given> moved = inputs;
    for (int64_t at = 0; at < gradient.numel(); ++at) {
      const auto value = [&](double step) {
        moved[i].tensor = inputs[i].tensor.detach().clone(at::MemoryFormat::Contiguous);
        moved[i].tensor.data_ptr<double>()[at] += step;
        return weighted_sum(one, moved, nullptr);
      };
      const double expected = (value(kStep) - value(-kStep)) / (2 * kStep);
      CAPTURE(at);
      CHECK(gradient.data_ptr<double>()[at] == doctest::Approx(expected).epsilon(1e-6).scale(1));
    }
  }
}

std::vector<GradientCase> elementwise_cases() {
  const Given x = signed_reals({2, 3}, 1), positive = reals({2, 3}, 2, 0.3, 2);
  const Given share = reals({2, 3}, 3, -0.8, 0.8), above_one = reals({2, 3}, 4, 1.2, 2.5);
  const Given y = signed_reals({1, 3}, 5), image = signed_reals({2, 3, 2, 2}, 6);
  using K = OpKind;
  std::vector<GradientCase> cases;
  for (const K kind :
       {K::kAbs,      K::kAsinh,     K::kAtan,    K::kCelu, K::kCos,         K::kCosh,
        K::kElu,      K::kErf,       K::kExp,     K::kGelu, K::kHardSigmoid, K::kHardSwish,
        K::kIdentity, K::kLeakyRelu, K::kMish,    K::kNeg,  K::kQuickGelu,   K::kReciprocal,
        K::kRelu,     K::kSelu,      K::kSigmoid, K::kSin,  K::kSinh,        K::kSoftplus,
        K::kSoftsign, K::kSwish,     K::kTan,     K::kTanh, K::kFastGelu})
    cases.push_back({kind, {x}, {}});
  for (const K kind : {K::kAcos, K::kAsin, K::kAtanh}) cases.push_back({kind, {share}, {}});
  for (const K kind : {K::kLog, K::kSqrt}) cases.push_back({kind, {positive}, {}});
  for (const K kind : {K::kAdd, K::kSub, K::kMul, K::kDiv, K::kMax, K::kMin})
    cases.push_back({kind, {x, y}, {}});
  for (const K kind : {K::kSum, K::kMean, K::kMax, K::kMin})
    cases.push_back({kind, {x, y, positive}, {}});
  cases.push_back({K::kAcosh, {above_one}, {}});
  cases.push_back({K::kAffine, {x}, attributes_of({{"alpha", 1.5F}, {"beta", 0.5F}})});
  cases.push_back({K::kBiasGelu, {x, signed_reals({3}, 7)}, {}});
  cases.push_back({K::kFastGelu, {x, signed_reals({3}, 7)}, {}});
  cases.push_back({K::kCast, {x}, attributes_of({{"to", int64_t{11}}})});
  cases.push_back({K::kCastLike, {x, y}, {}, 1, {1}});
  cases.push_back({K::kClip, {x, real(-0.9), real(0.7)}, {}, 1, {1, 2}});
  cases.push_back({K::kClip, {x, absent(), real(0.7)}, {}, 1, {2}});
  cases.push_back({K::kDropout, {x}, {}});
  cases.push_back({K::kGelu, {x}, attributes_of({{"approximate", std::string("tanh")}})});
  cases.push_back({K::kImageScaler,
                   {image},
                   attributes_of({{"scale", 0.5F}, {"bias", std::vector<float>{1, 2, 3}}})});
  cases.push_back({K::kPRelu, {image, signed_reals({3, 1, 1}, 8)}, {}});
  cases.push_back({K::kPRelu, {x, y}, {}});
  cases.push_back({K::kPow, {positive, real(1.7)}, {}, 1, {1}});
  cases.push_back({K::kPow, {positive, x}, {}});
  cases.push_back({K::kShrink, {x}, attributes_of({{"lambd", 0.1F}, {"bias", 0.3F}})});
  cases.push_back({K::kThresholdedRelu, {x}, attributes_of({{"alpha", 0.1F}})});
  cases.push_back({K::kWhere, {truths({2, 3}, {1, 0, 0, 1, 1, 0}), x, y}, {}});
  return cases;
}

std::vector<GradientCase> reduction_cases() {
  const Given x = signed_reals({2, 3, 2}, 11), positive = reals({2, 3, 2}, 12, 0.3, 2);
  const Given axis = int64s({1}), image = signed_reals({2, 4, 3, 3}, 13);
  const Given scale = reals({4}, 14, 0.5, 1.5), bias = signed_reals({4}, 15);
  const Given variance = reals({4}, 16, 0.5, 2), mean = signed_reals({4}, 17);
  using K = OpKind;
  std::vector<GradientCase> cases;
  for (const K kind :
       {K::kReduceL1, K::kReduceL2, K::kReduceLogSumExp, K::kReduceMax, K::kReduceMean,
        K::kReduceMin, K::kReduceProd, K::kReduceSum, K::kReduceSumSquare})
    cases.push_back({kind, {x, axis}, attributes_of({{"keepdims", int64_t{0}}})});
  cases.push_back({K::kReduceLogSum, {positive, axis}, {}});
  for (const K kind : {K::kSoftmax, K::kLogSoftmax, K::kLpNormalization})
    cases.push_back({kind, {x}, attributes_of({{"axis", int64_t{1}}})});
  cases.push_back({K::kLpNormalization, {x}, attributes_of({{"p", int64_t{1}}})});
  cases.push_back({K::kCumSum,
                   {x, int64s({1})},
                   attributes_of({{"exclusive", int64_t{1}}, {"reverse", int64_t{1}}})});
  cases.push_back({K::kMeanVarianceNormalization, {image}, {}});
  cases.push_back({K::kBatchNormalization, {image, scale, bias, mean, variance}, {}, 1, {3, 4}});
  cases.push_back({K::kBatchNormalization,
                   {image, scale, bias, mean, variance},
                   attributes_of({{"training_mode", int64_t{1}}}),
                   1,
                   {3, 4}});
  cases.push_back({K::kBatchNormalization,
                   {signed_reals({5, 4}, 19), scale, bias, mean, variance},
                   attributes_of({{"training_mode", int64_t{1}}}),
                   1,
                   {3, 4}});
  cases.push_back({K::kInstanceNormalization, {image, scale, bias}, {}});
  cases.push_back(
      {K::kGroupNormalization, {image, scale, bias}, attributes_of({{"num_groups", int64_t{2}}})});
  cases.push_back({K::kLRN, {image}, attributes_of({{"size", int64_t{3}}, {"alpha", 0.5F}})});
  const Given tokens = signed_reals({2, 3, 4}, 18);
  cases.push_back({K::kLayerNormalization, {tokens, scale, bias}, {}});
  cases.push_back({K::kLayerNormalization, {tokens, reals({1, 4}, 20, 0.5, 1.5)}, {}});
  cases.push_back({K::kRMSNormalization, {tokens, scale}, {}});
  cases.push_back({K::kSkipLayerNormalization,
                   {tokens, signed_reals({2, 3, 4}, 21), scale, bias, mean},
                   {},
                   1});
  return cases;
}

std::vector<GradientCase> product_cases() {
  const auto ints_of = [](std::vector<int64_t> values) { return Attribute(std::move(values)); };
  const Given x = signed_reals({2, 3}, 31), image = signed_reals({2, 4, 5, 5}, 32);
  using K = OpKind;
  std::vector<GradientCase> cases;
  cases.push_back({K::kMatMul, {signed_reals({2, 2, 3}, 33), signed_reals({3, 4}, 34)}, {}});
  cases.push_back({K::kMatMul, {x, signed_reals({3}, 34)}, {}});
  cases.push_back({K::kGemm,
                   {x, signed_reals({4, 3}, 35), signed_reals({4}, 36)},
                   attributes_of({{"transB", int64_t{1}}, {"alpha", 0.5F}, {"beta", 2.0F}})});
  cases.push_back({K::kGemm, {x, signed_reals({3, 4}, 35)}, {}});
  cases.push_back({K::kFusedGemm,
                   {x, signed_reals({3, 4}, 35), signed_reals({4}, 36)},
                   attributes_of({{"activation", std::string("LeakyRelu")}})});
  cases.push_back({K::kFusedMatMul,
                   {signed_reals({3, 2}, 37), signed_reals({3, 4}, 35)},
                   attributes_of({{"transA", int64_t{1}}, {"alpha", 0.5F}})});
  cases.push_back({K::kEinsum,
                   {x, signed_reals({3, 4}, 35)},
                   attributes_of({{"equation", std::string("ij,jk->ik")}})});
  cases.push_back({K::kDet, {signed_reals({2, 3, 3}, 38)}, {}});
  const Given weight = signed_reals({4, 2, 3, 3}, 39), bias = signed_reals({4}, 40);
  cases.push_back({K::kConv,
                   {image, weight, bias},
                   attributes_of({{"group", int64_t{2}},
                                  {"strides", ints_of({2, 1})},
                                  {"pads", ints_of({1, 1, 1, 1})}})});
  cases.push_back({K::kConv,
                   {image, weight},  // padded on one side only
                   attributes_of({{"group", int64_t{2}},
                                  {"pads", ints_of({0, 1, 1, 0})},
                                  {"dilations", ints_of({1, 2})}})});
  cases.push_back(
      {K::kConv, {image, signed_reals({4, 1, 3, 3}, 41)}, attributes_of({{"group", int64_t{4}}})});
  cases.push_back({K::kConv, {signed_reals({2, 3, 6}, 42), signed_reals({2, 3, 3}, 43)}, {}});
  cases.push_back({K::kFusedConv,
                   {image, weight, bias},
                   attributes_of({{"group", int64_t{2}}, {"activation", std::string("Relu")}})});
  const Given transposed = signed_reals({4, 2, 3, 3}, 44);
  cases.push_back({K::kConvTranspose,
                   {image, transposed, signed_reals({2}, 45)},
                   attributes_of({{"strides", ints_of({2, 2})},
                                  {"pads", ints_of({1, 1, 1, 1})},
                                  {"output_padding", ints_of({1, 1})}})});
  cases.push_back({K::kConvTranspose,
                   {image, transposed, signed_reals({2}, 45)},
                   attributes_of({{"pads", ints_of({0, 1, 1, 0})}})});
  for (const bool bidirectional : {false, true}) {
    const int64_t d = bidirectional ? 2 : 1;
    const auto direction = [&](Attributes attributes) {
      attributes.set("direction", std::string(bidirectional ? "bidirectional" : "forward"));
      attributes.set("hidden_size", int64_t{2});
      return attributes;
    };
    const Given series = signed_reals({3, 2, 3}, 46), state = signed_reals({d, 2, 2}, 47);
    const auto recurrent = [&](int64_t gates) {
      return std::vector<Given>{series, signed_reals({d, gates * 2, 3}, 48),
                                signed_reals({d, gates * 2, 2}, 49),
                                signed_reals({d, 2 * gates * 2}, 50)};
    };
    std::vector<Given> lstm = recurrent(4);
    lstm.insert(lstm.end(),
                {absent(), state, signed_reals({d, 2, 2}, 51), signed_reals({d, 6}, 52)});
    cases.push_back({K::kLSTM, lstm, direction({}), 3});
    cases.push_back(
        {K::kLSTM, recurrent(4), direction(attributes_of({{"input_forget", int64_t{1}}})), 3});
    std::vector<Given> ragged = recurrent(4);
    ragged.push_back(ints(DType::kInt32, {2}, {3, 2}));
    cases.push_back({K::kLSTM, ragged, direction({}), 3});
    std::vector<Given> gru = recurrent(3);
    gru.insert(gru.end(), {absent(), state});
    cases.push_back({K::kGRU, gru, direction({}), 2});
    cases.push_back(
        {K::kGRU, gru, direction(attributes_of({{"linear_before_reset", int64_t{1}}})), 2});
    cases.push_back({K::kRNN, recurrent(1), direction({}), 2});
  }
  const Given q = signed_reals({1, 2, 3, 2}, 53), k = signed_reals({1, 2, 4, 2}, 54);
  cases.push_back({K::kAttention, {q, k, signed_reals({1, 2, 4, 2}, 55)}, {}});
  cases.push_back({K::kAttention, {q, q, q}, attributes_of({{"is_causal", int64_t{1}}})});
  cases.push_back(
      {K::kRotaryEmbedding,
       {signed_reals({1, 2, 3, 4}, 56), signed_reals({1, 3, 2}, 57), signed_reals({1, 3, 2}, 58)},
       {}});
  const auto one_based = attributes_of({{"reduction", std::string("mean")}});
  cases.push_back({K::kSoftmaxCrossEntropyLoss, {x, int64s({2, 0})}, one_based, 1});
  cases.push_back({K::kNegativeLogLikelihoodLoss, {x, int64s({2, 0})}, one_based});
  return cases;
}

std::vector<GradientCase> movement_cases() {
  const auto ints_of = [](std::vector<int64_t> values) { return Attribute(std::move(values)); };
  const Given x = signed_reals({2, 3, 4}, 61), image = signed_reals({1, 4, 4, 4}, 62);
  const auto axis = [](int64_t a) { return attributes_of({{"axis", a}}); };
  using K = OpKind;
  std::vector<GradientCase> cases;
  cases.push_back({K::kConcat, {x, signed_reals({2, 1, 4}, 63)}, axis(1)});
  cases.push_back({K::kSplit, {x, int64s({1, 2})}, axis(1), 2});
  cases.push_back({K::kSlice, {x, int64s({3}), int64s({-5}), int64s({2}), int64s({-2})}, {}});
  cases.push_back({K::kReshape, {x, int64s({0, -1})}, {}});
  cases.push_back({K::kFlatten, {x}, axis(2)});
  cases.push_back({K::kTranspose, {x}, attributes_of({{"perm", ints_of({2, 0, 1})}})});
  cases.push_back({K::kSqueeze, {signed_reals({2, 1, 3}, 64), int64s({1})}, {}});
  cases.push_back({K::kUnsqueeze, {x, int64s({1})}, {}});
  cases.push_back({K::kExpand, {signed_reals({3, 1}, 65), int64s({2, 3, 4})}, {}});
  cases.push_back({K::kTile, {signed_reals({2, 2}, 66), int64s({2, 3})}, {}});
  cases.push_back({K::kTrilu, {signed_reals({3, 3}, 67)}, {}});
  cases.push_back({K::kReverseSequence, {signed_reals({3, 2, 2}, 68), int64s({3, 2})}, {}});
  cases.push_back({K::kCompress, {x, truths({3}, {1, 0, 1})}, axis(1)});
  cases.push_back({K::kDepthToSpace, {image}, attributes_of({{"blocksize", int64_t{2}}})});
  cases.push_back({K::kSpaceToDepth, {image}, attributes_of({{"blocksize", int64_t{2}}})});
  cases.push_back({K::kGather, {x, ints(DType::kInt64, {2, 2}, {0, 2, 2, -1})}, axis(1)});
  cases.push_back({K::kGatherElements, {x, ints(DType::kInt64, {1, 2, 1}, {2, 0})}, axis(1)});
  cases.push_back({K::kGatherND, {x, ints(DType::kInt64, {2, 2}, {0, 1, 1, 2})}, {}});
  const Given places = ints(DType::kInt64, {2, 1}, {2, 0});
  const Given updates = signed_reals({2, 3}, 69), target = signed_reals({4, 3}, 70);
  cases.push_back({K::kScatterND, {target, places, updates}, {}});
  cases.push_back({K::kScatterND,
                   {target, places, updates},
                   attributes_of({{"reduction", std::string("add")}})});
  cases.push_back({K::kScatterElements,
                   {target, ints(DType::kInt64, {1, 2}, {3, 1}), signed_reals({1, 2}, 71)},
                   {}});
  cases.push_back({K::kScatterElements,
                   {target, ints(DType::kInt64, {1, 2}, {3, 1}), signed_reals({1, 2}, 71)},
                   attributes_of({{"reduction", std::string("add")}})});
  cases.push_back({K::kTopK, {x, int64s({2})}, {}, 2});
  for (const char* mode : {"constant", "reflect", "edge", "wrap"})
    cases.push_back({K::kPad,
                     {signed_reals({2, 4}, 72), int64s({0, 2, 1, 1})},
                     attributes_of({{"mode", std::string(mode)}})});
  cases.back().inputs[1] = int64s({1, 2, 0, 1});
  cases.push_back({K::kCenterCropPad, {x, int64s({3, 2, 6})}, {}});
  cases.push_back({K::kCrop, {image}, attributes_of({{"border", ints_of({1, 0, 0, 2})}})});
  for (const char* mode : {"nearest", "linear", "cubic"})
    cases.push_back({K::kResize,
                     {image, absent(), row({1, 1, 2, 1.5})},
                     attributes_of({{"mode", std::string(mode)}}),
                     1,
                     {2}});
  for (const char* mode : {"linear", "cubic"})
    cases.push_back({K::kGridSample,
                     {image, reals({1, 2, 2, 2}, 73, -0.83, 0.71)},
                     attributes_of({{"mode", std::string(mode)}})});
  cases.push_back({K::kAffineGrid, {signed_reals({1, 2, 3}, 74), int64s({1, 1, 2, 3})}, {}});
  const auto window = [&](std::vector<int64_t> kernel, std::vector<int64_t> pads, int64_t ceil) {
    return attributes_of({{"kernel_shape", ints_of(std::move(kernel))},
                          {"pads", ints_of(std::move(pads))},
                          {"strides", ints_of({2, 1})},
                          {"ceil_mode", ceil}});
  };
  for (const K kind : {K::kMaxPool, K::kAveragePool}) {
    cases.push_back({kind, {image}, window({3, 2}, {1, 1, 1, 1}, 0)});
    cases.push_back({kind, {image}, window({3, 2}, {0, 1, 1, 0}, 1)});
  }
  cases.push_back({K::kMaxPool, {image}, window({2, 2}, {0, 0, 0, 0}, 0), 2});
  cases.push_back({K::kMaxPool,
                   {signed_reals({1, 2, 6}, 75)},
                   attributes_of({{"kernel_shape", ints_of({2})}})});
  cases.push_back({K::kLpPool, {image}, window({2, 2}, {0, 0, 0, 0}, 0)});
  for (const K kind : {K::kGlobalAveragePool, K::kGlobalMaxPool, K::kGlobalLpPool})
    cases.push_back({kind, {image}, {}});
  return cases;
}

std::vector<GradientCase> all_cases() {
  std::vector<GradientCase> all;
  for (const auto& part :
       {elementwise_cases(), reduction_cases(), product_cases(), movement_cases()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace

TEST_CASE("autograd agrees with central differences for every differentiable op") {
  for (const GradientCase& one : all_cases()) {
    const std::string op(op_name(one.kind));
    CAPTURE(op);
    CHECK(is_differentiable(one.kind));
    check_gradients(one);
  }
}

TEST_CASE("every op that claims a derivative is checked") {
  // Bodies are run by the interpreter: train_test.cpp.
  std::set<OpKind> checked = {OpKind::kIf, OpKind::kLoop, OpKind::kScan};
  for (const GradientCase& one : all_cases()) checked.insert(one.kind);
  for (int kind = 0; kind < kOpKindCount; ++kind) {
    const std::string op(op_name(static_cast<OpKind>(kind)));
    CAPTURE(op);
    CHECK(checked.contains(static_cast<OpKind>(kind)) ==
          is_differentiable(static_cast<OpKind>(kind)));
  }
}

TEST_CASE("what is differentiable depends on a node's attributes too") {
  Node node;
  node.kind = OpKind::kCast;
  node.attributes.set("to", static_cast<int64_t>(DType::kInt64));
  CHECK_FALSE(is_differentiable(node));
  node.attributes.set("to", static_cast<int64_t>(DType::kFloat16));
  CHECK(is_differentiable(node));
  node.kind = OpKind::kScatterND;
  CHECK(is_differentiable(node));
  node.attributes.set("reduction", std::string("max"));
  CHECK_FALSE(is_differentiable(node));
}

}  // namespace lathe::test
