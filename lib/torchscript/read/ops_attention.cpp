// The fused forms that torch.nn.MultiheadAttention and TransformerEncoderLayer take in inference.
#include <algorithm>
#include <cmath>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

ValueId linear(AtenCall& call, ValueId x, ValueId weight, ValueId bias) {
  const ValueId y = binary(call, OpKind::kMatMul, x, swap_last_two(call, weight));
  return bias.valid() ? binary(call, OpKind::kAdd, y, bias) : y;
}

struct Heads {
  int64_t width = 0;  // of all heads together
  int64_t count = 0;
  ValueId in_weight, in_bias, out_weight, out_bias;
  ValueId mask;           // true: left out; invalid: none
  int64_t mask_type = 0;  // 1: the mask is of that shape
};

struct Attended {
  ValueId values, weights;  // weights: [batch, heads, target, source]
};

// [batch, time, width] -> [batch, heads, time, width / heads]
ValueId by_head(AtenCall& call, ValueId x, const Heads& heads) {
  return transpose(call, reshape(call, x, {0, -1, heads.count, heads.width / heads.count}),
                   {0, 2, 1, 3});
}

Attended attend(AtenCall& call, ValueId query, ValueId key, ValueId value, const Heads& heads) {
  call.require(heads.count >= 1 && heads.width >= 1 && heads.width % heads.count == 0,
               "a width that is no multiple of the number of heads");
  call.require(call.rank_of(query) == 3, "an input [batch, time, width] is needed");
  const std::vector<int64_t> thirds(3, heads.width);
  std::vector<ValueId> projected;
  if (query == key && key == value) {
    projected = split(call, linear(call, query, heads.in_weight, heads.in_bias), 2, thirds);
  } else {
    const std::vector<ValueId> weights = split(call, heads.in_weight, 0, thirds);
    const std::vector<ValueId> biases = split(call, heads.in_bias, 0, thirds);
    const ValueId inputs[] = {query, key, value};
    for (size_t i = 0; i < 3; ++i)
      projected.push_back(linear(call, inputs[i], weights[i], biases[i]));
  }
  const double scale = 1 / std::sqrt(static_cast<double>(heads.width / heads.count));
  const ValueId q = by_head(call, binary(call, OpKind::kMul, projected[0], scale), heads);
  const ValueId k = by_head(call, projected[1], heads);
  const ValueId v = by_head(call, projected[2], heads);
  ValueId scores = binary(call, OpKind::kMatMul, q, transpose(call, k, {0, 1, 3, 2}));
  if (heads.mask.valid()) {
    call.require(heads.mask_type == 1, "another mask than key_padding_mask");
    const DType dtype = call.dtype_of(scores);
    const ValueId mask = unsqueeze(call, heads.mask, {1, 2});
    scores = call.emit(OpKind::kWhere, {call.cast(mask, DType::kBool),
                                        call.number_value(-INFINITY, dtype), scores});
  }
  Attended made;
  made.weights = call.emit(OpKind::kSoftmax, {scores}, attributes_of({{"axis", int64_t{-1}}}));
  const ValueId joined =
      reshape(call, transpose(call, binary(call, OpKind::kMatMul, made.weights, v), {0, 2, 1, 3}),
              {0, -1, heads.width});
  made.values = linear(call, joined, heads.out_weight, heads.out_bias);
  return made;
}

// (query, key, value, embed_dim, num_head, qkv_weight, qkv_bias, proj_weight, proj_bias, mask,
// need_weights, average_attn_weights, mask_type)
Results multi_head_attention(AtenCall& call) {
  const Heads heads{call.int_of(3),         call.int_of(4),
                    call.tensor(5),         call.tensor(6),
                    call.tensor(7),         call.tensor(8),
                    call.tensor_or_none(9), call.int_or(12, call.is_none(9) ? 0 : 1)};
  const Attended made = attend(call, call.tensor(0), call.tensor(1), call.tensor(2), heads);
  Results results = call.one(made.values);
  if (!call.bool_or(10, true)) {
    // Whoever asks for no weights reads none.
    results.emplace_back().kind = AbstractValue::Kind::kUninitialized;
    return results;
  }
  const bool average = call.bool_or(11, true);
  results.push_back(call.result(
      average ? reduce(call, OpKind::kReduceMean, made.weights, {1}, false) : made.weights));
  return results;
}

// (src, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias, use_gelu, norm_first,
// eps, norm_weight_1, norm_bias_1, norm_weight_2, norm_bias_2, ffn_weight_1, ffn_bias_1,
// ffn_weight_2, ffn_bias_2, mask, mask_type)
Results encoder_layer(AtenCall& call) {
  const Heads heads{call.int_of(1),          call.int_of(2),
                    call.tensor(3),          call.tensor(4),
                    call.tensor(5),          call.tensor(6),
                    call.tensor_or_none(18), call.int_or(19, call.is_none(18) ? 0 : 1)};
  const bool norm_first = call.bool_of(8);
  const Attributes epsilon = attributes_of({{"epsilon", static_cast<float>(call.float_of(9))}});
  const auto normalized = [&](ValueId x, size_t weight) {
    return call.emit(OpKind::kLayerNormalization, {x, call.tensor(weight), call.tensor(weight + 1)},
                     epsilon);
  };
  const auto attended = [&](ValueId x) { return attend(call, x, x, x, heads).values; };
  const auto fed_forward = [&](ValueId x) {
    const ValueId inner = linear(call, x, call.tensor(14), call.tensor(15));
    AtenCall activation(call.builder, call.node, {call.result(inner)}, call.notes);
    const Results active = find_aten_op(call.bool_of(7) ? "aten::gelu" : "aten::relu")(activation);
    return linear(call, call.builder.use(*active[0].cell), call.tensor(16), call.tensor(17));
  };
  ValueId x = call.tensor(0);
  if (norm_first) {
    x = binary(call, OpKind::kAdd, x, attended(normalized(x, 10)));
    return call.one(binary(call, OpKind::kAdd, x, fed_forward(normalized(x, 12))));
  }
  x = normalized(binary(call, OpKind::kAdd, x, attended(x)), 10);
  return call.one(normalized(binary(call, OpKind::kAdd, x, fed_forward(x)), 12));
}

Results never(AtenCall&) { return {AbstractValue::of_bool(false)}; }

// find(text, part, start, end): these layers keep as text why they cannot take a faster path.
Results find_text(AtenCall& call) {
  const std::string& text = call.string_of(0);
  const auto size = static_cast<int64_t>(text.size());
  const auto place = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
  };
  const int64_t start = place(call.int_or(2, 0));
  const int64_t end = call.int_or(3, -1) == -1 ? size : place(call.int_of(3));
  const size_t found = text.substr(0, static_cast<size_t>(std::max(start, end)))
                           .find(call.string_of(1), static_cast<size_t>(start));
  return {AbstractValue::of_int(found == std::string::npos ? -1 : static_cast<int64_t>(found))};
}

constexpr AtenRow kAttentionOps[] = {
    {"_native_multi_head_attention", multi_head_attention},
    {"_transformer_encoder_layer_fwd", encoder_layer},
    {"prim::is_nested", never},
    {"find", find_text},
};

}  // namespace

std::span<const AtenRow> attention_aten_ops() { return kAttentionOps; }

}  // namespace lathe
