#include <cstring>
#include <map>
#include <tuple>

#include "graph/graph_passes.h"

namespace lathe {
namespace {

// MatMul by a constant matrix, perhaps with a bias behind it.
struct Branch {
  NodeId matmul;
  NodeId add;
  ValueId weight;
  ValueId bias;
  ValueId result;
  int64_t columns = 0;
};

bool is_weight(const Tensor* tensor) {
  return tensor != nullptr && tensor->rank() == 2 && is_floating(tensor->dtype()) &&
         dtype_bits(tensor->dtype()) >= 16 && tensor->numel() > 0;
}

Branch branch_of(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const Tensor* weight = graph.constant(node.inputs[1]);
  Branch branch{id, {}, node.inputs[1], {}, node.outputs[0], weight->shape()[1]};
  const auto reader = graph.single_user(node.outputs[0]);
  if (!reader || graph.node(*reader).kind != OpKind::kAdd) return branch;
  const Node& add = graph.node(*reader);
  const ValueId other = add.inputs[add.inputs[0] == node.outputs[0] ? 1 : 0];
  const Tensor* bias = graph.constant(other);
  if (bias == nullptr || bias->rank() != 1 || bias->numel() != branch.columns ||
      bias->dtype() != weight->dtype())
    return branch;
  branch.add = *reader;
  branch.bias = other;
  branch.result = add.outputs[0];
  return branch;
}

// All tensors beside each other on their last axis.
Tensor beside(const std::vector<const Tensor*>& tensors) {
  const size_t width = static_cast<size_t>(dtype_bytes(tensors[0]->dtype(), 1));
  const size_t rows = tensors[0]->rank() == 2 ? static_cast<size_t>(tensors[0]->shape()[0]) : 1;
  int64_t columns = 0;
  size_t row_bytes = 0;
  for (const Tensor* tensor : tensors) {
    columns += tensor->shape().back();
    row_bytes += static_cast<size_t>(tensor->shape().back()) * width;
  }
  std::vector<std::byte> bytes(rows * row_bytes);
  size_t at = 0;
  for (size_t row = 0; row < rows; ++row)
    for (const Tensor* tensor : tensors) {
      const size_t part = static_cast<size_t>(tensor->shape().back()) * width;
      std::memcpy(&bytes[at], &tensor->bytes()[row * part], part);
      at += part;
    }
  Shape shape = tensors[0]->shape();
  shape.back() = columns;
  return Tensor::from_bytes(tensors[0]->dtype(), shape, std::move(bytes));
}

ValueId joined_constant(Graph& graph, const std::vector<Branch>& branches, ValueId Branch::*which) {
  std::vector<const Tensor*> tensors;
  for (const Branch& branch : branches) tensors.push_back(graph.constant(branch.*which));
  const std::string name = graph.value(branches[0].*which).name + "_joined";
  return graph.add_constant(graph.fresh_name(name), beside(tensors));
}

ValueType joined_type(const Graph& graph, const std::vector<Branch>& branches) {
  ValueType type = graph.value(branches[0].result).type;
  int64_t columns = 0;
  for (const Branch& branch : branches) columns += branch.columns;
  if (type.dims && !type.dims->empty()) type.dims->back() = Dim::of(columns);
  return type;
}

void merge(Graph& graph, ValueId source, const std::vector<Branch>& branches) {
  const std::string stem = graph.value(branches[0].result).name;
  const ValueType type = joined_type(graph, branches);
  const auto new_value = [&](const char* suffix) {
    return graph.add_value(graph.fresh_name(stem + suffix), type);
  };
  Node matmul;
  matmul.kind = OpKind::kMatMul;
  matmul.inputs = {source, joined_constant(graph, branches, &Branch::weight)};
  ValueId joined = new_value("_product");
  matmul.outputs = {joined};
  graph.add_node(std::move(matmul));
  if (branches[0].bias.valid()) {
    Node add;
    add.kind = OpKind::kAdd;
    add.inputs = {joined, joined_constant(graph, branches, &Branch::bias)};
    joined = new_value("_joined");
    add.outputs = {joined};
    graph.add_node(std::move(add));
  }
  std::vector<int64_t> sizes;
  Node split;
  split.kind = OpKind::kSplit;
  split.attributes.set("axis", int64_t{-1});
  for (const Branch& branch : branches) {
    sizes.push_back(branch.columns);
    // The part takes the old value's place and name.
    const ValueType part_type = graph.value(branch.result).type;
    const std::string name = graph.value(branch.result).name;
    const ValueId part = graph.add_value(graph.fresh_name(name + "_part"), part_type);
    graph.replace_all_uses(branch.result, part);
    graph.rename(branch.result, graph.fresh_name(name + "_replaced"));
    graph.rename(part, name);
    if (branch.add.valid()) graph.erase_node(branch.add);
    graph.erase_node(branch.matmul);
    split.outputs.push_back(part);
  }
  split.inputs = {joined, graph.add_constant(graph.fresh_name(stem + "_sizes"),
                                             Tensor::vector<int64_t>(sizes))};
  graph.add_node(std::move(split));
}

int merge_group(Graph& graph, ValueId source, const std::vector<Branch>& branches) {
  // n products become one and a Split; with biases 2n nodes become three.
  const size_t least = branches[0].bias.valid() ? 2 : 3;
  if (branches.size() < least) return 0;
  merge(graph, source, branches);
  return 1;
}

}  // namespace

int merge_parallel_matmuls(Graph& graph) {
  int changes = 0;
  // By source, rows, type, and whether there is a bias; in order of the first product.
  using Key = std::tuple<int64_t, DType, bool>;
  std::vector<ValueId> sources;
  std::map<ValueId, std::map<Key, std::vector<Branch>>> groups;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += merge_parallel_matmuls(subgraph.graph());
    const Node& node = graph.node(id);
    if (node.kind != OpKind::kMatMul || graph.constant(node.inputs[0]) != nullptr) continue;
    const Tensor* weight = graph.constant(node.inputs[1]);
    if (!is_weight(weight)) continue;
    const ValueId source = node.inputs[0];
    const Branch branch = branch_of(graph, id);
    if (!groups.contains(source)) sources.push_back(source);
    groups[source][{weight->shape()[0], weight->dtype(), branch.bias.valid()}].push_back(branch);
  }
  for (const ValueId source : sources)
    for (const auto& [key, branches] : groups[source])
      changes += merge_group(graph, source, branches);
  return changes;
}

}  // namespace lathe
