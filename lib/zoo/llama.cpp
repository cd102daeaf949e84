// karpathy/llama2.c, stories15M: one token at a time. The window of keys and values moves along:
// every shape is fixed, and what the network gives back is what it takes for the next token.
#include <cmath>

#include "ir/carry.h"
#include "zoo/layer_builder.h"
#include "zoo/networks.h"

namespace lathe {
namespace llama {
namespace {

constexpr int64_t kWidth = 288;
constexpr int64_t kHeads = 6;
constexpr int64_t kHeadWidth = kWidth / kHeads;
constexpr int64_t kInner = 768;
constexpr int64_t kLayers = 6;
constexpr int64_t kVocabulary = 32000;
constexpr int64_t kWindow = 64;       // tokens that are looked back at
constexpr int64_t kPositions = 2048;  // that rotations are known of
constexpr double kNormEpsilon = 1e-5;

// What all layers share.
struct Step {
  ValueId cosines, sines;  // N x 1 x 1 x head width
  ValueId mask;            // N x 1 x 1 x window: 0, or -10000 before the first token
};

// Su et al. 2021, arXiv:2104.09864: angles of the pairs (i, i + half) of a head.
ValueId rotations(LayerBuilder& b, ValueId position, bool sine, const std::string& name) {
  std::vector<float> values;
  for (int64_t p = 0; p < kPositions; ++p)
    for (int64_t i = 0; i < kHeadWidth; ++i) {
      const double part = static_cast<double>(i % (kHeadWidth / 2)) / (kHeadWidth / 2);
      const double angle = static_cast<double>(p) * std::pow(10000.0, -part);
      values.push_back(static_cast<float>(sine ? std::sin(angle) : std::cos(angle)));
    }
  const ValueId table =
      b.constant(name + ".table", Tensor::of<float>({kPositions, kHeadWidth}, values));
  const ValueId rows = b.op(OpKind::kGather, {table, position}, name + ".rows");
  return b.op(OpKind::kUnsqueeze, {rows, b.ints(name + ".axes", {1})}, name);
}

// The newest key is the last of the window.
ValueId window_mask(LayerBuilder& b, ValueId position) {
  std::vector<int64_t> places;
  for (int64_t i = 0; i < kWindow; ++i) places.push_back(i - (kWindow - 1));
  const ValueId past = b.constant("mask.places", Tensor::of<int64_t>({1, 1, 1, kWindow}, places));
  const ValueId now = b.op(OpKind::kUnsqueeze, {position, b.ints("mask.axes", {1, 2})}, "mask.now");
  const ValueId seen = b.op(OpKind::kAdd, {past, now}, "mask.sum");
  const ValueId early = b.op(
      OpKind::kLess, {seen, b.constant("mask.zero", Tensor::scalar(int64_t{0}))}, "mask.early");
  return b.op(OpKind::kWhere,
              {early, b.constant("mask.far", Tensor::scalar(-10000.0f)),
               b.constant("mask.near", Tensor::scalar(0.0f))},
              "mask.add");
}

// Zhang and Sennrich 2019, arXiv:1910.07467.
ValueId rms_norm(LayerBuilder& b, ValueId x, const std::string& name) {
  Attributes last;
  last.set("axes", std::vector<int64_t>{-1});
  const ValueId squares = b.op(OpKind::kMul, {x, x}, name + ".squares");
  ValueId mean = b.op(OpKind::kReduceMean, {squares}, name + ".mean", last);
  mean =
      b.op(OpKind::kAdd,
           {mean, b.constant(name + ".epsilon", Tensor::scalar(static_cast<float>(kNormEpsilon)))},
           name + ".above_zero");
  const ValueId root = b.op(OpKind::kSqrt, {mean}, name + ".root");
  const ValueId unit = b.op(OpKind::kDiv, {x, root}, name + ".unit");
  return b.scaled(unit, kWidth, name);
}

// N x heads x 1 x width.
ValueId heads(LayerBuilder& b, ValueId x, const std::string& name) {
  x = b.projection(x, kWidth, name);
  x = b.op(OpKind::kReshape, {x, b.ints(name + ".shape", {0, 1, kHeads, kHeadWidth})},
           name + ".heads");
  return b.transpose(x, {0, 2, 1, 3}, name + ".transpose");
}

ValueId rotated(LayerBuilder& b, ValueId x, const Step& step, const std::string& name) {
  b.expect(x, same_moments(kHeadWidth, 0, 1));
  const std::vector<ValueId> halves =
      b.split(x, {kHeadWidth / 2, kHeadWidth / 2}, 3, name + ".halves");
  const ValueId turned = b.op(OpKind::kNeg, {halves[1]}, name + ".negative");
  Attributes last;
  last.set("axis", int64_t{-1});
  const ValueId swapped = b.op(OpKind::kConcat, {turned, halves[0]}, name + ".swapped", last);
  return b.op(OpKind::kAdd,
              {b.op(OpKind::kMul, {x, step.cosines}, name + ".by_cosine"),
               b.op(OpKind::kMul, {swapped, step.sines}, name + ".by_sine")},
              name);
}

// The window without its oldest, and the newest behind it.
ValueId moved_on(LayerBuilder& b, ValueId past, ValueId newest, const std::string& name) {
  const ValueId kept = b.op(OpKind::kSlice,
                            {past, b.ints(name + ".from", {1}), b.ints(name + ".to", {kWindow}),
                             b.ints(name + ".axis", {2})},
                            name + ".kept");
  Attributes axis;
  axis.set("axis", int64_t{2});
  return b.op(OpKind::kConcat, {kept, newest}, name, axis);
}

struct Cache {
  std::vector<ValueId> keys, values;  // a layer each
};

ValueId attention(LayerBuilder& b, ValueId x, const Step& step, size_t layer, Cache& cache,
                  const std::string& name) {
  const ValueId q = rotated(b, heads(b, x, name + ".wq"), step, name + ".wq.rotated");
  const ValueId k = rotated(b, heads(b, x, name + ".wk"), step, name + ".wk.rotated");
  ValueId& keys = cache.keys[layer];
  ValueId& values = cache.values[layer];
  keys = moved_on(b, keys, k, name + ".keys");
  values = moved_on(b, values, heads(b, x, name + ".wv"), name + ".values");
  const ValueId turned = b.transpose(keys, {0, 1, 3, 2}, name + ".keys_transpose");
  ValueId scores = b.op(OpKind::kMatMul, {q, turned}, name + ".scores");
  const ValueId root =
      b.constant(name + ".root", Tensor::scalar(std::sqrt(static_cast<float>(kHeadWidth))));
  scores = b.op(OpKind::kDiv, {scores, root}, name + ".scaled");
  scores = b.op(OpKind::kAdd, {scores, step.mask}, name + ".masked");
  Attributes axis;
  axis.set("axis", int64_t{-1});
  const ValueId weights = b.op(OpKind::kSoftmax, {scores}, name + ".softmax", axis);
  ValueId y = b.op(OpKind::kMatMul, {weights, values}, name + ".context");
  y = b.transpose(y, {0, 2, 1, 3}, name + ".context_transpose");
  y = b.op(OpKind::kReshape, {y, b.ints(name + ".shape", {0, 1, kWidth})}, name + ".out");
  // Between a mean over all tokens and the choice of one.
  b.expect(y, same_moments(kWidth, 0, 0.5));
  return b.projection(y, kWidth, name + ".wo", 0.5);
}

// Shazeer 2020, arXiv:2002.05202: SwiGLU.
ValueId feed_forward(LayerBuilder& b, ValueId x, const std::string& name) {
  const ValueId gate =
      b.activation(b.projection(x, kInner, name + ".w1"), Activation::kSilu, name + ".silu");
  const ValueId up = b.projection(x, kInner, name + ".w3");
  return b.projection(b.mul(gate, up, name + ".gated"), kWidth, name + ".w2", 0.5);
}

std::vector<ValueId> layers_of(LayerBuilder& b, ValueId past, const std::string& name) {
  const std::vector<int64_t> ones(static_cast<size_t>(kLayers), 1);
  std::vector<ValueId> layers;
  const ValueId axis = b.ints(name + ".axis", {1});
  b.expect(past, same_moments(kLayers, 0, 1));
  for (const ValueId part : b.split(past, ones, 1, name + ".split"))
    layers.push_back(
        b.op(OpKind::kSqueeze, {part, axis}, name + ".layer" + std::to_string(layers.size())));
  return layers;
}

ValueId stacked(LayerBuilder& b, const std::vector<ValueId>& layers, const std::string& name) {
  const ValueId axis = b.ints(name + ".axis", {1});
  std::vector<ValueId> parts;
  for (const ValueId layer : layers)
    parts.push_back(
        b.op(OpKind::kUnsqueeze, {layer, axis}, name + ".layer" + std::to_string(parts.size())));
  Attributes along;
  along.set("axis", int64_t{1});
  return b.op(OpKind::kConcat, parts, name + ".stack", along);
}

Model build(uint64_t seed) {
  LayerBuilder b("llama_15m", seed);
  const ValueId ids = b.input("input_ids", {1}, DType::kInt64);
  const ValueId position = b.input("position_ids", {1}, DType::kInt64);
  const Shape window = {kLayers, kHeads, kWindow, kHeadWidth};
  const ValueId past_key = b.input("past_key", window);
  const ValueId past_value = b.input("past_value", window);
  Cache cache{layers_of(b, past_key, "past_key"), layers_of(b, past_value, "past_value")};
  const Step step{rotations(b, position, false, "cosines"), rotations(b, position, true, "sines"),
                  window_mask(b, position)};
  ValueId x = b.embedding(ids, kVocabulary, kWidth, "tok_embeddings");
  for (int64_t i = 0; i < kLayers; ++i) {
    const std::string name = "layers." + std::to_string(i);
    const ValueId seen = attention(b, rms_norm(b, x, name + ".attention_norm"), step,
                                   static_cast<size_t>(i), cache, name + ".attention");
    x = b.add(x, seen, name + ".attention_add");
    x = b.add(x, feed_forward(b, rms_norm(b, x, name + ".ffn_norm"), name + ".feed_forward"),
              name + ".ffn_add");
  }
  x = b.op(OpKind::kReshape, {rms_norm(b, x, "norm"), b.ints("output.shape", {0, kWidth})},
           "output.row");
  // The table of embeddings, once more.
  Attributes turned;
  turned.set("transB", int64_t{1});
  const ValueId logits =
      b.op(OpKind::kGemm, {x, b.weight("tok_embeddings")}, "output", std::move(turned));
  const ValueId next =
      b.op(OpKind::kAdd, {position, b.constant("position.one", Tensor::scalar(int64_t{1}))},
           "position.next");
  Model model = b.finish({{logits, "logits"},
                          {next, "next_position_ids"},
                          {stacked(b, cache.keys, "present_key"), "present_key"},
                          {stacked(b, cache.values, "present_value"), "present_value"}});
  set_carry(model, {{"present_key", "past_key"},
                    {"present_value", "past_value"},
                    {"next_position_ids", "position_ids"}});
  return model;
}

}  // namespace
}  // namespace llama

Model build_llama_15m(uint64_t seed) { return llama::build(seed); }

}  // namespace lathe
