#include "onnx/inline_functions.h"
#include "onnx/newer_fields.h"
#include "read_fixtures.h"

namespace lathe {
namespace {

onnx::FunctionProto& add_function(onnx::ModelProto& model, const std::string& name,
                                  std::initializer_list<std::string> inputs,
                                  std::initializer_list<std::string> outputs) {
  onnx::FunctionProto& function = *model.add_functions();
  function.set_name(name);
  function.set_domain("my");
  for (const std::string& input : inputs) function.add_input(input);
  for (const std::string& output : outputs) function.add_output(output);
  function.add_opset_import()->set_version(17);
  return function;
}

onnx::NodeProto& add_to(onnx::FunctionProto& function, const std::string& type,
                        std::initializer_list<std::string> inputs,
                        std::initializer_list<std::string> outputs,
                        const std::string& domain = "") {
  onnx::GraphProto holder;
  onnx::NodeProto& node = *function.add_node();
  node = add_node(holder, type, inputs, outputs);
  node.set_domain(domain);
  return node;
}

onnx::NodeProto& add_call(onnx::ModelProto& model, const std::string& name,
                          std::initializer_list<std::string> inputs,
                          std::initializer_list<std::string> outputs) {
  onnx::NodeProto& node = add_node(*model.mutable_graph(), name, inputs, outputs);
  node.set_domain("my");
  return node;
}

std::vector<std::string> kinds(const Graph& graph) {
  std::vector<std::string> out;
  for (const NodeId id : graph.order()) out.emplace_back(graph.node(id).type_name());
  return out;
}

TEST_CASE("calls are replaced by bodies, nested ones too") {
  onnx::ModelProto proto = empty_model();
  auto& outer = add_function(proto, "Twice", {"a"}, {"c"});
  add_to(outer, "Once", {"a"}, {"b"}, "my");
  add_to(outer, "Once", {"b"}, {"c"}, "my");
  auto& inner = add_function(proto, "Once", {"a"}, {"b"});
  add_to(inner, "Relu", {"a"}, {"b"});
  add_call(proto, "Twice", {"x"}, {"h"}).set_name("call");
  add_call(proto, "Twice", {"h"}, {"y"});
  const Model model = read(proto);
  CHECK(kinds(model.graph) == std::vector<std::string>(4, "Relu"));
  CHECK(model.graph.value(model.graph.outputs()[0]).name == "y");
  CHECK(model.graph.find_value("h").valid());
  CHECK(model.graph.find_value("call/b").valid());
}

TEST_CASE("attributes come from the call, the default, or are left out") {
  onnx::ModelProto proto = empty_model();
  auto& function = add_function(proto, "Leak", {"a"}, {"b"});
  function.add_attribute("alpha");
  onnx::NodeProto& leaky = add_to(function, "LeakyRelu", {"a"}, {"b"});
  add_attribute(leaky, "alpha", onnx::AttributeProto::FLOAT).set_ref_attr_name("alpha");
  const auto alpha = [&](const onnx::ModelProto& from) {
    const Model model = read(from);
    const NodeId id = model.graph.node_ids()[0];
    REQUIRE(model.graph.node(id).kind == OpKind::kLeakyRelu);
    return model.graph.node(id).attributes.float_or("alpha", -1);
  };
  onnx::NodeProto& call = add_call(proto, "Leak", {"x"}, {"y"});
  CHECK(alpha(proto) == -1);
  onnx::AttributeProto fallback;
  fallback.set_name("alpha");
  fallback.set_type(onnx::AttributeProto::FLOAT);
  fallback.set_f(0.25f);
  add_newer(function, kFunctionAttributeProto, fallback.SerializeAsString());
  CHECK(alpha(proto) == 0.25f);
  auto& given = add_attribute(call, "alpha", onnx::AttributeProto::FLOAT);
  given.set_f(0.5f);
  CHECK(alpha(proto) == 0.5f);
  given.set_type(onnx::AttributeProto::INT);
  CHECK(verdict_of(proto) == "3 node.attribute_type");
}

TEST_CASE("constants may refer to attributes; overloads are told apart") {
  onnx::ModelProto proto = empty_model();
  for (const std::string overload : {"add", "mul"}) {
    auto& function = add_function(proto, "F", {"a"}, {"b"});
    add_newer(function, kFunctionOverload, overload);
    add_attribute(add_to(function, "Constant", {}, {"k"}), "value_float",
                  onnx::AttributeProto::FLOAT)
        .set_ref_attr_name("k");
    add_to(function, overload == "add" ? "Add" : "Mul", {"a", "k"}, {"b"});
  }
  auto& call = add_call(proto, "F", {"x"}, {"y"});
  add_newer(call, kNodeOverload, "mul");
  call.set_name("c");
  add_attribute(call, "k", onnx::AttributeProto::FLOAT).set_f(3);
  const Model model = read(proto);
  CHECK(kinds(model.graph) == std::vector<std::string>{"Mul"});
  CHECK(model.graph.constant(model.graph.find_value("c/k"))->to_double() == std::vector<double>{3});
  onnx::ModelProto twice = proto;
  *twice.add_functions() = proto.functions(0);
  CHECK(verdict_of(twice) == "3 model.function_twice");
}

TEST_CASE("a function of a known operator's name is the model's own") {
  onnx::ModelProto proto = relu_model();
  auto& function = add_function(proto, "Relu", {"a"}, {"b"});
  function.set_domain("ai.onnx");
  add_to(function, "Tanh", {"a"}, {"b"});
  CHECK(kinds(read(proto).graph) == std::vector<std::string>{"Tanh"});
}

TEST_CASE("pass-through, shared and absent values") {
  onnx::ModelProto proto = empty_model();
  auto& function = add_function(proto, "F", {"a", "low"}, {"a", "b", "b"});
  add_to(function, "Clip", {"a", "low"}, {"b"});
  add_call(proto, "F", {"x"}, {"y", "p", "q"});
  add_info(*proto.mutable_graph()->add_output(), "q");
  add_info(*proto.mutable_graph()->add_output(), "p");
  const Model model = read(proto);
  const Graph& graph = model.graph;
  CHECK(graph.value(graph.inputs()[0]).name == "x");
  CHECK(graph.value(graph.outputs()[0]).name == "y");
  CHECK(graph.value(graph.outputs()[1]).name == "q");
  CHECK(graph.node_count() == 3);  // Clip and two Identity
  for (const NodeId id : graph.node_ids())
    if (graph.node(id).kind == OpKind::kClip) CHECK(!graph.node(id).input(1).valid());
}

TEST_CASE("calls inside subgraphs and subgraphs inside functions") {
  onnx::ModelProto proto = empty_model();
  auto& function = add_function(proto, "F", {"a"}, {"b"});
  auto& inner_if = add_to(function, "If", {"a"}, {"b"});
  for (const std::string name : {"then_branch", "else_branch"}) {
    auto& body = *add_attribute(inner_if, name, onnx::AttributeProto::GRAPH).mutable_g();
    add_node(body, "Relu", {"a"}, {"r"});
    add_info(*body.add_output(), "r");
  }
  auto& outer_if = add_node(*proto.mutable_graph(), "If", {"x"}, {"y"});
  for (const std::string name : {"then_branch", "else_branch"}) {
    auto& body = *add_attribute(outer_if, name, onnx::AttributeProto::GRAPH).mutable_g();
    add_node(body, "F", {"x"}, {"f"}).set_domain("my");
    add_info(*body.add_output(), "f");
  }
  const Model model = read(proto);
  const Node& node = model.graph.node(model.graph.node_ids()[0]);
  const Graph& body = node.subgraphs[0].graph();
  CHECK(kinds(body) == std::vector<std::string>{"If"});
  CHECK(body.value(body.outputs()[0]).name == "f");
}

TEST_CASE("hostile functions") {
  onnx::ModelProto self = relu_model();
  auto& function = add_function(self, "F", {"a"}, {"b"});
  onnx::NodeProto& inner = add_to(function, "F", {"a"}, {"b"}, "my");
  CHECK(verdict_of(self) == "3 model.recursive_function");

  // Recursion hidden in a branch.
  onnx::NodeProto call = inner;
  function.clear_node();
  auto& hidden = add_to(function, "If", {"a"}, {"b"});
  *add_attribute(hidden, "then_branch", onnx::AttributeProto::GRAPH).mutable_g()->add_node() = call;
  CHECK(verdict_of(self) == "3 model.recursive_function");

  onnx::ModelProto mutual = relu_model();
  add_to(add_function(mutual, "A", {"a"}, {"b"}), "B", {"a"}, {"b"}, "my");
  add_to(add_function(mutual, "B", {"a"}, {"b"}), "A", {"a"}, {"b"}, "my");
  CHECK(verdict_of(mutual) == "3 model.recursive_function");

  const auto chain = [](int length, bool doubling) {
    onnx::ModelProto model = empty_model();
    for (int i = 0; i < length; ++i) {
      auto& link = add_function(model, "F" + std::to_string(i), {"a"}, {"c"});
      const std::string next = i + 1 < length ? "F" + std::to_string(i + 1) : "Relu";
      const std::string domain = i + 1 < length ? "my" : "";
      add_to(link, next, {"a"}, {doubling ? "b" : "c"}, domain);
      if (doubling) add_to(link, next, {"b"}, {"c"}, domain);
    }
    add_call(model, "F0", {"x"}, {"y"});
    return model;
  };
  CHECK(verdict_of(chain(100, false)).empty());
  CHECK(verdict_of(chain(101, false)) == "8 model.function_depth");
  CHECK(verdict_of(chain(20'000, false)) == "8 model.functions");
  ReadOptions small;
  small.memory_allowance = 8 << 20;
  CHECK(verdict_of(chain(40, true), {}, small) == "8 model.memory");

  onnx::ModelProto wide = chain(1, false);
  wide.mutable_graph()->mutable_node(0)->add_input("x");
  CHECK(verdict_of(wide) == "3 model.function_call");
  onnx::ModelProto unnamed = relu_model();
  add_function(unnamed, "", {}, {});
  CHECK(verdict_of(unnamed) == "3 model.function_name");
}

}  // namespace
}  // namespace lathe
