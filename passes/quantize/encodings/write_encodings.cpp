#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "quantize/encodings/encodings.h"

namespace lathe {
namespace {

using nlohmann::json;

// The middle of the grid: int8's zero.
bool is_symmetric(const TensorEncoding& tensor) {
  return std::ranges::all_of(tensor.channels, [&](const Encoding& channel) {
    return channel.zero == int64_t{1} << (tensor.bits - 1);
  });
}

json aimet_row(const std::string& name, const TensorEncoding& tensor) {
  json scales = json::array();
  json offsets = json::array();
  for (const Encoding& channel : tensor.channels) {
    scales.push_back(channel.scale);
    offsets.push_back(-channel.zero);
  }
  return {{"name", name},
          {"bw", tensor.bits},
          {"dtype", "INT"},
          {"enc_type", tensor.channels.size() > 1 ? "PER_CHANNEL" : "PER_TENSOR"},
          {"is_sym", is_symmetric(tensor)},
          {"scale", std::move(scales)},
          {"offset", std::move(offsets)}};
}

json override_rows(const TensorEncoding& tensor, bool is_weight) {
  const bool is_signed = tensor.is_signed.value_or(is_weight);
  const int64_t least = is_signed ? -(int64_t{1} << (tensor.bits - 1)) : 0;
  json rows = json::array();
  for (const Encoding& channel : tensor.channels)
    rows.push_back(
        {{"quant_type", std::string(is_signed ? "QInt" : "QUInt") + std::to_string(tensor.bits)},
         {"scale", channel.scale},
         {"zero_point", channel.zero + least}});
  return rows;
}

}  // namespace

std::string write_encodings(const Encodings& encodings, const std::vector<std::string>& weights,
                            EncodingsFormat format) {
  const auto is_weight = [&](const std::string& name) {
    return std::ranges::find(weights, name) != weights.end();
  };
  json root;
  if (format == EncodingsFormat::kOnnxRuntime) {
    for (const auto& [name, tensor] : encodings)
      root[name] = override_rows(tensor, is_weight(name));
    return root.dump(1) + "\n";
  }
  root = {{"version", "1.0.0"},
          {"activation_encodings", json::array()},
          {"param_encodings", json::array()}};
  for (const auto& [name, tensor] : encodings)
    root[is_weight(name) ? "param_encodings" : "activation_encodings"].push_back(
        aimet_row(name, tensor));
  return root.dump(1) + "\n";
}

Encodings encodings_of(const Graph& graph, const PrecisionPlan& plan,
                       std::vector<std::string>& weights) {
  Encodings encodings;
  const auto add = [&](ValueId id, const QuantParams& params) {
    TensorEncoding tensor;
    tensor.bits = dtype_bits(params.dtype);
    tensor.is_signed = integer_min(params.dtype) < 0;
    for (size_t i = 0; i < params.scales.size(); ++i)
      tensor.channels.push_back({static_cast<double>(params.scales[i]),
                                 params.zero_points[i] - integer_min(params.dtype)});
    encodings[graph.value(id).name] = std::move(tensor);
  };
  for (const auto& [id, params] : plan.values) add(id, params);
  for (const WeightPlan& weight : plan.weights) {
    const ValueId id = graph.node(weight.node).inputs.at(weight.input);
    add(id, weight.params);
    weights.push_back(graph.value(id).name);
  }
  return encodings;
}

}  // namespace lathe
