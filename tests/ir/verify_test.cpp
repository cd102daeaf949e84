// Every invariant that the editing API lets a careless pass break.
#include <doctest/doctest.h>

#include "ir/error.h"
#include "ir/verify.h"

namespace lathe {
namespace {

struct Fixture {
  Graph graph;
  ValueId x = graph.add_input("x", tensor_type(DType::kFloat32, dims_of({2})));
  ValueId a = graph.add_op(OpKind::kRelu, {x}, "a");
  ValueId b = graph.add_op(OpKind::kAbs, {a}, "b");
  Fixture() { graph.set_outputs({b}); }
  Node& producer(ValueId id) { return graph.edit(graph.value(id).producer); }
  void expect(const char* part) const {
    CHECK_THROWS_WITH_AS(verify(graph, "a_pass"), doctest::Contains(part), InternalError);
  }
};

TEST_CASE("a sound graph passes") { CHECK_NOTHROW(verify(Fixture().graph, "import")); }

TEST_CASE("the message names the pass") {
  Fixture f;
  f.producer(f.b).inputs[0] = f.x;
  f.expect("after a_pass");
}

TEST_CASE("inputs changed behind the graph's back") {
  Fixture f;
  SUBCASE("replaced") { f.producer(f.b).inputs[0] = f.x; }
  SUBCASE("added") { f.producer(f.b).inputs.push_back(f.a); }
  SUBCASE("dropped") { f.producer(f.b).inputs.clear(); }
  f.expect("lists of users");
}

TEST_CASE("outputs changed behind the graph's back") {
  Fixture f;
  SUBCASE("dropped") {
    f.producer(f.b).outputs.clear();
    f.expect("does not list it");
  }
  SUBCASE("stolen") {
    f.producer(f.b).outputs.push_back(f.a);
    f.expect("not its output's producer");
  }
  SUBCASE("dead") {
    const ValueId gone = f.graph.add_value("gone");
    f.graph.erase_value(gone);
    f.producer(f.b).outputs.push_back(gone);
    f.expect("does not exist");
  }
}

TEST_CASE("a value that nothing produces is read") {
  Fixture f;
  const ValueId orphan = f.graph.add_value("orphan");
  SUBCASE("by a node") {
    f.graph.add_node_input(f.graph.value(f.b).producer, orphan);
    f.expect("nothing produces");
  }
  SUBCASE("as a graph output") {
    f.graph.set_outputs({orphan});
    f.expect("nothing produces");
  }
}

TEST_CASE("a dead value is read") {
  Fixture f;
  const ValueId gone = f.graph.add_value("gone");
  f.graph.erase_value(gone);
  f.producer(f.b).inputs.push_back(gone);
  f.expect("does not exist");
}

TEST_CASE("a graph input with a producer") {
  Fixture f;
  f.graph.set_inputs({f.x, f.a});
  f.expect("graph input has a producer");
}

TEST_CASE("captures that do not match") {
  Fixture f;
  Graph body;
  body.set_outputs({body.add_captured("seen", {})});
  Node node;
  node.kind = OpKind::kOpaque;
  node.opaque_type = "Body";
  node.subgraphs.emplace_back("body", std::move(body));
  SUBCASE("in number") {
    f.graph.add_node(std::move(node));
    f.expect("differ in number");
  }
  SUBCASE("with the users") {
    node.subgraphs[0].captures = {f.a};
    const NodeId id = f.graph.add_node(std::move(node));
    CHECK_NOTHROW(verify(f.graph, "test"));
    f.graph.edit(id).subgraphs[0].captures = {f.x};
    f.expect("lists of users");
  }
  SUBCASE("and a broken body") {
    node.subgraphs[0].captures = {f.a};
    const NodeId id = f.graph.add_node(std::move(node));
    Graph& inner = f.graph.edit(id).subgraphs[0].graph();
    inner.set_outputs({inner.add_value("nothing")});
    f.expect("nothing produces");
  }
}

}  // namespace
}  // namespace lathe
