#include "ops/infer_control_flow.h"

#include <fmt/format.h>

#include "ops/dim_math.h"

namespace lathe {
namespace {

ValueType without_dims(ValueType type) {
  type.dims.reset();
  if (type.element && type.element->is_tensor())
    type.element = std::make_shared<const ValueType>(tensor_type(type.element->dtype));
  return type;
}

bool known(const ValueType& type) {
  return !type.is_tensor() || type.dtype != DType::kUndefined || type.dims.has_value();
}

const ValueType* type_of(const Graph& graph, ValueId id) {
  return id.valid() ? &graph.value(id).type : nullptr;
}

void require(bool holds, std::string_view what) {
  if (!holds) throw bad_node(fmt::format("the body does not fit: {}", what));
}

// A value that the loop may replace by one of another shape: its type comes from outside, its dims
// are those that the body declares.
void set_carried(ValueType& inner, const ValueType* outer) {
  if (outer == nullptr || !known(*outer)) return;
  const std::optional<Dims> declared = inner.is_tensor() ? inner.dims : std::nullopt;
  inner = without_dims(*outer);
  if (inner.is_tensor()) inner.dims = declared;
}

size_t scan_inputs(const Node& node) {
  const int64_t count = node.attributes.required_int("num_scan_inputs");
  if (count < 1 || count > static_cast<int64_t>(node.inputs.size()))
    throw bad_node(fmt::format("num_scan_inputs {} for {} inputs", count, node.inputs.size()));
  return static_cast<size_t>(count);
}

// The i-th number of an axes attribute as an axis of `rank`; 0 when the attribute is absent.
size_t scan_axis(const Node& node, std::string_view name, size_t i, size_t rank) {
  const auto axes = node.attributes.ints_or(name, {});
  int64_t axis = i < axes.size() ? axes[i] : 0;
  if (axis < 0) axis += static_cast<int64_t>(rank);
  if (axis < 0 || axis >= static_cast<int64_t>(rank))
    throw bad_node(fmt::format("attribute '{}' is out of range for rank {}", name, rank));
  return static_cast<size_t>(axis);
}

void set_loop_types(const Graph& graph, const Node& node, Graph& body) {
  require(node.inputs.size() >= 2 && body.inputs().size() == node.inputs.size(),
          "the loop and its body differ in carried values");
  require(body.outputs().size() + 1 >= body.inputs().size(), "carried values are missing");
  body.edit_type(body.inputs()[0]) = tensor_type(DType::kInt64, Dims{});
  body.edit_type(body.inputs()[1]) = tensor_type(DType::kBool, Dims{});
  for (size_t i = 2; i < node.inputs.size(); ++i)
    set_carried(body.edit_type(body.inputs()[i]), type_of(graph, node.inputs[i]));
}

void set_scan_types(const Graph& graph, const Node& node, Graph& body) {
  const size_t scanned = scan_inputs(node);
  const size_t states = node.inputs.size() - scanned;
  require(body.inputs().size() == node.inputs.size(), "inputs differ in number");
  require(body.outputs().size() >= states, "state variables are missing");
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueType* outer = type_of(graph, node.inputs[i]);
    if (outer == nullptr || !known(*outer)) continue;
    ValueType& inner = body.edit_type(body.inputs()[i]);
    // A state variable keeps its shape over all iterations.
    if (i < states) {
      inner = *outer;
      continue;
    }
    inner.dtype = outer->dtype;
    if (!outer->dims) continue;
    const size_t axis = scan_axis(node, "scan_input_axes", i - states, outer->dims->size());
    inner.dims = *outer->dims;
    inner.dims->erase(inner.dims->begin() + static_cast<ptrdiff_t>(axis));
  }
}

void set_map_types(const Graph& graph, const Node& node, Graph& body) {
  require(body.inputs().size() == node.inputs.size(), "inputs differ in number");
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueType* outer = type_of(graph, node.inputs[i]);
    if (outer == nullptr || !known(*outer)) continue;
    const bool sequence = outer->kind == ValueType::Kind::kSequence;
    if (!sequence)
      body.edit_type(body.inputs()[i]) = *outer;
    else if (outer->element)
      body.edit_type(body.inputs()[i]) = *outer->element;
  }
}

