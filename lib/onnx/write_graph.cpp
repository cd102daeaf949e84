#include "onnx/write_graph.h"

#include <algorithm>

#include "onnx/newer_fields.h"
#include "onnx/write_tensor.h"

namespace lathe {
namespace {

/// The names that a subgraph must not hide.
struct NameScope {
  const NameScope* outer = nullptr;
  const WrittenNames* names = nullptr;
  std::unordered_set<std::string> taken;

  NameScope(const NameScope* enclosing, const WrittenNames& written)
      : outer(enclosing), names(&written) {
    for (const auto& [index, name] : written) taken.insert(name);
  }
  bool holds(const std::string& name) const {
    return taken.contains(name) || (outer != nullptr && outer->holds(name));
  }
};

WrittenNames names_inside(const Subgraph& subgraph, const NameScope& outer) {
  const Graph& graph = subgraph.graph();
  WrittenNames names;
  std::unordered_set<std::string> taken;
  for (size_t i = 0; i < subgraph.captures.size(); ++i)
    names[graph.captured()[i].index] = outer.names->at(subgraph.captures[i].index);
  for (const ValueId id : graph.value_ids()) {
    if (names.contains(id.index)) continue;
    const std::string& name = graph.value(id).name;
    std::string written = name;
    for (int n = 1; outer.holds(written) || taken.contains(written); ++n)
      written = std::string(name).append("_inner_").append(std::to_string(n));
    taken.insert(written);
    names[id.index] = written;
  }
  return names;
}

struct WriteAttribute {
  onnx::AttributeProto& proto;
  using Proto = onnx::AttributeProto;

