#include "quantize/equalize/weight_channels.h"

namespace lathe {

int64_t WeightChannels::output(int64_t element) const {
  const int64_t pair = element / taps;
  if (!input_major) return pair / inputs_a_group();
  const int64_t group = pair / outputs_a_group() / inputs_a_group();
  return group * outputs_a_group() + pair % outputs_a_group();
}

int64_t WeightChannels::input(int64_t element) const {
  const int64_t pair = element / taps;
  if (input_major) return pair / outputs_a_group();
  const int64_t group = pair / inputs_a_group() / outputs_a_group();
  return group * inputs_a_group() + pair % inputs_a_group();
}

std::optional<WeightChannels> weight_channels(const Graph& graph, const Node& node) {
  const bool conv = node.kind == OpKind::kConv;
  const bool transpose = node.kind == OpKind::kConvTranspose;
  const bool gemm = node.kind == OpKind::kGemm;
  if (!conv && !transpose && !gemm && node.kind != OpKind::kMatMul) return {};
  const Tensor* weight = graph.constant(node.input(1));
  if (weight == nullptr || weight->dtype() != DType::kFloat32) return {};
  const Shape& shape = weight->shape();
  const bool spatial = conv || transpose;
  if (spatial ? shape.size() < 3 : shape.size() != 2) return {};
  if (weight->numel() == 0) return {};
  if (gemm && node.attributes.int_or("transA", 0) != 0) return {};
  WeightChannels channels;
  channels.groups = spatial ? node.attributes.int_or("group", 1) : 1;
  if (channels.groups < 1 || shape[0] % channels.groups != 0) return {};
  for (size_t i = 2; i < shape.size(); ++i) channels.taps *= shape[i];
  channels.input_major = transpose || (!conv && node.attributes.int_or("transB", 0) == 0);
  channels.outputs = channels.input_major ? shape[1] * channels.groups : shape[0];
  channels.inputs = channels.input_major ? shape[0] : shape[1] * channels.groups;
  return channels;
}

}  // namespace lathe
