#include <algorithm>
#include <map>
#include <set>

#include "graph/graph_passes.h"
#include "ops/op_row.h"
#include "recognize/permutation.h"
#include "recognize/redirect.h"

namespace lathe {
namespace {

// Elementwise nodes whose inputs all stand behind the permutation, found from one Transpose.
struct Region {
  Permutation perm;
  std::set<NodeId> entries;   // Transposes by perm that members read
  std::vector<NodeId> nodes;  // members, producers first
  std::set<NodeId> members;
};

using Positions = std::map<NodeId, size_t>;

// Inputs beyond the first are parameters, not partners that broadcast.
bool has_parameters(OpKind kind) {
  return kind == OpKind::kClip || kind == OpKind::kQuantizeLinear ||
         kind == OpKind::kDequantizeLinear;
}

bool is_rank_zero(const Graph& graph, ValueId id) {
  const auto& dims = graph.value(id).type.dims;
  return dims && dims->empty();
}

bool is_permutable(const Graph& graph, ValueId id, size_t rank) {
  const Tensor* tensor = graph.constant(id);
  if (tensor == nullptr || tensor->shape().size() > rank || dtype_bits(tensor->dtype()) < 8)
    return false;
  // A large constant that others read too would be stored twice.
  return tensor->bytes().size() <= (size_t{1} << 20) || graph.value(id).users.size() == 1;
}

// A member's output changes its layout; a Transpose that reads one is a way out, never a way in.
bool reads_member(const Graph& graph, NodeId transpose, const Region& region) {
  const NodeId producer = graph.value(graph.node(transpose).inputs[0]).producer;
  return producer.valid() && region.members.contains(producer);
}

bool feeds_entry(const Graph& graph, const Node& node, const Region& region) {
  const auto& users = graph.value(node.outputs[0]).users;
  return std::any_of(users.begin(), users.end(),
                     [&](NodeId user) { return region.entries.contains(user); });
}

// Takes the node in when every input fits; a partner's Transpose becomes an entry.
bool try_member(const Graph& graph, NodeId id, Region& region) {
  const Node& node = graph.node(id);
  // A Sum of thousands would be looked at once per input.
  constexpr size_t kMaxInputs = 64;
  if (!op_row(node.kind).elementwise || node.inputs.size() > kMaxInputs ||
      node.outputs.size() != 1 || !node.outputs[0].valid() || feeds_entry(graph, node, region))
    return false;
  std::vector<NodeId> partners;
  bool touches = false;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId input = node.inputs[i];
    if (!input.valid()) continue;
    const NodeId producer = graph.value(input).producer;
    if (region.members.contains(producer) || region.entries.contains(producer)) {
      if (i > 0 && has_parameters(node.kind)) return false;
      touches = true;
      continue;
    }
    if (is_rank_zero(graph, input)) continue;
    if (has_parameters(node.kind)) return false;
    if (producer.valid() && permutation_of(graph, graph.node(producer)) == region.perm &&
        !reads_member(graph, producer, region)) {
      partners.push_back(producer);
      continue;
    }
    if (!is_permutable(graph, input, region.perm.size())) return false;
  }
  if (!touches) return false;
  region.entries.insert(partners.begin(), partners.end());
  region.members.insert(id);
  region.nodes.push_back(id);
  return true;
}

Region grow(const Graph& graph, NodeId start, const Permutation& perm, const Positions& positions) {
  Region region{perm, {start}, {}, {}};
  std::set<std::pair<size_t, NodeId>> queue;  // by position: producers are decided before users
  std::set<NodeId> seen;
  const auto push_users = [&](ValueId value) {
    for (const NodeId user : graph.value(value).users) {
      const auto at = positions.find(user);
      if (at != positions.end() && seen.insert(user).second) queue.insert({at->second, user});
    }
  };
  push_users(graph.node(start).outputs[0]);
  std::set<NodeId> pushed = {start};  // once per entry: it may have thousands of users
  while (!queue.empty()) {
    const NodeId id = queue.begin()->second;
    queue.erase(queue.begin());
    if (!graph.is_live(id) || !try_member(graph, id, region)) {
      // Another input may join later and bring it in.
      seen.erase(id);
      continue;
    }
    push_users(graph.node(id).outputs[0]);
    for (const ValueId input : graph.node(id).inputs)
      if (input.valid() && region.entries.contains(graph.value(input).producer) &&
          pushed.insert(graph.value(input).producer).second)
        push_users(input);
  }
  std::sort(region.nodes.begin(), region.nodes.end(),
            [&](NodeId a, NodeId b) { return positions.at(a) < positions.at(b); });
  return region;
}

bool is_exit(const Graph& graph, NodeId user, const Region& region) {
  const auto perm = permutation_of(graph, graph.node(user));
  return perm && perm->size() == region.perm.size();
}

bool is_read_elsewhere(const Graph& graph, ValueId value, const Region& region) {
  if (graph.is_output(value)) return true;
  const auto& users = graph.value(value).users;
  return std::any_of(users.begin(), users.end(), [&](NodeId user) {
    return !region.members.contains(user) && !is_exit(graph, user, region);
  });
}

// Transposes that go, less those that come.
int saving(const Graph& graph, const Region& region) {
  int saved = 0;
  for (const NodeId entry : region.entries) {
    const ValueId output = graph.node(entry).outputs[0];
    const auto& users = graph.value(output).users;
    const bool dies = !graph.is_output(output) &&
                      std::all_of(users.begin(), users.end(),
                                  [&](NodeId user) { return region.members.contains(user); });
    saved += dies ? 1 : 0;
  }
  for (const NodeId id : region.nodes) {
    const ValueId value = graph.node(id).outputs[0];
    if (is_read_elsewhere(graph, value, region)) --saved;
    for (const NodeId user : graph.value(value).users) {
      if (region.members.contains(user) || !is_exit(graph, user, region)) continue;
      const Permutation both = composed(region.perm, *permutation_of(graph, graph.node(user)));
      if (is_identity(both) && !graph.is_output(graph.node(user).outputs[0])) ++saved;
    }
  }
  return saved;
}

void permute_inputs(Graph& graph, NodeId id, const Region& region,
                    std::map<ValueId, ValueId>& permuted) {
  const std::vector<ValueId> inputs = graph.node(id).inputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].valid()) continue;
    const NodeId producer = graph.value(inputs[i]).producer;
    if (producer.valid() && region.entries.contains(producer)) {
      graph.replace_input(id, i, graph.node(producer).inputs[0]);
      continue;
    }
    const Tensor* tensor = graph.constant(inputs[i]);
    if (tensor == nullptr || tensor->numel() == 1) continue;
    const auto [at, fresh] = permuted.try_emplace(inputs[i]);
    if (fresh) {
      const std::string name = graph.fresh_name(graph.value(inputs[i]).name + "_permuted");
      at->second = graph.add_constant(name, untransposed(*tensor, region.perm));
    }
    graph.replace_input(id, i, at->second);
  }
}

