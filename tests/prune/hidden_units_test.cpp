// Units of recurrent layers, attention heads, embeddings.
#include "prune/channel_check.h"

#include <doctest/doctest.h>

namespace lathe {

using test::Cell;
using test::check_groups;
using test::group_named;
using test::group_texts;
using test::Net;
using Texts = std::vector<std::string>;

namespace {

Attributes cell_attributes(int64_t hidden, bool both) {
  Attributes attributes;
  attributes.set("hidden_size", hidden);
  if (both) attributes.set("direction", std::string("bidirectional"));
  return attributes;
}

// Five steps of two items; returns Y.
std::vector<ValueId> recurrent(Net& net, ValueId x, const Cell& cell, int64_t in, int64_t hidden,
                               bool both, bool states) {
  const int64_t d = both ? 2 : 1;
  std::vector<ValueId> inputs{x, net.weight({d, cell.gates * hidden, in}),
                              net.weight({d, cell.gates * hidden, hidden}),
                              net.weight({d, 2 * cell.gates * hidden})};
  if (states) {
    inputs.push_back({});
    inputs.push_back(net.weight({d, 2, hidden}));
    if (cell.kind == OpKind::kLSTM) {
      inputs.push_back(net.weight({d, 2, hidden}));
      inputs.push_back(net.weight({d, 3 * hidden}));
    }
  }
  return net.ops(cell.kind, inputs, cell.kind == OpKind::kLSTM ? 3 : 2,
                 cell_attributes(hidden, both));
}

}  // namespace

TEST_CASE("hidden units of LSTM, GRU and RNN") {
  for (const Cell cell : {Cell{OpKind::kLSTM, 4}, Cell{OpKind::kGRU, 3}, Cell{OpKind::kRNN, 1}})
    for (const bool both : {false, true}) {
      Net net;
      const ValueId x = net.input(Shape{5, 2, 3});
      const int64_t d = both ? 2 : 1;
      const auto first = recurrent(net, x, cell, 3, 8, both, true);
      ValueId y = net.op(OpKind::kTranspose, {first[0]}, [] {
        Attributes attributes;
        attributes.set("perm", std::vector<int64_t>{0, 2, 1, 3});
        return attributes;
      }());
      y = net.op(OpKind::kReshape, {y, net.ints({0, 0, -1})});
      const auto second = recurrent(net, y, cell, 8 * d, 6, both, false);
      const ValueId state = net.op(OpKind::kReduceSum, {second[1], net.ints({0})}, [] {
        Attributes attributes;
        attributes.set("keepdims", int64_t{0});
        return attributes;
      }());
      const Graph graph = net.finish({net.op(OpKind::kGemm, {state, net.weight({6, 2})})});
      CAPTURE(op_name(cell.kind));
      CAPTURE(both);
      const auto groups = find_channel_groups(graph);
      REQUIRE(groups.size() == 3);
      CHECK(groups[0].size == 8);
      CHECK(groups[0].hidden_units);
      CHECK(groups[1].size == 6);
      CHECK(!groups[2].hidden_units);
      CHECK(check_groups(graph) == 2);
    }
}

TEST_CASE("a state that is given blocks the units, one that is passed on unites") {
  Net net;
  const ValueId x = net.input(Shape{5, 2, 3});
  const ValueId h = net.input(Shape{1, 2, 8}, "h");
  const std::vector<ValueId> weights{x, net.weight({1, 24, 3}), net.weight({1, 24, 8}), {}, {}, h};
  const ValueId y = net.ops(OpKind::kGRU, weights, 2, cell_attributes(8, false))[0];
  const Graph graph = net.finish({net.op(OpKind::kMatMul, {y, net.weight({8, 2})})});
  CHECK(group_named(graph, "GRU_0").blocked.find("it meets h") != std::string::npos);

  Net chain;
  const ValueId z = chain.input(Shape{5, 2, 3});
  const auto first = recurrent(chain, z, {OpKind::kGRU, 3}, 3, 8, false, false);
  const std::vector<ValueId> next{
      z, chain.weight({1, 24, 3}), chain.weight({1, 24, 8}), {}, {}, first[1]};
  const ValueId last = chain.ops(OpKind::kGRU, next, 2, cell_attributes(8, false))[0];
  const Graph decoder = chain.finish({chain.op(OpKind::kMatMul, {last, chain.weight({8, 2})})});
  CHECK(group_texts(decoder) == Texts{"GRU_0 8", "MatMul_2 2 blocked"});
  CHECK(check_groups(decoder) == 1);
}

TEST_CASE("attention heads written out, with three projections and with one") {
  for (const bool joined : {false, true}) {
    Net net;
    const ValueId x = net.input(Shape{2, 7, 6});
    std::vector<ValueId> qkv;
    Attributes order;
    order.set("perm", std::vector<int64_t>{0, 2, 1, 3});
    if (joined) {
      ValueId all = net.op(OpKind::kMatMul, {x, net.weight({6, 48})});
      all = net.op(OpKind::kReshape, {all, net.ints({2, 7, 3, 4, 4})});
      Attributes first;
      first.set("perm", std::vector<int64_t>{2, 0, 3, 1, 4});
      all = net.op(OpKind::kTranspose, {all}, first);
      for (int64_t i = 0; i < 3; ++i) {
        const ValueId part = net.op(OpKind::kGather, {all, net.ints({i})});
        qkv.push_back(net.op(OpKind::kSqueeze, {part, net.ints({0})}));
      }
    } else {
      for (int i = 0; i < 3; ++i) {
        ValueId part = net.op(OpKind::kMatMul, {x, net.weight({6, 16})});
        part = net.op(OpKind::kAdd, {part, net.weight({16})});
        part = net.op(OpKind::kReshape, {part, net.ints({0, 0, 4, 4})});
        qkv.push_back(net.op(OpKind::kTranspose, {part}, order));
      }
    }
    Attributes flip;
    flip.set("perm", std::vector<int64_t>{0, 1, 3, 2});
    ValueId scores = net.op(OpKind::kMatMul, {qkv[0], net.op(OpKind::kTranspose, {qkv[1]}, flip)});
    scores = net.op(OpKind::kSoftmax, {net.op(OpKind::kMul, {scores, net.weight({}, 0.5F, 0)})});
    ValueId y = net.op(OpKind::kTranspose, {net.op(OpKind::kMatMul, {scores, qkv[2]})}, order);
    y = net.op(OpKind::kReshape, {y, net.ints({0, 0, 16})});
    const Graph graph = net.finish({net.op(OpKind::kMatMul, {y, net.weight({16, 5})})});
    CAPTURE(joined);
    const auto groups = find_channel_groups(graph);
    REQUIRE(!groups.empty());
    CHECK(groups[0].blocked == "");
    CHECK(groups[0].size == 4);
    CHECK(groups[0].hidden_units);
    CHECK(check_groups(graph) == 1);
  }
}

TEST_CASE("attention heads of the fused op") {
  Net net;
  const ValueId x = net.input(Shape{2, 7, 6});
  std::vector<ValueId> qkv;
  for (int i = 0; i < 3; ++i) qkv.push_back(net.op(OpKind::kMatMul, {x, net.weight({6, 16})}));
  Attributes attributes;
  attributes.set("q_num_heads", int64_t{4});
  attributes.set("kv_num_heads", int64_t{4});
  const ValueId y = net.op(OpKind::kAttention, qkv, attributes);
  const Graph graph = net.finish({net.op(OpKind::kMatMul, {y, net.weight({16, 5})})});
  CHECK(group_texts(graph)[0] == "MatMul_0 4");
  CHECK(group_named(graph, "MatMul_0").hidden_units);
  CHECK(check_groups(graph) == 1);
}

TEST_CASE("columns of an embedding") {
  Net net;
  const ValueId x = net.input(Shape{2, 3});
  const ValueId ids = net.op(OpKind::kCast, {net.op(OpKind::kAbs, {x})}, [] {
    Attributes attributes;
    attributes.set("to", int64_t{7});
    return attributes;
  }());
  const ValueId rows = net.op(OpKind::kGather, {net.weight({50, 8}), ids});
  const Graph graph = net.finish({net.op(OpKind::kMatMul, {rows, net.weight({8, 2})})});
  CHECK(group_texts(graph) == Texts{"Gather_2 8", "MatMul_3 2 blocked"});
  CHECK(check_groups(graph) == 1);
}

}  // namespace lathe
