#include "onnx/read_graph.h"

#include <fmt/format.h>

#include <optional>
#include <unordered_map>

#include "ir/error.h"
#include "onnx/newer_fields.h"
#include "onnx/read_attribute.h"

namespace lathe {
namespace {

struct Named {
  ValueId id;
  int node = -1;  // the node of the file that produces it; -1: known before the first
};

// A graph under construction and what its subgraphs may see of it.
struct Scope {
  Scope* parent = nullptr;
  int depth = 0;
  Graph graph;
  std::vector<ValueId> captures;
  std::unordered_map<std::string, Named> names;
  int current = 0;
};

std::string quoted(const std::string& name) { return "'" + escape_untrusted(name) + "'"; }

void check_name(const std::string& name) {
  if (name.size() > kMaxNameBytes)
    throw over_limit("model.name_length", fmt::format("a name has {} bytes, at most {} are read",
                                                      name.size(), kMaxNameBytes));
}

std::string checked_doc(const std::string& doc) {
  if (doc.size() > kMaxDocBytes)
    throw over_limit("model.doc_length", fmt::format("a doc_string has {} bytes", doc.size()));
  return doc;
}

void check_operator_name(const std::string& name, std::string_view what) {
  check_name(name);
  for (const char c : name)
    if (static_cast<unsigned char>(c) < 0x20)
      throw bad_input("node.operator_name",
                      fmt::format("{} {} holds control characters", what, quoted(name)));
}

std::string where_of(const onnx::NodeProto& proto, int index) {
  const std::string type = escape_untrusted(proto.op_type());
  return proto.name().empty() ? fmt::format("node {} ({})", index, type)
                              : fmt::format("node {} ({})", quoted(proto.name()), type);
}

// Whether a name of an enclosing graph is already visible where the present subgraph stands.
bool hides_outer(const Scope& scope, const std::string& name) {
  for (const Scope* outer = scope.parent; outer != nullptr; outer = outer->parent) {
    const auto it = outer->names.find(name);
    if (it != outer->names.end() && it->second.node < outer->current) return true;
  }
  return false;
}

void declare(Scope& scope, const std::string& name, ValueId id, int node) {
  scope.names.emplace(name, Named{id, node});
}

void check_new(const Scope& scope, const std::string& name) {
  check_name(name);
  if (name.empty()) throw bad_input("graph.empty_name", "an input or initializer has no name");
  if (scope.names.contains(name))
    throw bad_input("graph.duplicate_name", "two values have the name " + quoted(name));
}

// The value of that name, captured through every graph in between; nullopt: there is none.
std::optional<ValueId> look_up(Scope& scope, const std::string& name) {
  if (const auto it = scope.names.find(name); it != scope.names.end()) return it->second.id;
  if (scope.parent == nullptr) return std::nullopt;
  const std::optional<ValueId> outer = look_up(*scope.parent, name);
  if (!outer || !outer->valid()) return outer;
  const ValueId inner = scope.graph.add_captured(name, scope.parent->graph.value(*outer).type);
  scope.captures.push_back(*outer);
  declare(scope, name, inner, -1);
  return inner;
}

ValueId require_value(Scope& scope, const std::string& name) {
  const auto found = look_up(scope, name);
  if (!found)
    throw bad_input("graph.missing_producer", "nothing produces the value " + quoted(name));
  return *found;
}

using Types = std::unordered_map<std::string, const onnx::TypeProto*>;

ValueType type_of(const Types& types, const std::string& name) {
  const auto it = types.find(name);
  return it == types.end() ? ValueType{} : read_type(*it->second);
}

bool is_plain_constant(const onnx::NodeProto& node, const GraphReading& reading) {
  return node.op_type() == "Constant" && plain_domain(node.domain()).empty() &&
         !reading.functions.contains(key_of(node));
}

void read_initializers(onnx::GraphProto& proto, Scope& scope, GraphReading& reading) {
  for (onnx::TensorProto& tensor : *proto.mutable_initializer()) {
    const std::string name = tensor.name();
    check_new(scope, name);
    declare(scope, name, scope.graph.add_constant(name, read_tensor(tensor, reading.source)), -1);
  }
  for (onnx::SparseTensorProto& tensor : *proto.mutable_sparse_initializer()) {
    const std::string name = tensor.values().name();
    check_new(scope, name);
    declare(scope, name, scope.graph.add_constant(name, read_sparse_tensor(tensor, reading.source)),
            -1);
  }
}

void read_inputs(const onnx::GraphProto& proto, Scope& scope) {
  for (const onnx::ValueInfoProto& input : proto.input()) {
    const auto it = scope.names.find(input.name());
    if (it != scope.names.end() &&
        (!it->second.id.valid() || scope.graph.value(it->second.id).is_constant()))
      continue;
    check_new(scope, input.name());
    try {
      declare(scope, input.name(), scope.graph.add_input(input.name(), read_type(input.type())),
              -1);
    } catch (const Error& error) {
      throw error.within("graph input " + quoted(input.name()));
    }
  }
}

// Values first, so that nodes may stand in any order.
void declare_outputs(onnx::GraphProto& proto, Scope& scope, GraphReading& reading,
                     const Types& types) {
  for (int i = 0; i < proto.node_size(); ++i) {
    onnx::NodeProto& node = *proto.mutable_node(i);
    try {
      const bool constant = is_plain_constant(node, reading);
      if (constant && node.output_size() != 1)
        throw bad_input("constant.outputs", "a Constant has one output");
      for (const std::string& name : node.output()) {
        if (name.empty()) continue;
        check_new(scope, name);
        if (hides_outer(scope, name))
          throw bad_input("graph.shadowed_name",
                          "the output " + quoted(name) + " hides a value of an outer graph");
        const ValueId id =
            constant ? scope.graph.add_constant(name, read_constant_node(node, reading.source))
                     : scope.graph.add_value(name, type_of(types, name));
        declare(scope, name, id, i);
      }
    } catch (const Error& error) {
      throw error.within(where_of(node, i));
    }
  }
}

Scope read_scope(onnx::GraphProto& proto, GraphReading& reading, Scope* parent, int depth,
                 const std::set<std::string>& absent);

void read_attributes(onnx::NodeProto& proto, Node& node, Scope& scope, GraphReading& reading) {
  std::set<std::string> seen;
  for (onnx::AttributeProto& attribute : *proto.mutable_attribute()) {
    const std::string name = attribute.name();
    check_name(name);
    if (name.empty()) throw bad_input("node.attribute_name", "an attribute has no name");
    if (!seen.insert(name).second)
      throw bad_input("node.attribute_twice", "attribute " + quoted(name) + " is there twice");
    if (!attribute.ref_attr_name().empty())
      throw bad_input("node.ref_attribute",
                      "attribute " + quoted(name) + " refers to a function's, but stands outside");
    if (attribute_type(attribute) == onnx::AttributeProto::GRAPH) {
      Scope body = read_scope(*attribute.mutable_g(), reading, &scope, scope.depth + 1, {});
      Subgraph subgraph(name, std::move(body.graph));
      subgraph.captures = std::move(body.captures);
      node.subgraphs.push_back(std::move(subgraph));
    } else {
      node.attributes.set(name, read_attribute(attribute, reading.source));
    }
  }
}

void read_node(onnx::NodeProto& proto, Scope& scope, GraphReading& reading) {
  if (proto.op_type().empty()) throw bad_input("node.no_type", "a node has no operator");
  check_operator_name(proto.op_type(), "the operator");
  check_operator_name(proto.domain(), "the domain");
  check_name(proto.name());
  Node node;
  node.name = proto.name();
  node.doc = checked_doc(proto.doc_string());
  node.metadata = newer_metadata(proto, kNodeMetadata);
  int inputs = proto.input_size();
  while (inputs > 0 && proto.input(inputs - 1).empty()) --inputs;
  for (int i = 0; i < inputs; ++i) {
    const std::string& name = proto.input(i);
    node.inputs.push_back(name.empty() ? ValueId{} : require_value(scope, name));
  }
  int outputs = proto.output_size();
  while (outputs > 0 && proto.output(outputs - 1).empty()) --outputs;
  for (int i = 0; i < outputs; ++i) {
    const std::string& name = proto.output(i);
    node.outputs.push_back(name.empty() ? ValueId{} : scope.names.at(name).id);
  }

  if (reading.functions.contains(key_of(proto))) {
    node.opaque_domain = kCallDomain;
    node.opaque_type = std::to_string(reading.calls.size());
    reading.calls.emplace_back().Swap(&proto);
  } else {
    const std::string domain = plain_domain(proto.domain());
    node.kind = op_kind(domain, proto.op_type()).value_or(OpKind::kOpaque);
    if (node.kind == OpKind::kOpaque) {
      node.opaque_domain = domain;
      node.opaque_type = proto.op_type();
    }
    read_attributes(proto, node, scope, reading);
  }
  scope.graph.add_node(std::move(node));
}

void read_outputs(const onnx::GraphProto& proto, Scope& scope) {
  std::vector<ValueId> outputs;
  for (const onnx::ValueInfoProto& output : proto.output()) {
    try {
      const ValueId id = require_value(scope, output.name());
      if (!id.valid())
        throw bad_input("graph.absent_output", "an output is an input that the call leaves out");
      outputs.push_back(id);
      // What the graph promises to the outside is the better source than value_info.
      if (output.has_type() && scope.graph.value(id).producer.valid())
        scope.graph.edit_type(id) = read_type(output.type());
    } catch (const Error& error) {
      throw error.within("graph output " + quoted(output.name()));
    }
  }
  scope.graph.set_outputs(std::move(outputs));
}

Scope read_scope(onnx::GraphProto& proto, GraphReading& reading, Scope* parent, int depth,
                 const std::set<std::string>& absent) {
  if (depth > reading.max_depth)
    throw over_limit("model.depth",
                     fmt::format("subgraphs are nested deeper than {} levels", reading.max_depth));
  Scope scope;
  scope.parent = parent;
  scope.depth = depth;
  scope.graph.name = proto.name();
  scope.graph.doc = checked_doc(proto.doc_string());
  check_name(proto.name());
  for (const std::string& name : absent) declare(scope, name, {}, -1);
  Types types;
  for (const onnx::ValueInfoProto& info : proto.value_info())
    if (info.has_type()) types.emplace(info.name(), &info.type());

  read_initializers(proto, scope, reading);
  read_inputs(proto, scope);
  declare_outputs(proto, scope, reading, types);
  for (int i = 0; i < proto.node_size(); ++i) {
    scope.current = i;
    onnx::NodeProto& node = *proto.mutable_node(i);
    if (!is_plain_constant(node, reading)) {
      const std::string where = where_of(node, i);
      try {
        read_node(node, scope, reading);
      } catch (const Error& error) {
        throw error.within(where);
      }
    }
    onnx::NodeProto().Swap(&node);
  }
  read_outputs(proto, scope);
  return scope;
}

}  // namespace

std::string plain_domain(const std::string& domain) { return domain == "ai.onnx" ? "" : domain; }

FunctionKey key_of(const onnx::FunctionProto& function) {
  return {plain_domain(function.domain()), function.name(),
          newer_string(function, kFunctionOverload)};
}

FunctionKey key_of(const onnx::NodeProto& node) {
  return {plain_domain(node.domain()), node.op_type(), newer_string(node, kNodeOverload)};
}

Graph read_graph(onnx::GraphProto& proto, GraphReading& reading, int depth,
                 const std::set<std::string>& absent) {
  return std::move(read_scope(proto, reading, nullptr, depth, absent).graph);
}

}  // namespace lathe
