#include "onnx/inline_functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ir/error.h"
#include "onnx/newer_fields.h"
#include "onnx/normalize_opset.h"

namespace lathe {
namespace {

std::string shown(const FunctionKey& key) {
  std::string text = key.domain.empty() ? key.name : key.domain + "." + key.name;
  if (!key.overload.empty()) text += ":" + key.overload;
  return "function '" + escape_untrusted(text) + "'";
}

// Visits nodes and, depth first, those of their subgraphs (the wire scan has bounded the depth).
template <class Nodes, class Visit>
void for_each_node(Nodes& nodes, const Visit& visit) {
  for (auto& node : nodes) {
    visit(node);
    for (const auto& attribute : node.attribute()) {
      if (attribute.has_g()) for_each_node(attribute.g().node(), visit);
      for (const auto& graph : attribute.graphs()) for_each_node(graph.node(), visit);
    }
  }
}

struct Call {
  const FunctionKey* key;
  std::vector<const FunctionKey*> callees;
  size_t next = 0;
  int height = 1;  // functions on the longest way down, this one included
};

Call open_call(const FunctionKey& key, const Functions& functions) {
  Call call{&key, {}};
  std::set<const FunctionKey*> seen;
  for_each_node(functions.at(key)->node(), [&](const onnx::NodeProto& node) {
    const auto it = functions.find(key_of(node));
    if (it != functions.end() && seen.insert(&it->first).second) call.callees.push_back(&it->first);
  });
  return call;
}

void check_calls(const Functions& functions, int max_depth) {
  constexpr int kOpen = -1;
  std::map<const FunctionKey*, int> heights;  // kOpen while on the stack
  for (const auto& [root, unused] : functions) {
    if (heights.contains(&root)) continue;
    std::vector<Call> stack{open_call(root, functions)};
    heights[&root] = kOpen;
    while (!stack.empty()) {
      Call& top = stack.back();
      if (top.height > max_depth || stack.size() > static_cast<size_t>(max_depth))
        throw over_limit("model.function_depth",
                         fmt::format("functions call each other deeper than {} levels", max_depth));
      if (top.next == top.callees.size()) {
        const int height = top.height;
        heights[top.key] = height;
        stack.pop_back();
        if (!stack.empty()) stack.back().height = std::max(stack.back().height, height + 1);
        continue;
      }
      const FunctionKey* callee = top.callees[top.next++];
      const auto [it, is_new] = heights.emplace(callee, kOpen);
      if (is_new)
        stack.push_back(open_call(*callee, functions));
      else if (it->second == kOpen)
        throw bad_input("model.recursive_function", shown(*callee) + " calls itself");
      else
        top.height = std::max(top.height, it->second + 1);
    }
  }
}

using Given = std::map<std::string, const onnx::AttributeProto*>;

void resolve_references(google::protobuf::RepeatedPtrField<onnx::NodeProto>& nodes,
                        const Given& given) {
  for (onnx::NodeProto& node : nodes) {
    auto& attributes = *node.mutable_attribute();
    for (int i = attributes.size(); i-- > 0;) {
      onnx::AttributeProto& attribute = attributes[i];
      if (attribute.ref_attr_name().empty()) {
        if (attribute.has_g()) resolve_references(*attribute.mutable_g()->mutable_node(), given);
        for (auto& graph : *attribute.mutable_graphs())
          resolve_references(*graph.mutable_node(), given);
        continue;
      }
      const auto it = given.find(attribute.ref_attr_name());
      if (it == given.end()) {
        attributes.DeleteSubrange(i, 1);
        continue;
      }
      const std::string name = attribute.name();
      const auto wanted = attribute.type();
      attribute = *it->second;
      attribute.set_name(name);
      if (wanted != onnx::AttributeProto::UNDEFINED &&
          attribute.type() != onnx::AttributeProto::UNDEFINED && attribute.type() != wanted)
        throw bad_input("node.attribute_type",
                        "attribute '" + escape_untrusted(name) + "' has the wrong type");
    }
  }
}

struct Instance {
  Graph graph;
  std::vector<ValueId> actual;  // outer values of graph.inputs()
};

class Inliner {
 public:
  Inliner(Model& model, GraphReading& reading) : model_(model), reading_(reading) {}

  // Recursion is bounded by the checked depths of functions and subgraphs.
  void inline_calls(Graph& graph, int depth) {
    for (const NodeId id : graph.node_ids()) {
      for (size_t i = 0; i < graph.node(id).subgraphs.size(); ++i)
        inline_calls(graph.edit(id).subgraphs[i].graph(), depth + 1);
      const Node& node = graph.node(id);
      if (node.kind != OpKind::kOpaque || node.opaque_domain != kCallDomain) continue;
      onnx::NodeProto call;
      reading_.calls.at(std::stoul(node.opaque_type)).Swap(&call);
      const FunctionKey key = key_of(call);
      try {
        splice(graph, id, instantiate(graph, node, call, depth));
      } catch (const Error& error) {
        throw error.within(shown(key));
      }
    }
  }

