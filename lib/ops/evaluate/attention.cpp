// Attention, RotaryEmbedding and com.microsoft's SkipLayerNormalization.
#include <cmath>
#include <limits>

#include "evaluate/evaluate.h"

namespace lathe {
namespace {

using Outputs = std::vector<at::Tensor>;

constexpr double kMasked = -std::numeric_limits<double>::infinity();

// [B, S, heads * size] becomes [B, heads, S, size]; four dimensions stay as they are.
at::Tensor split_heads(const EvaluateCall& call, const at::Tensor& x, const char* heads_name) {
  if (x.dim() == 4) return x;
  call.require(x.dim() == 3, "inputs must have three or four dimensions");
  const int64_t heads = call.attributes().int_or(heads_name, 0);
  call.require(heads > 0 && x.size(2) % heads == 0, "the number of heads does not fit");
  return x.reshape({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);
}

// 0 where `seen`, -infinity elsewhere.
at::Tensor bias_of(const at::Tensor& seen, const at::Tensor& like) {
  return at::zeros(seen.sizes(), like.options()).masked_fill(seen.logical_not(), kMasked);
}

// What is added to the scores [.., queries, keys]: mask, causality and padding; undefined: none.
at::Tensor attention_bias(const EvaluateCall& call, const at::Tensor& q, int64_t keys,
                          int64_t past) {
  at::Tensor bias;
  const auto include = [&bias](const at::Tensor& part) {
    bias = bias.defined() ? at::add(bias, part) : part;
  };
  if (call.has(3)) {
    at::Tensor mask = call.input(3);
    const bool boolean = mask.scalar_type() == at::kBool;
    call.require(mask.dim() >= 1 && mask.size(-1) <= keys, "the mask has more keys than there are");
    if (mask.size(-1) < keys)
      mask = at::constant_pad_nd(mask, {0, keys - mask.size(-1)},
                                 boolean ? at::Scalar(false) : at::Scalar(kMasked));
    include(boolean ? bias_of(mask, q) : mask.to(q.scalar_type()));
  }
  if (call.attributes().int_or("is_causal", 0) != 0) {
    const at::Tensor last = at::arange(q.size(2), at::kLong).unsqueeze(1) + past;
    include(bias_of(at::arange(keys, at::kLong).unsqueeze(0).le(last), q));
  }
  if (call.has(6)) {
    const at::Tensor lengths = call.input(6).to(at::kLong);
    call.require(lengths.dim() == 1 && lengths.numel() == q.size(0),
                 "nonpad_kv_seqlen must have one length per batch entry");
    include(bias_of(at::arange(keys, at::kLong).lt(lengths.reshape({-1, 1, 1, 1})), q));
  }
  return bias;
}

// inputs: Q, K, V, attn_mask?, past_key?, past_value?, nonpad_kv_seqlen?
Outputs attention(const EvaluateCall& call) {
  const bool flat = call.input(0).dim() == 3;
  const at::Tensor q = split_heads(call, call.input(0), "q_num_heads");
  at::Tensor k = split_heads(call, call.input(1), "kv_num_heads");
  at::Tensor v = split_heads(call, call.input(2), "kv_num_heads");
  int64_t past = 0;
  if (call.has(4)) {
    call.require(call.input(4).dim() == 4, "past_key must have four dimensions");
    past = call.input(4).size(2);
    k = at::cat({call.input(4), k}, 2);
  }
  if (call.has(5)) v = at::cat({call.input(5), v}, 2);
  const at::Tensor present_key = k, present_value = v;
  const int64_t heads = q.size(1), kv_heads = k.size(1);
  call.require(kv_heads > 0 && heads % kv_heads == 0 && v.size(1) == kv_heads,
               "query heads must be a multiple of key and value heads");
  if (heads != kv_heads) {
    k = at::repeat_interleave(k, heads / kv_heads, 1);
    v = at::repeat_interleave(v, heads / kv_heads, 1);
  }
  const double scale = call.attributes().has("scale")
                           ? call.attributes().float_or("scale", 1.0f)
                           : 1.0 / std::sqrt(static_cast<double>(q.size(3)));
  const int64_t mode = call.attributes().int_or("qk_matmul_output_mode", 0);
  at::Tensor scores = at::matmul(at::mul(q, scale), k.transpose(2, 3));
  at::Tensor shown = scores;
  const at::Tensor bias = attention_bias(call, q, k.size(2), past);
  if (bias.defined()) scores = at::add(scores, bias);
  if (mode == 1) shown = scores;
  const double cap = call.attributes().float_or("softcap", 0.0f);
  if (cap > 0) scores = at::mul(at::tanh(at::div(scores, cap)), cap);
  if (mode == 2) shown = scores;
  const bool wide =
      call.attributes().int_or("softmax_precision", 1) == static_cast<int64_t>(DType::kFloat64);
  const at::Tensor weights =
      at::softmax(wide ? scores.to(at::kDouble) : scores, -1).to(q.scalar_type());
  if (mode == 3) shown = weights;
  at::Tensor out = at::matmul(weights, v);
  if (flat) out = out.transpose(1, 2).flatten(2);
  return {out, present_key, present_value, shown};
}

// inputs: X [B, heads, S, size] or [B, S, heads * size], cos and sin caches, position_ids?
Outputs rotary_embedding(const EvaluateCall& call) {
  const at::Tensor& given = call.input(0);
  at::Tensor x = split_heads(call, given, "num_heads").transpose(1, 2);  // [B, S, heads, size]
  int64_t rotated = call.attributes().int_or("rotary_embedding_dim", 0);
  if (rotated == 0) rotated = x.size(3);
  call.require(rotated > 0 && rotated <= x.size(3) && rotated % 2 == 0,
               "rotary_embedding_dim must be even and no larger than the head");
  const int64_t half = rotated / 2;
  const auto cache = [&](size_t i) {
    at::Tensor values = call.input(i);
    if (call.has(3)) {
      const at::Tensor ids = call.input(3).to(at::kLong);
      call.require(values.dim() == 2 && ids.dim() == 2, "needs a cache [positions, size]");
      call.require(ids.numel() == 0 || (ids.min().item<int64_t>() >= 0 &&
                                        ids.max().item<int64_t>() < values.size(0)),
                   "a position is beyond the cache");
      values = at::index_select(values, 0, ids.flatten())
                   .reshape({ids.size(0), ids.size(1), values.size(1)});
    }
    call.require(values.dim() == 3 && values.size(2) == half,
                 "the cache does not match the rotated size");
    return values.unsqueeze(2);  // [B, S, 1, half]
  };
  const at::Tensor cosine = cache(1), sine = cache(2);
  const bool interleaved = call.attributes().int_or("interleaved", 0) != 0;
  const at::Tensor turned = x.narrow(3, 0, rotated);
  const at::Tensor a = interleaved ? turned.slice(3, 0, rotated, 2) : turned.narrow(3, 0, half);
  const at::Tensor b = interleaved ? turned.slice(3, 1, rotated, 2) : turned.narrow(3, half, half);
  const at::Tensor real = at::sub(at::mul(cosine, a), at::mul(sine, b));
  const at::Tensor imaginary = at::add(at::mul(sine, a), at::mul(cosine, b));
  const at::Tensor joined =
      interleaved ? at::stack({real, imaginary}, -1).flatten(3) : at::cat({real, imaginary}, 3);
  x = at::cat({joined, x.narrow(3, rotated, x.size(3) - rotated)}, 3);
  return {given.dim() == 3 ? x.reshape(given.sizes()) : x.transpose(1, 2)};
}

// inputs: input, skip, gamma, beta?, bias?; outputs: normalized, mean, 1 / deviation, their sum
Outputs skip_layer_normalization(const EvaluateCall& call) {
  at::Tensor sum = at::add(call.input(0), call.input(1));
  if (call.has(4)) sum = at::add(sum, call.input(4));
  const double epsilon = call.attributes().float_or("epsilon", 1e-12f);
  const at::Tensor& gamma = call.input(2);
  call.require(sum.dim() >= 1 && gamma.dim() == 1 && gamma.numel() == sum.size(-1),
               "gamma must have the size of the last dimension");
  const c10::optional<at::Tensor> beta =
      call.has(3) ? c10::optional<at::Tensor>(call.input(3)) : c10::nullopt;
  auto [out, mean, inverse] = at::native_layer_norm(sum, {sum.size(-1)}, gamma, beta, epsilon);
  return {out, mean, inverse, sum};
}

}  // namespace

std::span<const EvaluateRow> attention_ops() {
  static const EvaluateRow rows[] = {
      {OpKind::kAttention, attention},
      {OpKind::kRotaryEmbedding, rotary_embedding},
      {OpKind::kSkipLayerNormalization, skip_layer_normalization},
  };
  return rows;
}

}  // namespace lathe
