#include <algorithm>
#include <map>

#include "ops/op_row.h"
#include "prune/prunable_weights.h"
#include "prune/repair_targets.h"

namespace lathe {
namespace {

constexpr int64_t kMostRows = 65536;
constexpr int64_t kFewRows = 16384;  // for means, and to compare

// How a value of the pruned graph compares with the dense graph's.
enum class Change : uint8_t {
  kNone,
  kFewer,  // the channels that are left are the same
  kOther,
};

// Zeros where the dense weights, of the same shape, have none.
bool has_new_zeros(const Tensor* dense, const Tensor* pruned) {
  if (dense == nullptr || pruned == nullptr || dense->shape() != pruned->shape() ||
      !is_floating(pruned->dtype()))
    return false;
  const std::vector<double> was = dense->to_double();
  const std::vector<double> now = pruned->to_double();
  for (size_t i = 0; i < now.size(); ++i)
    if (now[i] == 0 && was[i] != 0) return true;
  return false;
}

// Masked at some time: so many exact zeros do not come about by chance.
bool is_sparse(const Tensor* weight) {
  constexpr double kShare = 0.3;
  if (weight == nullptr || !is_floating(weight->dtype()) || weight->numel() == 0) return false;
  const std::vector<double> values = weight->to_double();
  const auto zeros = std::count(values.begin(), values.end(), 0.0);
  return static_cast<double>(zeros) >= kShare * static_cast<double>(values.size());
}

class Differences {
 public:
  Differences(const Graph& dense, const Graph& pruned) : dense_(dense), pruned_(pruned) {
    for (const NodeId id : dense.node_ids()) by_name_[dense.node(id).name] = id;
  }

  NodeId dense_node(const Node& node) const {
    const auto found = by_name_.find(node.name);
    return found == by_name_.end() ? NodeId{} : found->second;
  }

  // Zeros of a mask, this one's or an earlier one's, stay.
  bool masked(const Node& node) const {
    for (const size_t i : weight_inputs(node))
      if (is_sparse(node.input(i).valid() ? pruned_.constant(node.input(i)) : nullptr)) return true;
    const NodeId other = dense_node(node);
    if (!other.valid()) return false;
    for (const size_t i : weight_inputs(node))
      if (node.input(i).valid() && dense_.node(other).input(i).valid() &&
          has_new_zeros(dense_.constant(dense_.node(other).input(i)),
                        pruned_.constant(node.input(i))))
        return true;
    return false;
  }

  Change read_change(const Node& node) const {
    Change change = Change::kNone;
    const auto look = [&](ValueId id) {
      const auto found = changes_.find(id);
      if (found != changes_.end()) change = std::max(change, found->second);
    };
    for (const ValueId id : node.inputs) look(id);
    for (const Subgraph& subgraph : node.subgraphs)
      for (const ValueId id : subgraph.captures) look(id);
    return change;
  }

  // To be called in the graph's order.
  void pass(const Node& node) {
    Change change = read_change(node);
    if (change == Change::kFewer && mixes_channels(node)) change = Change::kOther;
    const NodeId other = dense_node(node);
    if (!other.valid() || node.inputs.size() != dense_.node(other).inputs.size())
      change = Change::kOther;
    for (size_t i = 0; change != Change::kOther && i < node.inputs.size(); ++i)
      change = std::max(change, constant_change(dense_.node(other).inputs[i], node.inputs[i]));
    if (change == Change::kNone) return;
    for (const ValueId id : node.outputs)
      if (id.valid()) changes_[id] = change;
  }

 private:
  static bool mixes_channels(const Node& node) {
    const ChannelFlow flow = op_row(node.kind).channels;
    return flow == ChannelFlow::kProducer || flow == ChannelFlow::kUnknown;
  }

  Change constant_change(ValueId before, ValueId after) const {
    const Tensor* left = before.valid() ? dense_.constant(before) : nullptr;
    const Tensor* right = after.valid() ? pruned_.constant(after) : nullptr;
    if (left == nullptr && right == nullptr) return Change::kNone;
    if (left == nullptr || right == nullptr) return Change::kOther;
    if (left->identical(*right)) return Change::kNone;
    // Sizes and indices follow the channels.
    return left->shape() != right->shape() || !is_floating(right->dtype()) ? Change::kFewer
                                                                           : Change::kOther;
  }