 private:
  Instance instantiate(const Graph& outer, const Node& node, const onnx::NodeProto& call,
                       int depth) {
    constexpr int64_t kNodeBytes = 1024;  // a node and its values in a Graph
    const onnx::FunctionProto& original = *reading_.functions.at(key_of(call));
    reading_.source.budget.charge(
        static_cast<int64_t>(original.ByteSizeLong()) * 2 + kNodeBytes * (1 + original.node_size()),
        "inlining functions");
    if (node.inputs.size() > static_cast<size_t>(original.input_size()) ||
        node.outputs.size() > static_cast<size_t>(original.output_size()))
      throw bad_input("model.function_call", "a call has more inputs or outputs than the function",
                      "node '" + escape_untrusted(node.name) + "'");
    onnx::FunctionProto function = original;

    const auto defaults = newer_messages<onnx::AttributeProto>(function, kFunctionAttributeProto);
    Given given;
    for (const auto& attribute : defaults) given[attribute.name()] = &attribute;
    for (const auto& attribute : call.attribute()) given[attribute.name()] = &attribute;
    resolve_references(*function.mutable_node(), given);

    onnx::GraphProto body;
    body.set_name(function.name());
    body.mutable_node()->Swap(function.mutable_node());
    for (auto& info : newer_messages<onnx::ValueInfoProto>(function, kFunctionValueInfo))
      body.add_value_info()->Swap(&info);
    for (const std::string& name : function.output()) body.add_output()->set_name(name);
    Instance instance;
    std::set<std::string> absent;
    for (int i = 0; i < function.input_size(); ++i) {
      const ValueId actual = node.input(static_cast<size_t>(i));
      if (!actual.valid()) {
        absent.insert(function.input(i));
        continue;
      }
      body.add_input()->set_name(function.input(i));
      instance.actual.push_back(actual);
    }

    Model inner;
    inner.ir_version = model_.ir_version;
    inner.opset = model_.opset;
    for (const auto& import : function.opset_import()) {
      const std::string domain = plain_domain(import.domain());
      if (domain.empty())
        inner.opset = import.version();
      else
        model_.other_opsets.emplace(domain, import.version());
    }
    inner.graph = read_graph(body, reading_, depth, absent);
    for (size_t i = 0; i < instance.actual.size(); ++i)
      inner.graph.edit_type(inner.graph.inputs()[i]) = outer.value(instance.actual[i]).type;
    normalize_opset(inner);
    inline_calls(inner.graph, depth);
    instance.graph = std::move(inner.graph);
    return instance;
  }

  void splice(Graph& graph, NodeId id, Instance instance) {
    Graph& body = instance.graph;
    const std::string prefix = graph.node(id).name + "/";
    std::map<ValueId, ValueId> outer{{ValueId{}, ValueId{}}};
    for (size_t i = 0; i < instance.actual.size(); ++i)
      outer[body.inputs()[i]] = instance.actual[i];
    for (const ValueId inner : body.value_ids()) {
      if (outer.contains(inner)) continue;
      const Value& value = body.value(inner);
      outer[inner] = value.constant ? graph.add_constant(prefix + value.name, *value.constant)
                                    : graph.add_value(prefix + value.name, value.type);
    }
    std::set<NodeId> added;
    for (const NodeId inner : body.node_ids()) {
      Node node = std::move(body.edit(inner));
      node.name = prefix + node.name;
      for (ValueId& value : node.inputs) value = outer.at(value);
      for (ValueId& value : node.outputs) value = outer.at(value);
      for (Subgraph& subgraph : node.subgraphs)
        for (ValueId& value : subgraph.captures) value = outer.at(value);
      added.insert(graph.add_node(std::move(node)));
    }

    std::vector<std::pair<ValueId, std::string>> names;
    std::set<ValueId> taken;
    const std::vector<ValueId> results = graph.node(id).outputs;
    for (size_t i = 0; i < results.size(); ++i) {
      if (!results[i].valid()) continue;
      ValueId made = outer.at(body.outputs()[i]);
      // A result that is an input, a constant or another result needs a value of its own.
      if (!added.contains(graph.value(made).producer) || !taken.insert(made).second)
        made = graph.add_op(OpKind::kIdentity, {made}, prefix + "output");
      const Value& result = graph.value(results[i]);
      if (!result.type.is_tensor() || result.type.dtype != DType::kUndefined)
        graph.edit_type(made) = result.type;
      names.emplace_back(made, result.name);
      graph.replace_all_uses(results[i], made);
    }
    graph.erase_node(id);
    for (auto& [value, name] : names) graph.rename(value, std::move(name));
  }

  Model& model_;
  GraphReading& reading_;
};

}  // namespace

Functions collect_functions(const onnx::ModelProto& proto, const ReadOptions& options) {
  if (proto.functions_size() > options.max_functions)
    throw over_limit("model.functions",
                     fmt::format("the model has more than {} functions", options.max_functions));
  Functions functions;
  for (const onnx::FunctionProto& function : proto.functions()) {
    if (function.name().empty()) throw bad_input("model.function_name", "a function has no name");
    const FunctionKey key = key_of(function);
    if (!functions.emplace(key, &function).second)
      throw bad_input("model.function_twice", shown(key) + " is defined twice");
  }
  check_calls(functions, options.max_function_depth);
  return functions;
}

void inline_functions(Model& model, GraphReading& reading) {
  if (!reading.calls.empty()) Inliner(model, reading).inline_calls(model.graph, 0);
}

}  // namespace lathe
