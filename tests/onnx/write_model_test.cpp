// Writing: bytes, names, subgraphs, external data, versions.
#include <doctest/doctest.h>

#include <filesystem>

#include "write_fixtures.h"

namespace lathe {
namespace {

Model constants_model(size_t count) {
  Model model;
  model.graph.name = "g";
  const ValueId x = model.graph.add_input(
      "x", tensor_type(DType::kFloat32, Dims{Dim::of(static_cast<int64_t>(count))}));
  const ValueId w =
      model.graph.add_constant("w", Tensor::vector<float>(std::vector<float>(count, 1.5F)));
  const ValueId b = model.graph.add_constant("b", Tensor::scalar<float>(2));
  const ValueId sum = model.graph.add_op(OpKind::kAdd, {x, w}, "sum");
  const ValueId y = model.graph.add_op(OpKind::kMul, {sum, b}, "y");
  model.graph.edit_type(y) = model.graph.value(x).type;
  model.graph.set_outputs({y});
  return model;
}

}  // namespace

TEST_CASE("writing is deterministic and says who wrote") {
  Model model = constants_model(10);
  model.metadata = {{"b", "2"}, {"a", "1"}};
  const WrittenModel first = write_onnx(model);
  CHECK(first.model_bytes == write_onnx(model).model_bytes);
  const onnx::ModelProto proto = proto_of(first);
  CHECK(proto.producer_name() == "lathe");
  CHECK_FALSE(proto.producer_version().empty());
  CHECK(proto.metadata_props(0).key() == "a");
  CHECK(proto.ir_version() == 8);
  CHECK(text_form(reread(first).graph) == text_form(model.graph));
}

TEST_CASE("node metadata travels") {
  Model model = constants_model(2);
  model.graph.edit(find_kind(model.graph, OpKind::kAdd)).metadata = {{"origin", "layer1"}};
  const Model again = reread(write_onnx(model));
  CHECK(again.graph.node(find_kind(again.graph, OpKind::kAdd)).metadata.at("origin") == "layer1");
}

TEST_CASE("external data") {
  const Model model = constants_model(1000);
  WriteOptions options;
  options.external_data = true;
  CHECK_THROWS_AS(write_onnx(model, options), Error);
  options.data_file = "model.onnx.data";
  const WrittenModel written = write_onnx(model, options);
  REQUIRE(written.external.size() == 1);
  CHECK(written.external[0].offset % 64 == 0);
  CHECK(written.external[0].tensor.bytes().size() == 4000);
  CHECK(written.external_bytes == 4000);
  const onnx::ModelProto proto = proto_of(written);
  const onnx::TensorProto& big = proto.graph().initializer(0);
  CHECK(big.name() == "w");
  CHECK(big.data_location() == onnx::TensorProto::EXTERNAL);
  CHECK(big.external_data(0).value() == "model.onnx.data");
  CHECK(proto.graph().initializer(1).raw_data().size() == 4);
}

TEST_CASE("ir versions follow the opset and the element types") {
  CHECK(ir_version_of(7) == 4);
  CHECK(ir_version_of(13) == 7);
  CHECK(ir_version_of(21) == 10);
  CHECK(ir_version_of(25) == 13);
  Model model = constants_model(2);
  WriteOptions options;
  options.max_ir = 7;
  CHECK(write_onnx(model, options).ir_version == 7);
  model.graph.add_constant("q", Tensor::from_bytes(DType::kInt4, {2}, {std::byte{0x21}}));
  CHECK_THROWS_WITH_AS(write_onnx(model, options), doctest::Contains("IR version 10"), Error);
  CHECK(write_onnx(model).ir_version == 10);
}

TEST_CASE("subgraphs refer to outer values by their outer names and hide none") {
  Model model;
  model.opset = 16;
  Graph& graph = model.graph;
  graph.name = "g";
  const ValueType vector = tensor_type(DType::kFloat32, Dims{Dim::of(2)});
  const ValueId cond = graph.add_input("cond", tensor_type(DType::kBool, Dims{}));
  const ValueId x = graph.add_input("x", vector);
  const auto branch = [&](OpKind kind) {
    Graph body;
    body.name = "body";
    const ValueId inner = body.add_captured("other", vector);
    // The names of two outer values.
    const ValueId one = body.add_constant("cond", Tensor::vector<float>({1, 2}));
    const ValueId sum = body.add_op(kind, {inner, one}, "x");
    body.edit_type(sum) = vector;
    body.set_outputs({sum});
    Subgraph subgraph(kind == OpKind::kAdd ? "then_branch" : "else_branch", std::move(body));
    subgraph.captures = {x};
    return subgraph;
  };
  Node node;
  node.kind = OpKind::kIf;
  node.inputs = {cond};
  node.outputs = {graph.add_value("y", vector)};
  node.subgraphs = {branch(OpKind::kAdd), branch(OpKind::kSub)};
  graph.set_outputs({node.outputs[0]});
  graph.add_node(std::move(node));
  verify(graph, "building");

  const WrittenModel written = write_onnx(model);
  const onnx::ModelProto proto = proto_of(written);
  const onnx::NodeProto& conditional = node_of(proto, "If");
  CHECK(conditional.attribute(0).name() == "else_branch");
  const onnx::GraphProto& body = attribute_of(conditional, "then_branch")->g();
  CHECK(body.node(0).input(0) == "x");
  CHECK(body.node(0).input(1) == "cond_inner_1");
  CHECK(body.node(0).output(0) == "x_inner_1");
  CHECK(body.initializer(0).name() == "cond_inner_1");
  const Model again = reread(written);
  verify(again.graph, "reading again");
  CHECK(text_form(again.graph) == text_form(reread(write_onnx(again)).graph));
}

TEST_CASE("other domains are imported as far as they are used") {
  Model model = constants_model(2);
  model.other_opsets = {{"com.microsoft", 1}, {"ai.onnx.ml", 3}, {"custom", 7}};
  Node node;
  node.opaque_domain = "custom";
  node.opaque_type = "Thing";
  node.inputs = {model.graph.find_value("y")};
  node.outputs = {model.graph.add_value("z")};
  node.attributes.set("blob", Tensor::from_strings({2}, {"a", "b"}));
  model.graph.set_outputs({node.outputs[0]});
  model.graph.add_node(std::move(node));
  const WrittenModel written = write_onnx(model);
  const onnx::ModelProto proto = proto_of(written);
  REQUIRE(proto.opset_import_size() == 2);
  CHECK(proto.opset_import(1).domain() == "custom");
  CHECK(proto.opset_import(1).version() == 7);
  CHECK(text_form(reread(written).graph) == text_form(model.graph));
}

TEST_CASE("Gelu stays in com.microsoft below opset 20") {
  Model model = parse_text(R"(<ir_version: 8, opset_import: ["" : 14, "com.microsoft" : 1]>
    g (float[3] x) => (float[3] y) { y = com.microsoft.Gelu (x) })");
  CHECK(model.graph.node(model.graph.order()[0]).kind == OpKind::kGelu);
  const WrittenModel written = write_onnx(model);
  CHECK(written.opset == 14);
  CHECK(proto_of(written).graph().node(0).domain() == "com.microsoft");
  // Without the domain it is written out.
  model.other_opsets.clear();
  const WrittenModel plain = write_onnx(model);
  CHECK(plain.opset == 14);
  CHECK(proto_of(plain).graph().node_size() == 5);
}

}  // namespace lathe
