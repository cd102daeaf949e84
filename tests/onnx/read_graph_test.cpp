#include "onnx/read_graph.h"

#include "read_fixtures.h"

namespace lathe {
namespace {

std::vector<std::string> names(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<std::string> out;
  for (const ValueId id : ids) out.push_back(graph.value(id).name);
  return out;
}

onnx::GraphProto& branch(onnx::NodeProto& node, const std::string& name) {
  return *add_attribute(node, name, onnx::AttributeProto::GRAPH).mutable_g();
}

TEST_CASE("nodes, values and types") {
  onnx::ModelProto proto = empty_model();
  onnx::GraphProto& graph = *proto.mutable_graph();
  auto* batch = graph.mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
  batch->mutable_dim(0)->set_dim_param("N");
  auto& first = add_node(graph, "Relu", {"x"}, {"h"});
  first.set_doc_string("note");
  add_info(*graph.add_value_info(), "h", {-1, 5});
  add_node(graph, "Relu", {"h"}, {"y"}).set_name("last");
  const Model model = read(proto);
  const Graph& read_graph = model.graph;
  CHECK(read_graph.value(read_graph.inputs()[0]).type.dims == Dims{Dim::named("N")});
  CHECK(read_graph.value(read_graph.find_value("h")).type.dims == Dims{Dim{}, Dim::of(5)});
  CHECK(read_graph.value(read_graph.outputs()[0]).type.dims == Dims{Dim::of(2)});
  CHECK(read_graph.node(read_graph.node_ids()[0]).name == "Relu_0");
  CHECK(read_graph.node(read_graph.node_ids()[0]).doc == "note");
  CHECK(read_graph.find_node("last").valid());
}

TEST_CASE("sequences, optionals and maps") {
  onnx::ModelProto proto = relu_model();
  auto* graph = proto.mutable_graph();
  auto* sequence = graph->add_input();
  sequence->set_name("s");
  sequence->mutable_type()
      ->mutable_optional_type()
      ->mutable_elem_type()
      ->mutable_sequence_type()
      ->mutable_elem_type()
      ->mutable_tensor_type()
      ->set_elem_type(7);
  auto* map = graph->add_input();
  map->set_name("m");
  map->mutable_type()->mutable_map_type()->set_key_type(7);
  const Model model = read(proto);
  const ValueType& optional = model.graph.value(model.graph.find_value("s")).type;
  REQUIRE(optional.kind == ValueType::Kind::kOptional);
  REQUIRE(optional.element->kind == ValueType::Kind::kSequence);
  CHECK(optional.element->element->dtype == DType::kInt64);
  CHECK(!optional.element->element->dims);
  const ValueType& other = model.graph.value(model.graph.find_value("m")).type;
  CHECK(other.kind == ValueType::Kind::kOther);
  CHECK(other.other_bytes == map->type().SerializeAsString());
}

TEST_CASE("initializers are constants and no inputs") {
  onnx::ModelProto proto = empty_model();
  proto.set_ir_version(3);
  add_info(*proto.mutable_graph()->add_input(), "w");
  add_initializer(*proto.mutable_graph(), "w", {3, 4});
  add_node(*proto.mutable_graph(), "Add", {"x", "w"}, {"y"});
  const Model model = read(proto);
  CHECK(names(model.graph, model.graph.inputs()) == std::vector<std::string>{"x"});
  CHECK(model.graph.constant(model.graph.find_value("w"))->to_double() ==
        std::vector<double>{3, 4});
}

TEST_CASE("Constant nodes of every form become constants") {
  using A = onnx::AttributeProto;
  onnx::ModelProto proto = relu_model();
  onnx::GraphProto& graph = *proto.mutable_graph();
  const auto constant = [&](const std::string& output, const std::string& name,
                            A::AttributeType type) -> A& {
    return add_attribute(add_node(graph, "Constant", {}, {output}), name, type);
  };
  constant("f", "value_float", A::FLOAT).set_f(2.5f);
  constant("i", "value_int", A::INT).set_i(-3);
  constant("s", "value_string", A::STRING).set_s("text");
  constant("fs", "value_floats", A::FLOATS).add_floats(1);
  constant("is", "value_ints", A::INTS).add_ints(7);
  constant("ss", "value_strings", A::STRINGS).add_strings("a");
  onnx::TensorProto& value = *constant("t", "value", A::TENSOR).mutable_t();
  value.set_data_type(8);
  value.add_string_data("scalar");
  onnx::SparseTensorProto& sparse =
      *constant("sp", "sparse_value", A::SPARSE_TENSOR).mutable_sparse_tensor();
  sparse.add_dims(3);
  sparse.mutable_values()->set_data_type(1);
  sparse.mutable_values()->add_dims(1);
  sparse.mutable_values()->add_float_data(9);
  sparse.mutable_indices()->set_data_type(7);
  sparse.mutable_indices()->add_dims(1);
  sparse.mutable_indices()->add_int64_data(2);
  const Model model = read(proto);
  const auto get = [&](const std::string& name) {
    return *model.graph.constant(model.graph.find_value(name));
  };
  CHECK(model.graph.node_count() == 1);
  CHECK(get("f").identical(Tensor::scalar<float>(2.5f)));
  CHECK(get("i").identical(Tensor::scalar<int64_t>(-3)));
  CHECK(get("s").strings() == std::vector<std::string>{"text"});
  CHECK(get("s").rank() == 0);
  CHECK(get("fs").identical(Tensor::vector<float>({1})));
  CHECK(get("is").identical(Tensor::vector<int64_t>({7})));
  CHECK(get("ss").shape() == Shape{1});
  CHECK(get("t").strings() == std::vector<std::string>{"scalar"});
  CHECK(get("sp").identical(Tensor::vector<float>({0, 0, 9})));

  add_node(graph, "Constant", {}, {"none"});
  CHECK(verdict_of(proto) == "3 constant.value");
}

TEST_CASE("absent optional inputs and outputs") {
  onnx::ModelProto proto = empty_model();
  add_initializer(*proto.mutable_graph(), "top", {1});
  add_node(*proto.mutable_graph(), "Clip", {"x", "", "top"}, {"y"});
  add_node(*proto.mutable_graph(), "Custom", {"x", "", ""}, {"", "c", ""}).set_domain("my");
  const Model model = read(proto);
  const Node& clip = model.graph.node(model.graph.node_ids()[0]);
  CHECK(clip.inputs.size() == 3);
  CHECK(!clip.inputs[1].valid());
  const Node& custom = model.graph.node(model.graph.node_ids()[1]);
  CHECK(custom.inputs.size() == 1);
  REQUIRE(custom.outputs.size() == 2);
  CHECK(!custom.outputs[0].valid());
}

TEST_CASE("unknown operators keep every attribute") {
  using A = onnx::AttributeProto;
  onnx::ModelProto proto = empty_model();
  onnx::NodeProto& node = add_node(*proto.mutable_graph(), "Magic", {"x"}, {"y"});
  node.set_domain("com.example");
  add_attribute(node, "i", A::INT).set_i(4);
  add_attribute(node, "f", A::UNDEFINED).set_f(0.5f);
  add_attribute(node, "s", A::STRING).set_s(std::string("\xff\0", 2));
  add_attribute(node, "l", A::INTS);
  add_attribute(node, "tp", A::TYPE_PROTO).mutable_tp()->mutable_tensor_type()->set_elem_type(1);
  add_node(branch(node, "body"), "Relu", {"x"}, {"q"});
  const Model model = read(proto);
  const Node& magic = model.graph.node(model.graph.node_ids()[0]);
  CHECK(magic.kind == OpKind::kOpaque);
  CHECK(magic.domain() == "com.example");
  CHECK(magic.type_name() == "Magic");
  CHECK(magic.attributes.required_int("i") == 4);
  CHECK(magic.attributes.float_or("f", 0) == 0.5f);
  CHECK(magic.attributes.required_string("s").size() == 2);
  CHECK(magic.attributes.required_ints("l").empty());
  CHECK(magic.attributes.has("tp"));
  REQUIRE(magic.subgraphs.size() == 1);
  CHECK(magic.subgraphs[0].attribute == "body");
  CHECK(names(model.graph, magic.subgraphs[0].captures) == std::vector<std::string>{"x"});
}

TEST_CASE("captures are routed through every level, forward references too") {
  onnx::ModelProto proto = empty_model();
  onnx::GraphProto& graph = *proto.mutable_graph();
  onnx::NodeProto& outer = add_node(graph, "If", {"x"}, {"y"});
  onnx::GraphProto& then_branch = branch(outer, "then_branch");
  onnx::NodeProto& inner = add_node(then_branch, "If", {"x"}, {"t"});
  onnx::GraphProto& innermost = branch(inner, "then_branch");
  add_node(innermost, "Add", {"late", "late"}, {"u"});
  add_info(*innermost.add_output(), "u");
  add_info(*then_branch.add_output(), "t");
  add_info(*branch(outer, "else_branch").add_output(), "late");
  add_node(graph, "Relu", {"x"}, {"late"});
  const Model model = read(proto);
  const Node& node = model.graph.node(model.graph.node_ids()[0]);
  REQUIRE(node.subgraphs.size() == 2);
  CHECK(names(model.graph, node.subgraphs[0].captures) == std::vector<std::string>{"x", "late"});
  CHECK(names(model.graph, node.subgraphs[1].captures) == std::vector<std::string>{"late"});
  const Graph& body = node.subgraphs[0].graph();
  const Subgraph& deep = body.node(body.node_ids()[0]).subgraphs[0];
  CHECK(names(body, deep.captures) == std::vector<std::string>{"late"});
  CHECK(names(deep.graph(), deep.graph().captured()) == std::vector<std::string>{"late"});
  CHECK(model.graph.value(model.graph.find_value("late")).users.size() == 2);
}

TEST_CASE("nodes may stand in any order, but not in a cycle") {
  onnx::ModelProto proto = empty_model();
  add_node(*proto.mutable_graph(), "Relu", {"h"}, {"y"});
  add_node(*proto.mutable_graph(), "Relu", {"x"}, {"h"});
  const Model model = read(proto);
  const auto order = model.graph.order();
  CHECK(model.graph.value(model.graph.node(order[1]).outputs[0]).name == "y");
  proto.mutable_graph()->mutable_node(1)->set_input(0, "y");
  CHECK(verdict_of(proto) == "3 graph.cycle");
  proto.mutable_graph()->mutable_node(1)->set_input(0, "h");
  CHECK(verdict_of(proto) == "3 graph.cycle");
}

TEST_CASE("faults of names are the file's, not ours") {
  const auto with = [](auto edit) {
    onnx::ModelProto proto = relu_model();
    edit(*proto.mutable_graph());
    return verdict_of(proto);
  };
  CHECK(with([](auto& g) { add_node(g, "Relu", {"nothing"}, {"z"}); }) ==
        "3 graph.missing_producer");
  CHECK(with([](auto& g) { add_node(g, "Relu", {"x"}, {"y"}); }) == "3 graph.duplicate_name");
  CHECK(with([](auto& g) { add_node(g, "Split", {"x"}, {"a", "a"}); }) == "3 graph.duplicate_name");
  CHECK(with([](auto& g) { add_node(g, "Relu", {"x"}, {"x"}); }) == "3 graph.duplicate_name");
  CHECK(with([](auto& g) { add_info(*g.add_input(), "x"); }) == "3 graph.duplicate_name");
  CHECK(with([](auto& g) { add_info(*g.add_input(), ""); }) == "3 graph.empty_name");
  CHECK(with([](auto& g) { add_initializer(g, "", {1}); }) == "3 graph.empty_name");
  CHECK(with([](auto& g) {
          add_initializer(g, "w", {1});
          add_initializer(g, "w", {1});
        }) == "3 graph.duplicate_name");
  CHECK(with([](auto& g) { add_info(*g.add_output(), "nothing"); }) == "3 graph.missing_producer");
  CHECK(with([](auto& g) { add_node(g, "", {"x"}, {"z"}); }) == "3 node.no_type");
  CHECK(with([](auto& g) { add_node(g, "A\nB", {"x"}, {"z"}); }) == "3 node.operator_name");
  CHECK(with([](auto& g) { add_node(g, "Relu", {"x"}, {std::string(5000, 'n')}); }) ==
        "8 model.name_length");
  CHECK(with([](auto& g) { g.set_doc_string(std::string(2 << 20, 'n')); }) == "8 model.doc_length");
  CHECK(with([](auto& g) {
          add_node(branch(add_node(g, "If", {"x"}, {"z"}), "then_branch"), "Relu", {"x"}, {"x"});
        }) == "3 graph.shadowed_name");
  // The node's own output, and what comes later, is not visible inside.
  CHECK(with([](auto& g) {
          add_node(branch(add_node(g, "If", {"x"}, {"z"}), "then_branch"), "Relu", {"x"}, {"z"});
        }).empty());
  CHECK(with([](auto& g) {
          auto& node = add_node(g, "Custom", {"x"}, {"z"});
          add_attribute(node, "a", onnx::AttributeProto::INT);
          add_attribute(node, "a", onnx::AttributeProto::INT);
        }) == "3 node.attribute_twice");
  CHECK(with([](auto& g) {
          add_attribute(add_node(g, "Relu", {"x"}, {"z"}), "a", onnx::AttributeProto::INT)
              .set_ref_attr_name("b");
        }) == "3 node.ref_attribute");
  CHECK(with([](auto& g) {
          add_attribute(add_node(g, "Custom", {"x"}, {"z"}), "a", onnx::AttributeProto::TENSORS);
        }) == "3 node.attribute_type");
  CHECK(with([](auto& g) {
          g.mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(999);
        }) == "3 tensor.dtype");
}

TEST_CASE("untrusted names are escaped in errors") {
  onnx::ModelProto proto = relu_model();
  add_node(*proto.mutable_graph(), "Relu", {"\x1b[31m\nforged"}, {"z"});
  try {
    read(proto);
    FAIL("accepted");
  } catch (const Error& error) {
    const std::string text = error.what();
    CHECK(text.find('\x1b') == text.npos);
    CHECK(text.find('\n') == text.npos);
    CHECK(text.find("forged") != text.npos);
  }
}

}  // namespace
}  // namespace lathe
