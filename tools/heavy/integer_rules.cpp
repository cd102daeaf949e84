#include "heavy/integer_rules.h"

#include "ir/error.h"
#include "os/glob.h"

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
  if (config->weights) {
    rules.weight_dtype = config->weights->dtype;
    rules.weight_per_channel = config->weights->per_channel;
    rules.weight_reduce_range = config->weights->reduce_range;
  }
  if (options.weight_granularity == "tensor") rules.weight_per_channel = false;
  for (const auto& [kind, configs] : profile.precision.ops)
    if (!configs.empty()) rules.ops.insert(kind);
  rules.moves = profile.precision.pass_through;

  const std::vector<Selector> include = parse_selectors(options.include);
  const std::vector<Selector> exclude = parse_selectors(options.exclude);
  std::vector<NodeLabel> labels;
  for (const NodeId id : graph.node_ids())
    labels.push_back({graph.node(id).name, std::string(graph.node(id).type_name())});
  require_matches(include, labels, "--include");
  require_matches(exclude, labels, "--exclude");
  rules.selected = [include, exclude](const Node& node) {
    const bool in = include.empty() || matches_any(include, node.name, node.type_name());
    return in && !matches_any(exclude, node.name, node.type_name());
  };
  return rules;
}

}  // namespace lathe