  void operator()(int64_t value) const {
    proto.set_type(Proto::INT);
    proto.set_i(value);
  }
  void operator()(float value) const {
    proto.set_type(Proto::FLOAT);
    proto.set_f(value);
  }
  void operator()(const std::string& value) const {
    proto.set_type(Proto::STRING);
    proto.set_s(value);
  }
  void operator()(const Tensor& value) const {
    proto.set_type(Proto::TENSOR);
    *proto.mutable_t() = write_tensor(value, "");
  }
  void operator()(const std::vector<int64_t>& values) const {
    proto.set_type(Proto::INTS);
    for (const int64_t value : values) proto.add_ints(value);
  }
  void operator()(const std::vector<float>& values) const {
    proto.set_type(Proto::FLOATS);
    for (const float value : values) proto.add_floats(value);
  }
  void operator()(const std::vector<std::string>& values) const {
    proto.set_type(Proto::STRINGS);
    for (const std::string& value : values) proto.add_strings(value);
  }
  void operator()(const TypeBytes& value) const {
    proto.set_type(Proto::TYPE_PROTO);
    proto.mutable_tp()->ParseFromString(value.bytes);
  }
};

onnx::GraphProto write_subgraph(const Subgraph& subgraph, const NameScope& outer);
onnx::GraphProto write_scope(const Graph& graph, const NameScope& scope);

onnx::NodeProto write_node(const Node& node, const NameScope& scope) {
  onnx::NodeProto proto;
  const auto written = [&](ValueId id) {
    return id.valid() ? scope.names->at(id.index) : std::string();
  };
  for (const ValueId input : node.inputs) proto.add_input(written(input));
  for (const ValueId output : node.outputs) proto.add_output(written(output));
  proto.set_name(node.name);
  proto.set_op_type(std::string(node.type_name()));
  if (!node.domain().empty()) proto.set_domain(std::string(node.domain()));
  if (!node.doc.empty()) proto.set_doc_string(node.doc);

  std::vector<onnx::AttributeProto> attributes;
  for (const auto& [name, value] : node.attributes) {
    onnx::AttributeProto& attribute = attributes.emplace_back();
    attribute.set_name(name);
    std::visit(WriteAttribute{attribute}, value);
  }
  for (const Subgraph& subgraph : node.subgraphs) {
    onnx::AttributeProto& attribute = attributes.emplace_back();
    attribute.set_name(subgraph.attribute);
    attribute.set_type(onnx::AttributeProto::GRAPH);
    *attribute.mutable_g() = write_subgraph(subgraph, scope);
  }
  std::stable_sort(attributes.begin(), attributes.end(),
                   [](const auto& a, const auto& b) { return a.name() < b.name(); });
  for (onnx::AttributeProto& attribute : attributes) *proto.add_attribute() = std::move(attribute);

  for (const auto& [key, value] : node.metadata) {
    onnx::StringStringEntryProto entry;
    entry.set_key(key);
    entry.set_value(value);
    add_newer(proto, kNodeMetadata, entry.SerializeAsString());
  }
  return proto;
}

bool is_typed(const ValueType& type) {
  return !type.is_tensor() || type.dtype != DType::kUndefined;
}

void write_value(const Graph& graph, ValueId id, const NameScope& scope,
                 onnx::ValueInfoProto& proto) {
  proto.set_name(scope.names->at(id.index));
  const ValueType& type = graph.value(id).type;
  if (is_typed(type)) *proto.mutable_type() = write_type(type);
}

onnx::GraphProto write_scope(const Graph& graph, const NameScope& scope) {
  onnx::GraphProto proto;
  proto.set_name(graph.name.empty() ? "graph" : graph.name);
  if (!graph.doc.empty()) proto.set_doc_string(graph.doc);
  const std::vector<NodeId> order = graph.order();
  for (const NodeId id : order) *proto.add_node() = write_node(graph.node(id), scope);
  for (const ValueId id : graph.inputs()) write_value(graph, id, scope, *proto.add_input());
  for (const ValueId id : graph.outputs()) write_value(graph, id, scope, *proto.add_output());
  std::unordered_set<int32_t> outputs;
  for (const ValueId id : graph.outputs()) outputs.insert(id.index);
  // In the order of the nodes: a reader of the file numbers its values so, and writes them again
  // so.
  for (const NodeId id : order)
    for (const ValueId output : graph.node(id).outputs) {
      const bool inner = output.valid() && !outputs.contains(output.index);
      if (inner && is_typed(graph.value(output).type))
        write_value(graph, output, scope, *proto.add_value_info());
    }
  return proto;
}

onnx::GraphProto write_subgraph(const Subgraph& subgraph, const NameScope& outer) {
  const Graph& graph = subgraph.graph();
  const WrittenNames names = names_inside(subgraph, outer);
  const NameScope scope(&outer, names);
  onnx::GraphProto proto = write_scope(graph, scope);
  for (const ValueId id : graph.value_ids())
    if (const Tensor* tensor = graph.constant(id))
      *proto.add_initializer() = write_tensor(*tensor, names.at(id.index));
  return proto;
}

}  // namespace

WrittenNames top_level_names(const Graph& graph) {
  WrittenNames names;
  for (const ValueId id : graph.value_ids()) names[id.index] = graph.value(id).name;
  return names;
}

onnx::GraphProto write_graph_without_constants(const Graph& graph, const WrittenNames& names) {
  return write_scope(graph, NameScope(nullptr, names));
}

onnx::TypeProto write_type(const ValueType& type) {
  onnx::TypeProto proto;
  switch (type.kind) {
    case ValueType::Kind::kTensor: {
      onnx::TypeProto_Tensor& tensor = *proto.mutable_tensor_type();
      tensor.set_elem_type(static_cast<int32_t>(type.dtype));
      if (!type.dims) break;
      onnx::TensorShapeProto& shape = *tensor.mutable_shape();
      for (const Dim& dim : *type.dims) {
        auto& written = *shape.add_dim();
        if (dim.known())
          written.set_dim_value(dim.size);
        else if (!dim.symbol.empty())
          written.set_dim_param(dim.symbol);
      }
      break;
    }
    case ValueType::Kind::kSequence:
      *proto.mutable_sequence_type()->mutable_elem_type() = write_type(*type.element);
      break;
    case ValueType::Kind::kOptional:
      *proto.mutable_optional_type()->mutable_elem_type() = write_type(*type.element);
      break;
    case ValueType::Kind::kOther: proto.ParseFromString(type.other_bytes); break;
  }
  return proto;
}

}  // namespace lathe