  const Graph& dense_;
  const Graph& pruned_;
  std::map<std::string, NodeId> by_name_;
  std::map<ValueId, Change> changes_;
};

int64_t wanted_rows(const RepairLayer& layer, const RepairOptions& options) {
  if (layer.method != RepairMethod::kLeastSquares) return kFewRows;
  const int64_t unknowns = layer.inputs + 1;
  const double square = static_cast<double>(layer.groups) * static_cast<double>(unknowns) *
                        static_cast<double>(unknowns);
  const auto affordable = static_cast<int64_t>(std::min(1e9, options.products / square));
  return std::max(4 * unknowns,
                  std::min({std::max(64 * unknowns, kFewRows), kMostRows, affordable}));
}

// The dense output's channels that the layer computes; a note when they do not fit.
void match_channels(const Graph& dense, NodeId dense_node, const KeptOutputs& kept,
                    RepairTarget& target) {
  const Node& node = dense.node(dense_node);
  const auto found = kept.find(node.name);
  if (found != kept.end()) target.kept = found->second;
  const std::optional<RepairLayer> before = repair_layer(dense, dense_node, false);
  const bool recurrent = target.layer.recurrent;
  const int64_t channels = !before ? 0 : recurrent ? before->outputs : before->channels();
  // Rows of the first of four gates are units.
  if (recurrent) std::erase_if(target.kept, [&](int32_t position) { return position >= channels; });
  const bool inside = std::all_of(target.kept.begin(), target.kept.end(), [&](int32_t channel) {
    return channel >= 0 && channel < channels;
  });
  const int64_t left = target.kept.empty() ? channels : static_cast<int64_t>(target.kept.size());
  if (inside && left == (recurrent ? target.layer.outputs : target.layer.channels())) return;
  target.layer.method = RepairMethod::kNone;
  target.layer.note = "its channels could not be matched with the dense layer's";
}

// Given:  z = Add(y, b), y a layer's output that nothing else reads, b computed before the layer
// Result: the layer's rows are of the dense z.
void join_residual(const Graph& dense, const Graph& pruned,
                   const std::map<NodeId, size_t>& position, RepairTarget& target) {
  const ValueId output = pruned.node(target.layer.node).output(0);
  const std::optional<NodeId> user = pruned.single_user(output);
  if (!user || pruned.node(*user).kind != OpKind::kAdd) return;
  const Node& add = pruned.node(*user);
  const size_t side = add.input(0) == output ? 0 : 1;
  const Value& beside = pruned.value(add.inputs[1 - side]);
  const auto same_dims = [](const Value& a, const Value& b) {
    return a.type.dims && b.type.dims && *a.type.dims == *b.type.dims;
  };
  const bool before = !beside.producer.valid() || position.at(beside.producer) < target.position;
  if (beside.is_constant() || !before || !same_dims(beside, pruned.value(output))) return;
  const NodeId other = dense.find_node(add.name);
  if (!other.valid() || dense.node(other).kind != OpKind::kAdd ||
      dense.node(other).input(side) != target.dense_value ||
      !same_dims(dense.value(dense.node(other).inputs[1 - side]), dense.value(target.dense_value)))
    return;
  target.beside = add.inputs[1 - side];
  target.dense_value = dense.node(other).output(0);
}

}  // namespace

KeptOutputs kept_outputs(const Graph& dense, const std::vector<ChannelGroup>& groups,
                         const KeptChannels& kept) {
  // One constant of each node tells: the bias or scale where there is one (a weight in groups may
  // hold fewer positions), else the weight. Of a recurrent node, W.
  std::map<NodeId, std::pair<ValueId, std::vector<uint8_t>>> removed;
  for (size_t g = 0; g < groups.size(); ++g) {
    std::vector<uint8_t> stays(static_cast<size_t>(groups[g].size), 0);
    for (const int32_t channel : kept[g]) stays[static_cast<size_t>(channel)] = 1;
    for (const ChannelUse& use : groups[g].uses) {
      if (use.role == ChannelRole::kConsumes) continue;
      auto& [constant, gone] = removed[use.node];
      if (constant != use.constant) {
        const std::vector<size_t> weights = weight_inputs(dense.node(use.node));
        const bool is_weight =
            !weights.empty() && dense.node(use.node).input(weights[0]) == use.constant;
        const bool is_vector = dense.constant(use.constant)->rank() == 1;
        if (constant.valid() ? !is_vector : !is_weight && !is_vector) continue;
        constant = use.constant;
        gone.assign(use.channel.size(), 0);
      }
      for (size_t i = 0; i < use.channel.size(); ++i)
        if (use.channel[i] >= 0 && stays[static_cast<size_t>(use.channel[i])] == 0) gone[i] = 1;
    }
  }
  KeptOutputs outputs;
  for (const auto& [node, entry] : removed) {
    std::vector<int32_t>& left = outputs[dense.node(node).name];
    for (size_t i = 0; i < entry.second.size(); ++i)
      if (entry.second[i] == 0) left.push_back(static_cast<int32_t>(i));
  }
  return outputs;
}

std::vector<RepairTarget> find_repair_targets(const Graph& dense, const Graph& pruned,
                                              const KeptOutputs& kept,
                                              const RepairOptions& options) {
  std::vector<RepairTarget> targets;
  Differences differences(dense, pruned);
  const std::vector<NodeId> order = pruned.order();
  std::map<NodeId, size_t> position;
  for (size_t i = 0; i < order.size(); ++i) position[order[i]] = i;
  for (size_t i = 0; i < order.size(); ++i) {
    const Node& node = pruned.node(order[i]);
    const bool masked = differences.masked(node);
    const Change change = differences.read_change(node);
    differences.pass(node);
    if (change == Change::kNone && !masked) continue;
    std::optional<RepairLayer> layer = repair_layer(pruned, order[i], masked);
    if (!layer || (layer->method == RepairMethod::kStatistics &&
                   (!options.batch_norm || change != Change::kOther)))
      continue;
    RepairTarget target;
    target.layer = std::move(*layer);
    target.index = targets.size();
    target.position = i;
    const NodeId other = differences.dense_node(node);
    if (!other.valid() || dense.node(other).kind != node.kind) {
      target.layer.method = RepairMethod::kNone;
      target.layer.note = "there is no such layer in the dense network";
    } else {
      target.dense_node = other;
      target.dense_value = dense.node(other).output(0);
      if (target.layer.method != RepairMethod::kNone) match_channels(dense, other, kept, target);
      if (target.layer.method == RepairMethod::kLeastSquares && !target.layer.recurrent)
        join_residual(dense, pruned, position, target);
    }
    const auto count = wanted_rows(target.layer, options);
    target.rows_a_sample = count;  // of all samples; divided by RepairTargets
    targets.push_back(std::move(target));
  }
  return targets;
}

}  // namespace lathe
