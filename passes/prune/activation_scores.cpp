#include <ATen/ATen.h>

#include <cmath>

#include "calibration/channel_means.h"
#include "ops/op_row.h"
#include "prune/channel_scores.h"
#include "prune/prunable_weights.h"

namespace lathe {
namespace {

// A value whose positions along an axis are channels of a group.
struct Watch {
  size_t group = 0;
  int64_t axis = 1;  // negative: from the end
  std::vector<int32_t> channel;
};

using Watches = std::multimap<ValueId, Watch>;

bool is_conv(OpKind kind) {
  return kind == OpKind::kConv || kind == OpKind::kConvTranspose || kind == OpKind::kFusedConv ||
         kind == OpKind::kDeformConv;
}

// Through what alone reads the value and keeps each channel to itself.
ValueId after_activation(const Graph& graph, ValueId value) {
  for (;;) {
    const std::optional<NodeId> user = graph.single_user(value);
    if (!user) return value;
    const Node& node = graph.node(*user);
    const ChannelFlow flow = op_row(node.kind).channels;
    if (flow != ChannelFlow::kElementwise && flow != ChannelFlow::kPerChannel) return value;
    for (const ValueId input : node.inputs)
      if (input.valid() && input != value && graph.constant(input) == nullptr) return value;
    if (!node.output(0).valid()) return value;
    value = node.output(0);
  }
}

Watches find_watches(const Graph& graph, const std::vector<ChannelGroup>& groups) {
  Watches watches;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (!groups[i].blocked.empty()) continue;
    for (const ChannelUse& use : groups[i].uses) {
      const Node& node = graph.node(use.node);
      const std::vector<size_t> inputs = weight_inputs(node);
      if (use.role != ChannelRole::kProduces || inputs.empty() ||
          node.input(inputs[0]) != use.constant || !node.output(0).valid())
        continue;
      Watch watch{i, is_conv(node.kind) ? 1 : -1, use.channel};
      // Gates of one unit lie a hidden size apart; what is watched are the units.
      if (const int64_t gates = gate_count(node.kind); gates > 0)
        watch.channel.resize(watch.channel.size() / static_cast<size_t>(gates));
      const ValueId value = after_activation(graph, node.output(0));
      watches.emplace(value, std::move(watch));
    }
  }
  return watches;
}

void collect(const Watches& watches, ValueId id, const RuntimeValue& value,
             std::map<ValueId, ChannelMeans>& means) {
  const auto found = watches.find(id);
  if (found == watches.end() || !value.is_tensor()) return;
  const int64_t rank = value.tensor->dim();
  const int64_t axis = found->second.axis < 0 ? rank - 1 : found->second.axis;
  if (axis < 0 || axis >= rank ||
      value.tensor->size(axis) != static_cast<int64_t>(found->second.channel.size()))
    return;
  const at::Tensor magnitudes = value.tensor->to(at::kFloat).abs().contiguous();
  int64_t inner = 1;
  for (int64_t i = axis + 1; i < rank; ++i) inner *= magnitudes.size(i);
  means[id].add({magnitudes.data_ptr<float>(), static_cast<size_t>(magnitudes.numel())},
                magnitudes.size(axis), inner);
}

}  // namespace

std::vector<std::vector<double>> measure_activations(const Interpreter& interpreter,
                                                     const std::vector<ChannelGroup>& groups,
                                                     const SampleSource& source,
                                                     const SampleRunOptions& options) {
  const Graph& graph = interpreter.graph();
  const Watches watches = find_watches(graph, groups);
  std::vector<std::map<ValueId, ChannelMeans>> locals(
      static_cast<size_t>(std::max(1, options.threads)));
  const auto work = [&](size_t, size_t worker, const std::vector<RuntimeValue>& inputs) {
    RunOptions run;
    run.check = options.check;
    run.on_value = [&](ValueId id, RuntimeValue& value) {
      collect(watches, id, value, locals[worker]);
    };
    return interpreter.run(inputs, run);
  };
  for_each_sample(graph, source, options, work);

  std::map<ValueId, ChannelMeans> means;
  for (const auto& local : locals)
    for (const auto& [id, part] : local) means[id].merge(part);
  std::vector<std::vector<double>> scores(groups.size());
  for (const auto& [id, watch] : watches) {
    const std::vector<double> measured = means[id].means();
    if (measured.empty()) continue;
    std::vector<double> part(static_cast<size_t>(groups[watch.group].size), 0.0);
    for (size_t i = 0; i < measured.size(); ++i)
      if (watch.channel[i] >= 0) part[static_cast<size_t>(watch.channel[i])] += measured[i];
    std::vector<double>& total = scores[watch.group];
    total.resize(part.size(), 0.0);
    for (size_t i = 0; i < part.size(); ++i) total[i] += part[i];
  }
  return scores;
}

}  // namespace lathe
