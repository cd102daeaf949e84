#include "onnx/lower_opset.h"

#include <algorithm>

#include "ir/error.h"
#include "onnx/lower_composites.h"
#include "onnx/lower_rules.h"

namespace lathe {
namespace {

/// Where the op's own first opset is not the first that can express it.
std::optional<int64_t> first_form(OpKind kind) {
  switch (kind) {
    case OpKind::kResize: return 7;               // as Upsample
    case OpKind::kScan: return 9;                 // Scan-8 is another op
    case OpKind::kScatterElements: return 9;      // as Scatter
    case OpKind::kGroupNormalization: return 21;  // 18 had one scale a group
    case OpKind::kMeanVarianceNormalization: return 9;
    default: return std::nullopt;
  }
}

DType type_of(const Graph& graph, ValueId value) {
  if (!value.valid()) return DType::kUndefined;
  const ValueType& type = graph.value(value).type;
  return type.is_tensor() ? type.dtype : DType::kUndefined;
}

DType output_type(const Graph& graph, const Node& node) {
  if (node.kind == OpKind::kCast) {
    const int64_t to = node.attributes.int_or("to", 0);
    return to > 0 && to < kDTypeCount ? static_cast<DType>(to) : DType::kUndefined;
  }
  if (node.kind == OpKind::kQuantizeLinear && node.input(2).valid())
    return type_of(graph, node.input(2));
  return type_of(graph, node.output(0));
}

bool allows(uint32_t mask, DType dtype) {
  return mask == 0 || dtype == DType::kUndefined || ((mask >> static_cast<int>(dtype)) & 1U) != 0;
}

int64_t need_of_types(OpKind kind, DType in, DType out) {
  const auto rows = opset_rows();
  auto row = std::find_if(rows.begin(), rows.end(),
                          [&](const OpsetRow& other) { return other.kind == kind; });
  if (row == rows.end()) return 0;
  const auto oldest = row;
  const int64_t first = first_form(kind).value_or(row->since);
  for (; row != rows.end() && row->kind == kind; ++row)
    if (allows(row->input_types, in) && allows(row->output_types, out))
      return row == oldest ? first : std::max(first, row->since);
  // No opset allows these types: the file is as invalid as before at whatever opset it has.
  return first;
}

bool is_default(const Attribute& value, const AttributeRow& row) {
  if (const int64_t* wanted = std::get_if<int64_t>(&row.fallback)) {
    if (const auto* number = std::get_if<int64_t>(&value)) return *number == *wanted;
    const auto* list = std::get_if<std::vector<int64_t>>(&value);
    return list != nullptr && std::all_of(list->begin(), list->end(),
                                          [&](int64_t element) { return element == *wanted; });
  }
  const char* const* wanted = std::get_if<const char*>(&row.fallback);
  const auto* text = std::get_if<std::string>(&value);
  return wanted != nullptr && text != nullptr && *text == *wanted;
}

bool is_microsoft_gelu(const Node& node, bool microsoft) {
  return microsoft && node.kind == OpKind::kGelu &&
         node.attributes.string_or("approximate", "none") == "none";
}

/// Of the node as one op.
int64_t need_of_op(const Graph& graph, const Node& node) {
  int64_t need = need_of_types(node.kind, type_of(graph, node.input(0)), output_type(graph, node));
  for (const AttributeRow& row : attribute_rows()) {
    if (row.kind != node.kind || row.since <= need) continue;
    const Attribute* value = node.attributes.find(row.name);
    if (value != nullptr && !is_default(*value, row)) need = row.since;
  }
  for (const auto rules : {input_forms(), other_forms(), removed_forms()})
    for (const FormRule& rule : rules)
      if (rule.kind == node.kind && rule.need != nullptr)
        need = std::max(need, rule.need(graph, node));
  return need;
}

int64_t need_of_node(const Graph& graph, const Node& node, bool microsoft) {
  if (node.kind == OpKind::kOpaque || is_microsoft_gelu(node, microsoft)) return 0;
  const int64_t need = need_of_op(graph, node);
  const std::vector<OpKind> parts = composite_parts(graph, node);
  if (parts.empty()) return need;
  const DType dtype = type_of(graph, node.input(0));
  int64_t need_of_parts = 0;
  for (const OpKind part : parts)
    need_of_parts = std::max(need_of_parts, need_of_types(part, dtype, dtype));
  return std::min(need, need_of_parts);
}

void lower_node(const NodeEdit& edit, bool microsoft) {
  const OpKind kind = edit.node().kind;
  if (kind == OpKind::kOpaque) return;
  if (is_microsoft_gelu(edit.node(), microsoft) && edit.opset < 20) {
    edit.attributes().erase("approximate");
    return set_opaque(edit.graph, edit.id, "com.microsoft", "Gelu");
  }
  for (const AttributeRow& row : attribute_rows())
    if (row.kind == kind && edit.opset < row.since) edit.attributes().erase(row.name);
  for (const auto rules : {input_forms(), other_forms(), removed_forms()})
    for (const FormRule& rule : rules)
      if (rule.kind == kind && rule.lower != nullptr) rule.lower(edit);
}

// In graph order, so that new constants do not depend on the order in which nodes were made.
void write_out_composites(Graph& graph, int64_t opset, bool microsoft) {
  for (const NodeId id : graph.order()) {
    if (!graph.is_live(id) || is_microsoft_gelu(graph.node(id), microsoft)) continue;
    if (composite_parts(graph, graph.node(id)).empty()) continue;
    if (opset < need_of_op(graph, graph.node(id))) write_out({graph, id, opset});
  }
}

void lower_graph(Graph& graph, int64_t opset, bool microsoft) {
  // First: the parts are lowered, too.
  write_out_composites(graph, opset, microsoft);
  for (const NodeId id : graph.node_ids()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      lower_graph(subgraph.graph(), opset, microsoft);
    lower_node({graph, id, opset}, microsoft);
  }
}

}  // namespace

OpsetNeed opset_need(const Graph& graph, bool microsoft) {
  OpsetNeed need;
  for_each_graph(graph, [&](const Graph& part) {
    for (const NodeId id : part.node_ids()) {
      const Node& node = part.node(id);
      const int64_t opset = need_of_node(part, node, microsoft);
      if (opset > need.opset) need = {opset, node.name};
    }
  });
  return need;
}

int64_t required_opset(const Graph& graph, int64_t wanted, bool microsoft) {
  return std::max(wanted, opset_need(graph, microsoft).opset);
}

Graph lower_opset(const Graph& graph, int64_t opset, bool microsoft) {
  if (const OpsetNeed need = opset_need(graph, microsoft); opset < need.opset)
    throw InternalError("lower_opset: node '" + need.node + "' needs a newer opset");
  Graph lowered = graph;
  lower_graph(lowered, opset, microsoft);
  return lowered;
}

}  // namespace lathe
