#include "commands/quantize/integer_rules.h"

#include "commands/quantize/selected_nodes.h"
#include "ir/error.h"

namespace lathe {

IntegerRules integer_rules(const Profile& profile, const QuantizeOptions& options,
                           const Graph& graph) {
  IntegerRules rules;
  const PrecisionConfig* config = nullptr;
  for (const OpKind kind : {OpKind::kConv, OpKind::kGemm, OpKind::kMatMul}) {
    const auto allowed = allowed_configs(profile, kind);
    if (config == nullptr && !allowed.empty()) config = allowed.front();
  }
  if (config == nullptr)
    throw bad_usage("profile.no_integers", "this device has no integer convolution or product",
                    "profile " + profile.name, "choose another with --profile; see lathe profiles");
  rules.activation_dtype = config->activations.dtype;
  rules.activation_symmetric = config->activations.symmetric;
  rules.power_of_two = config->power_of_two;
  if (config->weights) {
    rules.weight_dtype = config->weights->dtype;
    rules.weight_per_channel = config->weights->per_channel;
    rules.weight_reduce_range = config->weights->reduce_range;
    // uint8 weights take the exact way of 16-bit factors.
    rules.pair_sums_saturate =
        profile.cpu.int8 == "maddubs" && config->weights->dtype == DType::kInt8;
  }
  if (options.weight_granularity == "tensor") rules.weight_per_channel = false;
  for (const auto& [kind, configs] : profile.precision.ops)
    if (!configs.empty()) rules.ops.insert(kind);
  rules.moves = profile.precision.pass_through;
  rules.float_outputs = profile.precision.float_outputs;

  const NodeSelection nodes = selected_nodes(options, graph);
  rules.selected = [nodes](const Node& node) { return nodes.selects(node); };
  return rules;
}

}  // namespace lathe
