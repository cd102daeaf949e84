#include "quantize/equalize/scaling_points.h"

#include <algorithm>
#include <set>

#include "quantize/equalize/scale_classes.h"
#include "quantize/equalize/weight_channels.h"

namespace lathe {
namespace {

// Products that are computed in integers and read `value` as rows of channels.
std::vector<NodeId> products_of(const Graph& graph, ValueId value, const PrecisionPlan& selection) {
  std::vector<NodeId> found;
  const Value& x = graph.value(value);
  if (x.is_constant() || !x.type.is_tensor() || x.type.dtype != DType::kFloat32 || !x.type.dims ||
      x.type.dims->empty() || !x.type.dims->back().known())
    return found;
  if (!x.producer.valid() || selection.nodes.contains(x.producer)) return found;
  for (const NodeId id : x.users) {
    const Node& node = graph.node(id);
    const bool is_rows =
        node.kind == OpKind::kMatMul || (node.kind == OpKind::kGemm && x.type.dims->size() == 2);
    const auto weight = is_rows ? weight_channels(graph, node) : std::nullopt;
    if (weight && node.input(0) == value && weight->inputs == x.type.dims->back().size &&
        selection.nodes.contains(id) && graph.value(node.inputs[1]).users.size() == 1)
      found.push_back(id);
  }
  return found;
}

}  // namespace

std::vector<NodeId> insert_scaling_points(Graph& graph, const PrecisionPlan& selection) {
  std::set<ValueId> scaled;
  for (const ScaleClass& found : find_scale_classes(graph))
    for (const ScaledValue& member : found.values) scaled.insert(member.value);
  std::vector<NodeId> points;
  for (const ValueId id : graph.value_ids()) {
    if (scaled.contains(id)) continue;
    const std::vector<NodeId> products = products_of(graph, id, selection);
    if (products.empty()) continue;
    const std::string name = graph.fresh_name(graph.value(id).name + "_scaled");
    const int64_t channels = graph.value(id).type.dims->back().size;
    const ValueId ones = graph.add_constant(
        name + "_factors",
        Tensor::of<float>({channels}, std::vector<float>(static_cast<size_t>(channels), 1.0f)));
    const ValueType type = graph.value(id).type;
    const ValueId point = graph.add_op(OpKind::kMul, {id, ones}, name, {}, name + "_Mul");
    graph.edit_type(point) = type;
    for (const NodeId product : products) graph.replace_input(product, 0, point);
    points.push_back(graph.value(point).producer);
  }
  return points;
}

int remove_idle_points(Graph& graph, const std::vector<NodeId>& points) {
  int removed = 0;
  for (const NodeId id : points) {
    const Node node = graph.node(id);
    const std::vector<double> factors = graph.constant(node.input(1))->to_double();
    if (std::ranges::any_of(factors, [](double factor) { return factor != 1; })) continue;
    graph.replace_all_uses(node.output(0), node.input(0));
    graph.erase_node(id);
    ++removed;
  }
  return removed;
}

}  // namespace lathe
