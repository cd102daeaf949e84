#include <algorithm>
#include <set>

#include "distill/fresh_student.h"
#include "graph/channel_scale.h"
#include "ir/real_tensor.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

using K = OpKind;

constexpr float kEpsilon = 1e-5F;
constexpr float kMomentum = 0.9F;

bool normalizes(OpKind kind) {
  switch (kind) {
    case K::kBatchNormalization:
    case K::kInstanceNormalization:
    case K::kGroupNormalization:
    case K::kLayerNormalization:
    case K::kSkipLayerNormalization:
    case K::kRMSNormalization:
    case K::kMeanVarianceNormalization: return true;
    default: return false;
  }
}

bool pools_all(OpKind kind) {
  return kind == K::kGlobalAveragePool || kind == K::kGlobalMaxPool || kind == K::kReduceMean;
}

bool ends_search(const Graph& graph, const Node& node) {
  if (op_row(node.kind).weight_input >= 0 || normalizes(node.kind)) return true;
  if (!op_row(node.kind).rectifies) return false;
  // Classifiers of convolutions alone may have a rectifier before they pool.
  const std::vector<NodeId>& users = graph.value(node.outputs[0]).users;
  return users.empty() || !std::all_of(users.begin(), users.end(),
                                       [&](NodeId id) { return pools_all(graph.node(id).kind); });
}

// Values that reach a graph output past no layer, normalization or rectifier.
std::set<ValueId> head_values(const Graph& graph) {
  std::set<ValueId> heads;
  std::vector<ValueId> open = graph.outputs();
  while (!open.empty()) {
    const ValueId value = open.back();
    open.pop_back();
    if (!value.valid() || !heads.insert(value).second) continue;
    const NodeId producer = graph.value(value).producer;
    if (!producer.valid() || ends_search(graph, graph.node(producer))) continue;
    const Node& node = graph.node(producer);
    open.insert(open.end(), node.inputs.begin(), node.inputs.end());
    for (const Subgraph& subgraph : node.subgraphs)
      open.insert(open.end(), subgraph.captures.begin(), subgraph.captures.end());
  }
  return heads;
}

bool one_pixel(const ValueType& type) {
  return type.dims && type.dims->size() > 2 &&
         std::all_of(type.dims->begin() + 2, type.dims->end(),
                     [](const Dim& dim) { return dim.size == 1; });
}

// A hidden layer, not a projection between others.
bool is_rectified(const Graph& graph, const Value& value) {
  return std::all_of(value.users.begin(), value.users.end(),
                     [&](NodeId id) { return op_row(graph.node(id).kind).rectifies; });
}

bool wants_batch_norm(const Graph& graph, const Node& node, const std::set<ValueId>& heads) {
  const bool hidden = node.kind == K::kGemm && is_rectified(graph, graph.value(node.outputs[0]));
  if (node.kind != K::kConv && node.kind != K::kConvTranspose && !hidden) return false;
  if (!affine_channels(graph, node)) return false;
  const ValueId output = node.outputs[0];
  const Value& value = graph.value(output);
  if (value.users.empty() || one_pixel(value.type)) return false;
  for (const NodeId user : value.users)
    if (normalizes(graph.node(user).kind)) return false;
  return !heads.contains(output);
}

void insert_behind(Graph& graph, NodeId id) {
  const int64_t channels = *affine_channels(graph, graph.node(id));
  const ValueId output = graph.node(id).outputs[0];
  const std::string name = graph.value(output).name;
  const DType dtype = graph.constant(graph.node(id).input(1))->dtype();
  const auto constant = [&](const char* what, double value) {
    const std::vector<double> values(static_cast<size_t>(channels), value);
    return graph.add_constant(graph.fresh_name(name + what),
                              real_tensor(dtype, {channels}, values));
  };
  ValueId bias = graph.node(id).input(2);
  if (graph.node(id).inputs.size() > 2) graph.truncate_inputs(id, 2);
  if (!bias.valid() || graph.constant(bias)->numel() != channels) {
    const double value = bias.valid() ? graph.constant(bias)->to_double()[0] : 0;
    bias = constant("_bias", value);
  }
  const ValueType type = graph.value(output).type;
  graph.rename(output, graph.fresh_name(name + "_plain"));
  Node norm;
  norm.kind = K::kBatchNormalization;
  norm.name = graph.node(id).name + "_norm";
  norm.inputs = {output, constant("_scale", 1), bias, constant("_mean", 0),
                 constant("_variance", 1)};
  norm.outputs = {graph.add_value(name, type)};
  norm.attributes.set("epsilon", kEpsilon);
  norm.attributes.set("momentum", kMomentum);
  const ValueId normal = norm.outputs[0];
  graph.replace_all_uses(output, normal);
  graph.add_node(std::move(norm));
}

}  // namespace

int insert_batch_norm(Graph& graph) {
  const std::set<ValueId> heads = head_values(graph);
  std::vector<NodeId> chosen;
  for (const NodeId id : graph.order())
    if (wants_batch_norm(graph, graph.node(id), heads)) chosen.push_back(id);
  for (const NodeId id : chosen) insert_behind(graph, id);
  if (!chosen.empty()) infer_shapes(graph);
  return static_cast<int>(chosen.size());
}

}  // namespace lathe
