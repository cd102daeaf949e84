#include <cmath>

#include "ir/error.h"
#include "quantize/plan/precision_plan.h"
#include "quantize/plan/weight_params.h"

namespace lathe {
namespace {

// sum over inputs and taps of (W8 - W) * E[x], per output channel.
std::vector<double> mean_shift(const Node& node, const Tensor& weight, const WeightPlan& plan,
                               const std::vector<double>& means) {
  const QuantParams& params = plan.params;
  const Tensor integers = quantize_tensor(weight, params, plan.reduce_range);
  const auto original = weight.values<float>();
  const std::vector<int64_t> rounded = integers.to_int64();
  const Shape& shape = weight.shape();
  const bool conv = node.kind == OpKind::kConv;
  const bool transposed = !conv && node.attributes.int_or("transB", 0) == 0;
  const int64_t outputs = transposed ? shape[1] : shape[0];
  const int64_t group = conv ? node.attributes.int_or("group", 1) : 1;
  const int64_t inputs = transposed ? shape[0] : shape[1];
  int64_t taps = 1;
  for (size_t i = 2; i < shape.size(); ++i) taps *= shape[i];
  std::vector<double> shift(static_cast<size_t>(outputs), 0.0);
  if (static_cast<int64_t>(means.size()) != inputs * group) return {};
  for (int64_t o = 0; o < outputs; ++o) {
    const double scale = params.scales[params.scales.size() == 1 ? 0 : static_cast<size_t>(o)];
    const int64_t first_input = o / (outputs / group) * inputs;
    for (int64_t i = 0; i < inputs; ++i)
      for (int64_t t = 0; t < taps; ++t) {
        const auto at =
            static_cast<size_t>(transposed ? i * outputs + o : (o * inputs + i) * taps + t);
        const double error = static_cast<double>(rounded[at]) * scale - original[at];
        shift[static_cast<size_t>(o)] += error * means[static_cast<size_t>(first_input + i)];
      }
  }
  return shift;
}

}  // namespace

int correct_bias(Graph& graph, PrecisionPlan& plan, const Statistics& statistics) {
  int changes = 0;
  for (const WeightPlan& weight : plan.weights) {
    const Node& node = graph.node(weight.node);
    const auto means = statistics.channel_means.find(graph.value(node.inputs[0]).name);
    if ((node.kind != OpKind::kConv && node.kind != OpKind::kGemm) ||
        means == statistics.channel_means.end())
      continue;
    const Tensor* bias = graph.constant(node.input(2));
    if (bias == nullptr && node.input(2).valid()) continue;  // computed
    // A Gemm's C may be a matrix; its rows then have no common mean to take back.
    if (bias != nullptr && bias->rank() != 1) continue;
    const std::vector<double> shift =
        mean_shift(node, *graph.constant(node.inputs[1]), weight, means->second);
    if (shift.empty() || (bias != nullptr && bias->numel() != static_cast<int64_t>(shift.size())))
      continue;
    std::vector<float> corrected(shift.size());
    for (size_t c = 0; c < shift.size(); ++c) {
      const double old = bias != nullptr ? bias->values<float>()[c] : 0.0;
      corrected[c] = static_cast<float>(old - shift[c]);
    }
    const std::string stem =
        bias != nullptr ? graph.value(node.inputs[2]).name : node.name + "_bias";
    const ValueId constant =
        graph.add_constant(stem + "_corrected",
                           Tensor::of<float>({static_cast<int64_t>(corrected.size())}, corrected));
    if (node.inputs.size() > 2) {
      graph.replace_input(weight.node, 2, constant);
    } else {
      graph.add_node_input(weight.node, constant);
    }
    const auto input = plan.values.find(node.inputs[0]);  // absent when activations stay float
    if (bias == nullptr && input != plan.values.end())
      plan.biases.push_back({weight.node, 2, bias_params(weight.params, input->second.scales[0])});
    ++changes;
  }
  return changes;
}

}  // namespace lathe