ValueType body_output(const Graph& body, size_t i) {
  return i < body.outputs().size() ? body.value(body.outputs()[i]).type : ValueType{};
}

ValueType stacked(ValueType type, Dim count, size_t axis = 0) {
  if (type.dims && axis <= type.dims->size())
    type.dims->insert(type.dims->begin() + static_cast<ptrdiff_t>(axis), std::move(count));
  else
    type.dims.reset();
  return type;
}

ValueType loop_output(const Graph& graph, const Node& node, const Graph& body, size_t i) {
  const ValueType produced = body_output(body, i + 1);
  const size_t carried = node.inputs.size() - 2;
  if (i >= carried) return stacked(produced, {});
  // With no iteration at all the initial value comes out.
  const ValueType* initial = type_of(graph, node.inputs[i + 2]);
  return initial == nullptr || !known(*initial) ? without_dims(produced)
                                                : join_types(*initial, produced);
}

ValueType scan_output(const Graph& graph, const Node& node, const Graph& body, size_t i) {
  const ValueType produced = body_output(body, i);
  const size_t states = node.inputs.size() - scan_inputs(node);
  if (i < states) return produced;
  Dim steps;
  const ValueType* first = type_of(graph, node.inputs[states]);
  if (first != nullptr && first->dims)
    steps = (*first->dims)[scan_axis(node, "scan_input_axes", 0, first->dims->size())];
  if (!produced.dims) return produced;
  const size_t axis = scan_axis(node, "scan_output_axes", i - states, produced.dims->size() + 1);
  return stacked(produced, steps, axis);
}

}  // namespace

ValueType join_types(const ValueType& a, const ValueType& b) {
  if (!known(a) || !known(b) || a.kind != b.kind) return {};
  ValueType out = without_dims(a);
  if (a.dtype != b.dtype) out.dtype = DType::kUndefined;
  if (!a.dims || !b.dims || a.dims->size() != b.dims->size()) return out;
  out.dims = a.dims;
  for (size_t i = 0; i < a.dims->size(); ++i)
    if (!((*a.dims)[i] == (*b.dims)[i])) (*out.dims)[i] = {};
  return out;
}

void set_body_types(Graph& graph, NodeId id) {
  Node& node = graph.edit(id);
  for (Subgraph& subgraph : node.subgraphs) {
    Graph& body = subgraph.graph();
    for (size_t i = 0; i < subgraph.captures.size() && i < body.captured().size(); ++i)
      if (const ValueType* outer = type_of(graph, subgraph.captures[i]); outer && known(*outer))
        body.edit_type(body.captured()[i]) = *outer;
    if (node.kind == OpKind::kLoop) set_loop_types(graph, node, body);
    if (node.kind == OpKind::kScan) set_scan_types(graph, node, body);
    if (node.kind == OpKind::kSequenceMap) set_map_types(graph, node, body);
  }
}

std::vector<ValueType> control_flow_types(const Graph& graph, const Node& node) {
  std::vector<ValueType> types(node.outputs.size());
  if (node.subgraphs.empty()) return types;
  const Graph& body = node.subgraphs[0].graph();
  for (size_t i = 0; i < types.size(); ++i) {
    switch (node.kind) {
      case OpKind::kIf:
        if (node.subgraphs.size() != 2) throw bad_node("an If needs two branches");
        types[i] = join_types(body_output(body, i), body_output(node.subgraphs[1].graph(), i));
        break;
      case OpKind::kLoop: types[i] = loop_output(graph, node, body, i); break;
      case OpKind::kScan: types[i] = scan_output(graph, node, body, i); break;
      case OpKind::kSequenceMap:
        // Types that nest without end are not built (see sequence_construct).
        if (!body_output(body, i).is_tensor()) break;
        types[i].kind = ValueType::Kind::kSequence;
        types[i].element = std::make_shared<const ValueType>(body_output(body, i));
        break;
      default: break;
    }
  }
  return types;
}

}  // namespace lathe
