#include <doctest/doctest.h>

#include <algorithm>

#include "ir/error.h"
#include "ir/verify.h"

namespace lathe {
namespace {

ValueType floats() { return tensor_type(DType::kFloat32, dims_of({2})); }

NodeId producer(const Graph& graph, ValueId value) { return graph.value(value).producer; }

struct Chain {
  Graph graph;
  ValueId x = graph.add_input("x", floats());
  ValueId a = graph.add_op(OpKind::kRelu, {x}, "a");
  ValueId b = graph.add_op(OpKind::kAbs, {a}, "b");
  Chain() { graph.set_outputs({b}); }
  void check() const { verify(graph, "test"); }
};

// An If over `captured`, whose branches pass it on.
NodeId add_if(Graph& graph, ValueId condition, ValueId captured) {
  Node node;
  node.kind = OpKind::kIf;
  node.inputs = {condition};
  for (const char* name : {"then_branch", "else_branch"}) {
    Graph body;
    const ValueId inner = body.add_captured("seen", floats());
    body.set_outputs({body.add_op(OpKind::kNeg, {inner}, "out")});
    Subgraph subgraph(name, std::move(body));
    subgraph.captures = {captured};
    node.subgraphs.push_back(std::move(subgraph));
  }
  node.outputs = {graph.add_value("chosen")};
  return graph.add_node(std::move(node));
}

TEST_CASE("names are unique") {
  Graph graph;
  const ValueId first = graph.add_input("x", floats());
  const ValueId second = graph.add_input("x", floats());
  const ValueId third = graph.add_input("", floats());
  CHECK(graph.value(first).name == "x");
  CHECK(graph.value(second).name != "x");
  CHECK_FALSE(graph.value(third).name.empty());
  CHECK(graph.find_value("x") == first);
  graph.rename(first, "y");
  CHECK_FALSE(graph.find_value("x").valid());
  CHECK(graph.find_value("y") == first);
  CHECK_THROWS_AS(graph.rename(second, "y"), InternalError);
  CHECK(graph.fresh_name("y") != "y");
}

TEST_CASE("users follow every edit") {
  Chain chain;
  Graph& graph = chain.graph;
  const NodeId abs = producer(graph, chain.b);
  CHECK(graph.value(chain.a).users == std::vector{abs});
  CHECK(graph.single_user(chain.a) == abs);
  CHECK_FALSE(graph.single_user(chain.b));  // a graph output
  graph.replace_input(abs, 0, chain.x);
  CHECK(graph.value(chain.a).users.empty());
  CHECK(graph.value(chain.x).users.size() == 2);
  chain.check();
  graph.erase_node(producer(graph, chain.a));
  CHECK_FALSE(graph.is_live(chain.a));
  CHECK(graph.node_count() == 1);
  chain.check();
  graph.add_node_input(abs, chain.x);
  CHECK(graph.value(chain.x).users.size() == 2);
  graph.truncate_inputs(abs, 1);
  CHECK(graph.value(chain.x).users.size() == 1);
  chain.check();
}

TEST_CASE("a value that is used twice by a node has two uses") {
  Graph graph;
  const ValueId x = graph.add_input("x", floats());
  const ValueId y = graph.add_op(OpKind::kMul, {x, x}, "y");
  graph.set_outputs({y});
  CHECK(graph.value(x).users.size() == 2);
  CHECK_FALSE(graph.single_user(x));
  const ValueId k = graph.add_constant("k", Tensor::vector<float>({1, 2}));
  graph.replace_all_uses(x, k);
  CHECK(graph.value(x).users.empty());
  CHECK(graph.value(k).users.size() == 2);
  verify(graph, "test");
}

TEST_CASE("what is used cannot be erased") {
  Chain chain;
  CHECK_THROWS_AS(chain.graph.erase_node(producer(chain.graph, chain.a)), InternalError);
  CHECK_THROWS_AS(chain.graph.erase_node(producer(chain.graph, chain.b)), InternalError);
  CHECK_THROWS_AS(chain.graph.erase_value(chain.x), InternalError);
  CHECK_THROWS_AS(chain.graph.set_constant(chain.a, Tensor::scalar(1.0F)), InternalError);
}

TEST_CASE("a replaced graph output keeps its name") {
  Chain chain;
  Graph& graph = chain.graph;
  graph.edit_type(chain.b) = floats();
  graph.replace_all_uses_keeping_output_name(chain.b, chain.a);
  CHECK(graph.outputs() == std::vector{chain.a});
  CHECK(graph.value(chain.a).name == "b");
  graph.erase_node(producer(graph, chain.b));
  chain.check();
  CHECK(graph.find_value("b") == chain.a);
}

TEST_CASE("an inserted node stands before its user") {
  Chain chain;
  Graph& graph = chain.graph;
  const ValueId other = graph.add_op(OpKind::kNeg, {chain.x}, "other");
  const ValueId inserted = graph.add_op(OpKind::kExp, {chain.a}, "inserted");
  const NodeId abs = producer(graph, chain.b);
  graph.replace_input(abs, 0, inserted);
  const std::vector<NodeId> expected{producer(graph, chain.a), producer(graph, inserted), abs,
                                     producer(graph, other)};
  CHECK(graph.order() == expected);
}

TEST_CASE("a cycle is named") {
  Chain chain;
  const NodeId relu = producer(chain.graph, chain.a);
  chain.graph.replace_input(relu, 0, chain.b);
  CHECK_THROWS_WITH_AS(chain.graph.order(), doctest::Contains("cycle"), Error);
  CHECK_THROWS_AS(chain.check(), Error);
}

TEST_CASE("a long chain is sorted without recursion") {
  Graph graph;
  ValueId last = graph.add_input("x", floats());
  for (int i = 0; i < 200'000; ++i) last = graph.add_op(OpKind::kRelu, {last}, "");
  graph.set_outputs({last});
  CHECK(graph.order().size() == 200'000);
}

TEST_CASE("captures count as uses") {
  Chain chain;
  Graph& graph = chain.graph;
  const ValueId condition = graph.add_input("c", tensor_type(DType::kBool, Dims{}));
  const NodeId choose = add_if(graph, condition, chain.b);
  CHECK(graph.value(chain.b).users.size() == 2);
  chain.check();
  graph.replace_capture(choose, 0, 0, chain.a);
  CHECK(graph.value(chain.b).users.size() == 1);
  graph.replace_all_uses(chain.b, chain.x);
  CHECK(graph.node(choose).subgraphs[1].captures[0] == chain.x);
  chain.check();
  SUBCASE("the producer of a capture comes first") {
    const ValueId late = graph.add_op(OpKind::kExp, {chain.x}, "late");
    graph.replace_capture(choose, 1, 0, late);
    const auto order = graph.order();
    CHECK(std::find(order.begin(), order.end(), producer(graph, late)) <
          std::find(order.begin(), order.end(), choose));
  }
  SUBCASE("unused captures go") {
    const ValueId inner = graph.add_capture(choose, 0, chain.a);
    CHECK(graph.node(choose).subgraphs[0].graph().value(inner).name == "a");
    const size_t uses = graph.value(chain.a).users.size();
    graph.drop_unused_captures(choose);
    CHECK(graph.node(choose).subgraphs[0].captures.size() == 1);
    CHECK(graph.value(chain.a).users.size() == uses - 1);
    chain.check();
  }
  SUBCASE("copies are deep") {
    Graph copy = graph;
    Graph& body = copy.edit(choose).subgraphs[0].graph();
    body.edit(body.node_ids()[0]).kind = OpKind::kExp;
    const Graph& original = graph.node(choose).subgraphs[0].graph();
    CHECK(original.node(original.node_ids()[0]).kind == OpKind::kNeg);
    verify(copy, "test");
  }
}

TEST_CASE("attributes are typed") {
  Attributes attributes;
  attributes.set("axis", int64_t{3});
  CHECK(attributes.int_or("axis", 0) == 3);
  CHECK(attributes.int_or("other", 7) == 7);
  CHECK_THROWS_AS(attributes.float_or("axis", 0), Error);
  CHECK_THROWS_AS(attributes.required_ints("pads"), Error);
  Attributes same = attributes;
  CHECK(same.identical(attributes));
  same.set("axis", 3.0F);
  CHECK_FALSE(same.identical(attributes));
  same.erase("axis");
  CHECK(same.size() == 0);
}

TEST_CASE("op names go both ways") {
  for (int i = 1; i < kOpKindCount; ++i) {
    const auto kind = static_cast<OpKind>(i);
    CAPTURE(op_name(kind));
    CHECK(op_kind(op_domain(kind), op_name(kind)) == kind);
  }
  CHECK(op_kind("ai.onnx", "Conv") == OpKind::kConv);
  CHECK_FALSE(op_kind("acme", "Conv"));
  CHECK_FALSE(op_kind("", "QGemm"));
}

TEST_CASE("dims as text") {
  CHECK(dims_text({Dim::named("N"), Dim::of(3), Dim{}}) == "Nx3x?");
  CHECK(dims_text({}) == "scalar");
  CHECK(static_shape({Dim::of(2), Dim::of(3)}) == Shape{2, 3});
  CHECK_FALSE(static_shape({Dim::of(2), Dim::named("N")}));
}

}  // namespace
}  // namespace lathe
