#include "verify/rounding_noise.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "os/signals.h"
#include "verify/verification_bound.h"

namespace lathe {
namespace {

using Values = std::optional<std::vector<RuntimeValue>>;

RuntimeValue floats(const at::Tensor& tensor) {
  return RuntimeValue(tensor.to(at::kFloat), DType::kFloat32);
}

// DynamicQuantizeLinear without its rounding: numbers in steps of the scale.
Values unrounded_steps(const RuntimeValue& input) {
  const at::Tensor& x = input.tensor;
  if (x.numel() == 0) return std::nullopt;
  const double low = std::min(x.min().item<double>(), 0.0);
  const double high = std::max(x.max().item<double>(), 0.0);
  const double scale = high > low ? (high - low) / 255 : 1;
  const double zero = std::clamp(std::nearbyint(-low / scale), 0.0, 255.0);
  return std::vector<RuntimeValue>{
      floats(x.to(at::kDouble) / scale + zero), floats(at::scalar_tensor(scale, at::kDouble)),
      RuntimeValue(at::scalar_tensor(zero, at::kByte), DType::kUInt8)};
}

// MatMulInteger of such numbers; nullopt for integers.
Values unrounded_product(const std::vector<RuntimeValue>& inputs) {
  if (inputs[0].tensor->scalar_type() != at::kFloat) return std::nullopt;
  const auto zero = [&](size_t index, bool rows) {
    if (inputs.size() <= index || !inputs[index].is_tensor()) return at::zeros({}, at::kDouble);
    const at::Tensor given = inputs[index].tensor->to(at::kDouble);
    return rows && given.dim() == 1 && given.numel() > 1 ? given.unsqueeze(-1) : given;
  };
  return std::vector<RuntimeValue>{
      floats(at::matmul(inputs[0].tensor->to(at::kDouble) - zero(2, true),
                        inputs[1].tensor->to(at::kDouble) - zero(3, false)))};
}

// The DynamicQuantizeLinear nodes whose numbers nothing but MatMulInteger reads.
std::set<const Node*> before_products(const Graph& graph) {
  std::set<const Node*> found;
  for_each_graph(graph, [&](const Graph& inner) {
    for (const NodeId id : inner.node_ids()) {
      const Node& node = inner.node(id);
      if (node.kind != OpKind::kDynamicQuantizeLinear || inner.is_output(node.outputs[0])) continue;
      const std::vector<NodeId>& users = inner.value(node.outputs[0]).users;
      if (std::ranges::all_of(users, [&](NodeId user) {
            return inner.node(user).kind == OpKind::kMatMulInteger;
          }))
        found.insert(&node);
    }
  });
  return found;
}

// What a network computes whose quantized values are limited to their ranges but not rounded.
Values unrounded(const Node& node, const std::vector<RuntimeValue>& inputs,
                 const std::set<const Node*>& dynamic) {
  if (dynamic.contains(&node)) return unrounded_steps(inputs[0]);
  if (node.kind == OpKind::kMatMulInteger) return unrounded_product(inputs);
  const bool quantizes = node.kind == OpKind::kQuantizeLinear;
  if (!quantizes && node.kind != OpKind::kDequantizeLinear) return std::nullopt;
  const at::Tensor& x = inputs[0].tensor;
  const bool one_scale = inputs[1].is_tensor() && inputs[1].tensor->numel() == 1;
  if (!one_scale || x.scalar_type() != at::kFloat) return std::nullopt;
  if (!quantizes) return std::vector<RuntimeValue>{inputs[0]};
  if (inputs.size() < 3 || !inputs[2].is_tensor() || inputs[2].tensor->numel() != 1)
    return std::nullopt;
  const at::Tensor& zero = inputs[2].tensor;
  const bool is_signed = zero.scalar_type() == at::kChar;
  if (!is_signed && zero.scalar_type() != at::kByte) return std::nullopt;
  const auto scale = inputs[1].tensor->item<double>();
  const auto zero_point = zero.item<int64_t>();
  const int64_t low = is_signed ? -128 : 0;
  const at::Tensor limited = at::clamp(x, static_cast<double>(low - zero_point) * scale,
                                       static_cast<double>(low + 255 - zero_point) * scale);
  return std::vector<RuntimeValue>{RuntimeValue(limited, DType::kFloat32)};
}

// Each number larger or smaller by about what sums in another order differ by.
void nudge(ValueId, RuntimeValue& value) {
  constexpr double kGoldenRatio = 0.6180339887498949;
  if (!value.is_tensor() || value.tensor->scalar_type() != at::kFloat) return;
  const at::Tensor scattered =
      (at::arange(value.tensor->numel(), at::kDouble) * kGoldenRatio).frac() - 0.5;
  const at::Tensor factor = 1 + scattered.sign() * std::ldexp(1.0, -21);
  const at::Tensor moved = value.tensor->to(at::kDouble) * factor.view(value.tensor->sizes());
  value.tensor = moved.to(at::kFloat);
}

}  // namespace

bool is_quantized(const Graph& graph) {
  bool found = false;
  for_each_graph(graph, [&](const Graph& inner) {
    for (const NodeId id : inner.node_ids()) {
      const OpKind kind = inner.node(id).kind;
      found = found || kind == OpKind::kQuantizeLinear || kind == OpKind::kDynamicQuantizeLinear;
    }
  });
  return found;
}

std::vector<ErrorSums> rounding_noise(const Interpreter& graph, const SampleSource& source) {
  std::vector<ErrorSums> noise(graph.graph().outputs().size());
  const bool quantized = is_quantized(graph.graph());
  RunOptions hooks;
  const std::set<const Node*> dynamic = before_products(graph.graph());
  if (quantized)
    hooks.compute = [&](const Node& node, const std::vector<RuntimeValue>& values) {
      return unrounded(node, values, dynamic);
    };
  else
    hooks.on_value = nudge;
  hooks.check = throw_if_interrupted;
  for (size_t sample = 0; sample < source.count; ++sample) {
    std::vector<RuntimeValue> inputs;
    for (const Tensor& input : source.sample(sample)) inputs.push_back(to_runtime(input));
    const std::vector<RuntimeValue> rounded = graph.run(inputs);
    const std::vector<RuntimeValue> ideal = graph.run(std::move(inputs), hooks);
    for (size_t i = 0; i < noise.size(); ++i)
      if (rounded[i].is_tensor()) noise[i].merge(error_sums(ideal[i].tensor, rounded[i].tensor));
  }
  return noise;
}

double rounding_room_db(const Graph& graph) { return is_quantized(graph) ? 6 : 12; }

SampleSource steady_samples(const Interpreter& graph, const SampleSource& source) {
  constexpr double kSteady = 20;
  if (!source.carry.empty()) return source;
  std::vector<size_t> steady;
  for (size_t sample = 0; sample < source.count; ++sample) {
    const SampleSource one{1, [&](size_t) { return source.sample(sample); }, {}};
    const std::vector<ErrorSums> noise = rounding_noise(graph, one);
    if (std::all_of(noise.begin(), noise.end(),
                    [](const ErrorSums& sums) { return sums.sqnr_db() >= kSteady; }))
      steady.push_back(sample);
  }
  const size_t count = steady.size();
  return {count,
          [sample = source.sample, steady = std::move(steady)](size_t i) {
            return sample(steady.at(i));
          },
          {}};
}

std::string beyond_rounding(std::string failure, const ValueError& output,
                            const ErrorSums& rounding, double room_db) {
  constexpr double kLeast = 6;
  const double alone = rounding.sqnr_db();
  VerificationBound bound;
  if (rounding.noise == 0) return failure;
  bound.min_sqnr_db = std::max(alone - room_db, kLeast);
  failure = missed_bound(output, bound);
  if (!failure.empty())
    failure += fmt::format(
        "; rounding alone leaves {:.1f} dB on these inputs, --verify DATA judges by yours", alone);
  return failure;
}

}  // namespace lathe
