#include "quantize/equalize/absorb_high_biases.h"

#include <algorithm>
#include <optional>
#include <set>

#include "ir/real_tensor.h"
#include "quantize/equalize/weight_channels.h"

namespace lathe {
namespace {

constexpr double kLeastShare = 0.01;

struct Site {
  NodeId producer;
  std::set<NodeId> consumers;
};

// A Conv or Gemm whose bias, if any, has one number for each output.
bool has_plain_bias(const Graph& graph, const Node& node) {
  if (node.kind != OpKind::kConv && node.kind != OpKind::kGemm) return false;
  const auto shape = weight_channels(graph, node);
  if (!shape) return false;
  if (node.attributes.float_or("alpha", 1) != 1 || node.attributes.float_or("beta", 1) != 1)
    return false;
  if (!node.input(2).valid()) return true;
  const Tensor* bias = graph.constant(node.input(2));
  return bias != nullptr && bias->dtype() == DType::kFloat32 && bias->rank() == 1 &&
         bias->numel() == shape->outputs;
}

// Padding puts zeros where the moved bias would have to stand.
bool is_padded(const Node& node) {
  const std::string automatic = node.attributes.string_or("auto_pad", "NOTSET");
  if (automatic != "NOTSET" && automatic != "VALID") return true;
  const std::vector<int64_t> pads = node.attributes.ints_or("pads", {});
  return std::any_of(pads.begin(), pads.end(), [](int64_t pad) { return pad != 0; });
}

std::optional<Site> site_at(const Graph& graph, NodeId id) {
  const Node& relu = graph.node(id);
  if (relu.kind != OpKind::kRelu || graph.is_output(relu.output(0))) return {};
  Site site{graph.value(relu.input(0)).producer, {}};
  if (!site.producer.valid() || !graph.single_user(relu.input(0)) ||
      !has_plain_bias(graph, graph.node(site.producer)))
    return {};
  const auto& users = graph.value(relu.output(0)).users;
  site.consumers.insert(users.begin(), users.end());
  for (const NodeId user : site.consumers) {
    const Node& node = graph.node(user);
    // Not as weight or bias, and with its own weights rather than the Relu's values.
    if (!has_plain_bias(graph, node) || is_padded(node) || node.input(0) != relu.output(0))
      return {};
  }
  return site.consumers.empty() ? std::nullopt : std::optional<Site>(site);
}

void shift_bias(Graph& graph, NodeId id, const std::vector<double>& shift) {
  const Node& node = graph.node(id);
  const ValueId old = node.input(2);
  std::vector<double> bias(shift.size(), 0.0);
  if (old.valid()) bias = graph.constant(old)->to_double();
  for (size_t c = 0; c < bias.size(); ++c) bias[c] += shift[c];
  const std::string stem = old.valid() ? graph.value(old).name : node.name + "_bias";
  const bool present = node.inputs.size() > 2;
  const ValueId fresh =
      graph.add_constant(graph.fresh_name(stem + "_absorbed"),
                         real_tensor(DType::kFloat32, {static_cast<int64_t>(bias.size())}, bias));
  if (present)
    graph.replace_input(id, 2, fresh);
  else
    graph.add_node_input(id, fresh);
}

// What the layer adds up for the moved biases.
std::vector<double> carried(const Graph& graph, const Node& node,
                            const std::vector<double>& moved) {
  const WeightChannels shape = *weight_channels(graph, node);
  std::vector<double> sum(static_cast<size_t>(shape.outputs), 0.0);
  const auto weight = graph.constant(node.inputs[1])->values<float>();
  for (size_t i = 0; i < weight.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    sum[static_cast<size_t>(shape.output(at))] +=
        static_cast<double>(weight[i]) * moved[static_cast<size_t>(shape.input(at))];
  }
  return sum;
}

}  // namespace

int absorb_high_biases(Graph& graph, const Statistics& statistics) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    const auto site = site_at(graph, id);
    if (!site) continue;
    const auto held = statistics.channels.find(graph.value(graph.node(id).input(0)).name);
    if (held == statistics.channels.end()) continue;
    const ChannelStatistics& before = held->second;
    if (static_cast<int64_t>(before.channels()) !=
        weight_channels(graph, graph.node(site->producer))->outputs)
      continue;
    std::vector<double> moved(before.channels(), 0.0);
    std::vector<double> taken(before.channels(), 0.0);
    int count = 0;
    for (size_t c = 0; c < moved.size(); ++c) {
      if (!(before.min[c] > 0 && before.min[c] > kLeastShare * before.max[c])) continue;
      moved[c] = before.min[c];
      taken[c] = -before.min[c];
      ++count;
    }
    if (count == 0) continue;
    shift_bias(graph, site->producer, taken);
    for (const NodeId consumer : site->consumers)
      shift_bias(graph, consumer, carried(graph, graph.node(consumer), moved));
    changes += count;
  }
  return changes;
}

std::map<ValueId, int64_t> absorption_targets(const Graph& graph) {
  std::map<ValueId, int64_t> targets;
  for (const NodeId id : graph.order())
    if (site_at(graph, id)) targets[graph.node(id).input(0)] = 1;
  return targets;
}

}  // namespace lathe
