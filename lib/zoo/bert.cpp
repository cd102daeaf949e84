// transformers/models/bert/modeling_bert.py, BertModel of bert-base-uncased
#include <cmath>
#include <numeric>

#include "zoo/layer_builder.h"
#include "zoo/networks.h"

namespace lathe {
namespace {

constexpr int64_t kTokens = 128;
constexpr int64_t kWidth = 768;
constexpr int64_t kHeads = 12;
constexpr int64_t kHeadWidth = kWidth / kHeads;
constexpr int64_t kInner = 3072;
constexpr int64_t kLayers = 12;
constexpr int64_t kVocabulary = 30522;
constexpr int64_t kPositions = 512;
constexpr double kNormEpsilon = 1e-12;

ValueId cast(LayerBuilder& b, ValueId x, DType dtype, const std::string& name) {
  Attributes attributes;
  attributes.set("to", static_cast<int64_t>(dtype));
  return b.op(OpKind::kCast, {x}, name, std::move(attributes));
}

// 0 where a token may be looked at, -10000 where not; N x 1 x 1 x steps. Anything but 0 is 1.
ValueId additive_mask(LayerBuilder& b, ValueId mask) {
  ValueId x = cast(b, cast(b, mask, DType::kBool, "mask.bool"), DType::kFloat32, "mask.float");
  x = b.op(OpKind::kUnsqueeze, {x, b.ints("mask.axes", {1, 2})}, "mask.unsqueeze");
  x = b.op(OpKind::kSub, {b.constant("mask.one", Tensor::scalar(1.0f)), x}, "mask.inverse");
  return b.op(OpKind::kMul, {x, b.constant("mask.far", Tensor::scalar(-10000.0f))}, "mask.add");
}

ValueId embeddings(LayerBuilder& b, ValueId ids, ValueId types) {
  // There are two types of tokens: anything but 0 is the second.
  types = cast(b, cast(b, types, DType::kBool, "types.bool"), DType::kInt64, "types.index");
  std::vector<int64_t> steps(static_cast<size_t>(kTokens));
  std::iota(steps.begin(), steps.end(), 0);
  const ValueId positions =
      b.constant("embeddings.position_ids", Tensor::of<int64_t>({1, kTokens}, steps));
  const std::string name = "embeddings.";
  ValueId x = b.add(b.embedding(ids, kVocabulary, kWidth, name + "word_embeddings"),
                    b.embedding(types, 2, kWidth, name + "token_type_embeddings"), name + "add");
  x = b.add(x, b.embedding(positions, kPositions, kWidth, name + "position_embeddings"),
            name + "add_position");
  return b.layer_norm(x, name + "LayerNorm", kNormEpsilon);
}

// N x heads x steps x width; `last` swaps the last two axes.
ValueId heads(LayerBuilder& b, ValueId x, bool last, const std::string& name) {
  x = b.dense(x, kWidth, name);
  x = b.op(OpKind::kReshape, {x, b.ints(name + ".shape", {0, kTokens, kHeads, kHeadWidth})},
           name + ".heads");
  return b.transpose(x, last ? std::vector<int64_t>{0, 2, 3, 1} : std::vector<int64_t>{0, 2, 1, 3},
                     name + ".transpose");
}

ValueId attention(LayerBuilder& b, ValueId x, ValueId mask, const std::string& name) {
  const ValueId q = heads(b, x, false, name + ".self.query");
  const ValueId k = heads(b, x, true, name + ".self.key");
  const ValueId v = heads(b, x, false, name + ".self.value");
  ValueId scores = b.op(OpKind::kMatMul, {q, k}, name + ".self.scores");
  const ValueId root =
      b.constant(name + ".self.root", Tensor::scalar(std::sqrt(static_cast<float>(kHeadWidth))));
  scores = b.op(OpKind::kDiv, {scores, root}, name + ".self.scaled");
  scores = b.op(OpKind::kAdd, {scores, mask}, name + ".self.masked");
  Attributes axis;
  axis.set("axis", int64_t{-1});
  const ValueId weights = b.op(OpKind::kSoftmax, {scores}, name + ".self.softmax", axis);
  ValueId y = b.op(OpKind::kMatMul, {weights, v}, name + ".self.context");
  y = b.transpose(y, {0, 2, 1, 3}, name + ".self.context_transpose");
  y = b.op(OpKind::kReshape, {y, b.ints(name + ".self.shape", {0, kTokens, kWidth})},
           name + ".self.out");
  // Between a mean over all tokens and the choice of one.
  b.expect(y, same_moments(kWidth, 0, 0.5));
  // Less than the residual, or the tokens of untrained layers all become the same.
  y = b.dense(y, kWidth, name + ".output.dense", 0.5);
  return b.layer_norm(b.add(y, x, name + ".output.add"), name + ".output.LayerNorm", kNormEpsilon);
}

ValueId feed_forward(LayerBuilder& b, ValueId x, const std::string& name) {
  ValueId y = b.dense(x, kInner, name + ".intermediate.dense");
  y = b.activation(y, Activation::kGelu, name + ".intermediate.gelu");
  y = b.dense(y, kWidth, name + ".output.dense");
  return b.layer_norm(b.add(y, x, name + ".output.add"), name + ".output.LayerNorm", kNormEpsilon);
}

}  // namespace

Model build_bert_base(uint64_t seed) {
  LayerBuilder b("bert_base", seed);
  const ValueId ids = b.input("input_ids", {kTokens}, DType::kInt64);
  const ValueId mask = b.input("attention_mask", {kTokens}, DType::kInt64);
  const ValueId types = b.input("token_type_ids", {kTokens}, DType::kInt64);
  const ValueId added = additive_mask(b, mask);
  ValueId x = embeddings(b, ids, types);
  for (int64_t i = 0; i < kLayers; ++i) {
    const std::string name = "encoder.layer." + std::to_string(i);
    x = feed_forward(b, attention(b, x, added, name + ".attention"), name);
  }
  Attributes axis;
  axis.set("axis", int64_t{1});
  const ValueId zero = b.constant("pooler.first", Tensor::scalar(int64_t{0}));
  const ValueId first = b.op(OpKind::kGather, {x, zero}, "pooler.token", axis);
  b.expect(first, b.expected(x));
  const ValueId pooled =
      b.activation(b.linear(first, kWidth, "pooler.dense"), Activation::kTanh, "pooler.activation");
  return b.finish({{x, "last_hidden_state"}, {pooled, "pooler_output"}});
}

}  // namespace lathe