// The member's output in the untransposed layout; a Transpose behind it for readers elsewhere.
void move_output(Graph& graph, ValueId value, const Region& region) {
  const std::string name = graph.value(value).name;
  const ValueType type = graph.value(value).type;
  const bool elsewhere = is_read_elsewhere(graph, value, region);
  std::vector<NodeId> exits;
  for (const NodeId user : graph.value(value).users)
    if (!region.members.contains(user) && is_exit(graph, user, region)) exits.push_back(user);
  // Another layout under the old name would mislead whoever compares layers by name.
  graph.rename(value, graph.fresh_name(name + "_untransposed"));
  if (type.dims && type.dims->size() == region.perm.size())
    graph.edit_type(value).dims = untransposed(*type.dims, region.perm);
  if (elsewhere) {
    const ValueId transposed = graph.add_value(name, type);
    const std::vector<NodeId> users = graph.value(value).users;
    graph.replace_all_uses(value, transposed);
    for (const NodeId user : users) {
      const bool leaves = std::find(exits.begin(), exits.end(), user) != exits.end();
      if (!region.members.contains(user) && !leaves) continue;
      for (size_t i = 0; i < graph.node(user).inputs.size(); ++i)
        if (graph.node(user).inputs[i] == transposed) graph.replace_input(user, i, value);
    }
    Node transpose;
    transpose.kind = OpKind::kTranspose;
    transpose.inputs = {value};
    transpose.outputs = {transposed};
    transpose.attributes.set("perm", region.perm);
    graph.add_node(std::move(transpose));
  }
  for (const NodeId user : exits) {
    const ValueId output = graph.node(user).outputs[0];
    const auto own = graph.node(user).attributes.ints_or("perm", {});
    Permutation second = own;
    if (own.empty())
      for (size_t i = region.perm.size(); i-- > 0;) second.push_back(static_cast<int64_t>(i));
    const Permutation both = composed(region.perm, second);
    if (is_identity(both) && may_redirect(graph, output, value)) {
      graph.replace_all_uses_keeping_output_name(output, value);
      graph.erase_node(user);
    } else {
      graph.edit(user).attributes.set("perm", both);
    }
  }
}

void apply(Graph& graph, const Region& region) {
  std::map<ValueId, ValueId> permuted;
  for (const NodeId id : region.nodes) permute_inputs(graph, id, region, permuted);
  for (const NodeId id : region.nodes) move_output(graph, graph.node(id).outputs[0], region);
  for (const NodeId entry : region.entries) erase_if_unread(graph, entry);
}

int push_round(Graph& graph) {
  int changes = 0;
  const std::vector<NodeId> order = graph.order();
  Positions positions;
  for (size_t i = 0; i < order.size(); ++i) positions[order[i]] = i;
  std::set<NodeId> tried;
  for (const NodeId id : order) {
    if (!graph.is_live(id) || tried.contains(id)) continue;
    const auto perm = permutation_of(graph, graph.node(id));
    if (!perm) continue;
    const Region region = grow(graph, id, *perm, positions);
    // From its other entries the same region would be found again.
    tried.insert(region.entries.begin(), region.entries.end());
    if (region.nodes.empty() || saving(graph, region) <= 0) continue;
    apply(graph, region);
    ++changes;
  }
  return changes;
}

}  // namespace

int push_transposes(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.node_ids())
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += push_transposes(subgraph.graph());
  // Every change removes a Transpose, so this ends.
  for (int round = push_round(graph); round > 0; round = push_round(graph)) changes += round;
  return changes;
}

}  // namespace lathe
