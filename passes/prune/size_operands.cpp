#include "prune/size_operands.h"

#include "ir/error.h"
#include "prune/size_readers.h"

namespace lathe {

std::optional<std::vector<int64_t>> integer_elements(const Graph& graph, ValueId id) {
  const Tensor* tensor = graph.constant(id);
  if (tensor == nullptr || !is_integer(tensor->dtype())) return std::nullopt;
  return tensor->to_int64();
}

void set_constant_input(Graph& graph, NodeId node, size_t index, Tensor tensor) {
  const ValueId old = graph.node(node).input(index);
  const std::string name = old.valid() ? graph.value(old).name : graph.node(node).name + "_sizes";
  if (graph.constant(old) != nullptr && graph.single_user(old) && !graph.is_input(old)) {
    graph.set_constant(old, std::move(tensor));
    return;
  }
  const ValueId added = graph.add_constant(graph.fresh_name(name), std::move(tensor));
  while (graph.node(node).inputs.size() < index) graph.add_node_input(node, {});
  if (index < graph.node(node).inputs.size())
    graph.replace_input(node, index, added);
  else
    graph.add_node_input(node, added);
}

Tensor like(const Graph& graph, ValueId model, Shape shape, const std::vector<int64_t>& values) {
  const Tensor* tensor = graph.constant(model);
  if (tensor != nullptr && tensor->dtype() == DType::kInt32) {
    std::vector<int32_t> narrow;
    for (const int64_t value : values) narrow.push_back(static_cast<int32_t>(value));
    return Tensor::of<int32_t>(std::move(shape), narrow);
  }
  return Tensor::of<int64_t>(std::move(shape), values);
}

void set_ints(Graph& graph, NodeId node, size_t input, const std::vector<int64_t>& values) {
  set_constant_input(
      graph, node, input,
      like(graph, graph.node(node).input(input), {static_cast<int64_t>(values.size())}, values));
}

void set_size(Graph& graph, NodeId id, size_t input, size_t index, int64_t size) {
  const ValueId operand = graph.node(id).input(input);
  const auto element = size_element(graph, operand, index);
  if (!element) throw InternalError("prune: a size that is computed cannot be changed");
  const ValueId holder =
      element->concat.valid() ? graph.node(element->concat).inputs[element->part] : operand;
  std::vector<int64_t> values = graph.constant(holder)->to_int64();
  values[element->index] = size;
  Tensor changed = like(graph, holder, {static_cast<int64_t>(values.size())}, values);
  if (!element->concat.valid()) return set_constant_input(graph, id, input, std::move(changed));
  std::vector<ValueId> parts = graph.node(element->concat).inputs;
  parts[element->part] =
      graph.add_constant(graph.fresh_name(graph.value(holder).name), std::move(changed));
  const ValueId joined =
      graph.add_op(OpKind::kConcat, parts, graph.fresh_name(graph.value(operand).name),
                   graph.node(element->concat).attributes);
  graph.edit_type(joined) = graph.value(operand).type;
  graph.replace_input(id, input, joined);
}

}  // namespace lathe
