// A rule per op: which channels belong together, and that removal is what masking computes.
#include "prune/channel_check.h"

#include <doctest/doctest.h>

namespace lathe {

using test::check_groups;
using test::group_named;
using test::group_texts;
using test::Net;
using Texts = std::vector<std::string>;

namespace {

Attributes with(const std::string& name, Attribute value) {
  Attributes attributes;
  attributes.set(name, std::move(value));
  return attributes;
}

std::vector<int64_t> axes(std::initializer_list<int64_t> values) { return values; }

}  // namespace

TEST_CASE("channels of a Conv go through BatchNormalization, PRelu and a residual Add") {
  Net net;
  const ValueId x = net.input(Shape{1, 3, 6, 6});
  ValueId a = net.conv(x, 3, 8, 3);
  a = net.op(OpKind::kBatchNormalization,
             {a, net.weight({8}, 1), net.weight({8}), net.weight({8}), net.weight({8}, 2, 0.1F)});
  a = net.op(OpKind::kPRelu, {a, net.weight({8, 1, 1})});
  ValueId b = net.relu(net.conv(a, 8, 12, 3));
  b = net.conv(b, 12, 8);
  const ValueId sum = net.op(OpKind::kAdd, {a, b});
  const Graph graph = net.finish({net.conv(sum, 8, 4)});
  CHECK(group_texts(graph) == Texts{"Conv_0 8", "Conv_3 12", "Conv_7 4 blocked"});
  const ChannelGroup group = group_named(graph, "Conv_0");
  CHECK(group.description ==
        "Conv_0 (8 channels) with Conv_5, through Add_6; read by Conv_3, Conv_7");
  CHECK(group.uses.size() == 11);
  CHECK(group_named(graph, "Conv_7").blocked.find("output v") == 0);
  CHECK(check_groups(graph) == 2);
}

TEST_CASE("parts of a Concat stay apart") {
  Net net;
  const ValueId x = net.input(Shape{1, 3, 5, 5});
  const ValueId a = net.relu(net.conv(x, 3, 6));
  const ValueId b = net.conv(x, 3, 10, 3);
  const ValueId all = net.op(OpKind::kConcat, {a, x, b}, with("axis", int64_t{1}));
  const Graph graph = net.finish({net.conv(all, 19, 2)});
  CHECK(group_texts(graph) == Texts{"Conv_0 6", "Conv_2 10", "Conv_4 2 blocked"});
  CHECK(check_groups(graph) == 2);
}

TEST_CASE("parts of a Split are groups of their own, and meet again") {
  Net net;
  const ValueId x = net.input(Shape{1, 3, 4, 4});
  const auto parts =
      net.ops(OpKind::kSplit, {net.conv(x, 3, 12), net.ints({4, 8})}, 2, with("axis", int64_t{1}));
  const ValueId back =
      net.op(OpKind::kConcat, {net.relu(parts[1]), parts[0]}, with("axis", int64_t{1}));
  const Graph graph = net.finish({net.conv(back, 12, 2)});
  CHECK(group_texts(graph) == Texts{"Conv_0 4", "Conv_0/2 8", "Conv_4 2 blocked"});
  CHECK(check_groups(graph) == 2);

  Net even;  // a gate: both halves are multiplied
  const auto halves =
      even.ops(OpKind::kSplit, {even.conv(even.input(Shape{1, 3, 4, 4}), 3, 12)}, 2, [] {
        Attributes both = with("axis", int64_t{1});
        both.set("num_outputs", int64_t{2});
        return both;
      }());
  const ValueId gate = even.op(OpKind::kSigmoid, {halves[0]});
  const Graph gated = even.finish({even.conv(even.op(OpKind::kMul, {gate, halves[1]}), 6, 2)});
  CHECK(group_texts(gated) == Texts{"Conv_0 6", "Conv_4 2 blocked"});
  CHECK(check_groups(gated) == 1);
}

TEST_CASE("Slice and Gather with constants select channels") {
  Net net;
  const ValueId a = net.conv(net.input(Shape{1, 3, 4, 4}), 3, 12);
  const ValueId low = net.op(OpKind::kSlice, {a, net.ints({2}), net.ints({7}), net.ints({1})});
  const ValueId some =
      net.op(OpKind::kGather, {a, net.ints({11, 0, 8, 0})}, with("axis", int64_t{1}));
  const Graph graph = net.finish({net.conv(low, 5, 2), net.conv(some, 4, 2)});
  CHECK(check_groups(graph) >= 3);
}

TEST_CASE("grouped and depthwise Conv") {
  Net net;
  const ValueId a = net.relu(net.conv(net.input(Shape{1, 3, 5, 5}), 3, 8));
  const ValueId deep = net.conv(a, 8, 16, 3, 8);  // two filters a channel
  const ValueId grouped = net.conv(net.relu(deep), 16, 12, 3, 4);
  const Graph graph = net.finish({net.conv(grouped, 12, 2)});
  // 16 channels of 8 pairs in 4 groups of 4: 2 ways to remove as much of every group.
  CHECK(group_texts(graph) == Texts{"Conv_0 2", "Conv_4 3", "Conv_5 2 blocked"});
  CHECK(check_groups(graph) == 2);

  Net first;  // the depthwise layer reads what is given: nothing can go
  const ValueId y = first.conv(first.input(Shape{1, 4, 5, 5}), 4, 4, 3, 4);
  const Graph kept = first.finish({first.conv(y, 4, 2)});
  CHECK(group_texts(kept) == Texts{"Conv_0 4 blocked", "Conv_1 2 blocked"});
}

TEST_CASE("ConvTranspose, grouped and depthwise") {
  for (const int64_t group : {1, 2, 8}) {
    Net net;
    const ValueId a = net.relu(net.conv(net.input(Shape{1, 3, 5, 5}), 3, 8));
    Attributes attributes = with("group", group);
    attributes.set("strides", axes({2, 2}));
    const ValueId up = net.op(OpKind::kConvTranspose,
                              {a, net.weight({8, 8 / group, 2, 2}), net.weight({8})}, attributes);
    const Graph graph = net.finish({net.conv(up, 8, 2)});
    CAPTURE(group);
    CHECK(check_groups(graph) == (group == 8 ? 1 : 2));
  }
}

TEST_CASE("squeeze-excite falls out of pooling and broadcasting") {
  Net net;
  const ValueId a = net.relu(
      net.conv(net.input(Dims{Dim::named("N"), Dim::of(3), Dim::of(6), Dim::of(6)}), 3, 8, 3));
  ValueId s = net.op(OpKind::kGlobalAveragePool, {a});
  s = net.conv(net.relu(net.conv(s, 8, 4)), 4, 8);
  const ValueId y = net.op(OpKind::kMul, {a, net.op(OpKind::kHardSigmoid, {s})});
  const Graph graph = net.finish({net.conv(y, 8, 2)});
  CHECK(group_texts(graph) == Texts{"Conv_0 8", "Conv_3 4", "Conv_8 2 blocked"});
  CHECK(check_groups(graph) == 2);
}

TEST_CASE("Flatten and Reshape repeat channels for a Gemm") {
  for (const int form : {0, 1, 2}) {
    Net net;
    const Dims dims{Dim::named("N"), Dim::of(3), Dim::of(4), Dim::of(4)};
    ValueId a = net.relu(net.conv(net.input(dims), 3, 6, 3));
    if (form == 2) a = net.op(OpKind::kTranspose, {a}, with("perm", axes({0, 2, 3, 1})));
    a = form == 0 ? net.op(OpKind::kFlatten, {a})
                  : net.op(OpKind::kReshape, {a, net.ints({form == 1 ? int64_t{0} : -1, 96})});
    const ValueId hidden = net.relu(net.op(
        OpKind::kGemm, {a, net.weight({10, 96}), net.weight({10})}, with("transB", int64_t{1})));
    const Graph graph = net.finish({net.op(OpKind::kGemm, {hidden, net.weight({10, 3})})});
    CAPTURE(form);
    CHECK(check_groups(graph) == 2);
    CHECK(find_channel_groups(graph)[0].size == 6);
  }
}

TEST_CASE("MatMul and Add at any rank, weights left or right") {
  Net net;
  const ValueId x = net.input(Shape{2, 5, 6});
  ValueId a =
      net.op(OpKind::kAdd, {net.op(OpKind::kMatMul, {x, net.weight({6, 8})}), net.weight({8})});
  a = net.op(OpKind::kGelu, {a});
  const ValueId mixed = net.op(OpKind::kMatMul, {net.weight({7, 5}), a});  // tokens are channels
  const ValueId back = net.op(OpKind::kMatMul, {net.weight({4, 7}), net.relu(mixed)});
  const Graph graph = net.finish({net.op(OpKind::kMatMul, {back, net.weight({8, 3})})});
  CHECK(group_texts(graph) ==
        Texts{"MatMul_0 8", "MatMul_3 7", "MatMul_5 4 blocked", "MatMul_6 3 blocked"});
  CHECK(check_groups(graph) == 2);
}

TEST_CASE("normalization over channels blocks, within channels it does not") {
  Net net;
  const ValueId x = net.input(Shape{2, 5, 6});
  ValueId a = net.op(OpKind::kMatMul, {x, net.weight({6, 8})});
  a = net.op(OpKind::kLayerNormalization, {a, net.weight({8}, 1), net.weight({8})});
  const Graph layer = net.finish({net.op(OpKind::kMatMul, {a, net.weight({8, 3})})});
  CHECK(group_texts(layer)[0] == "MatMul_0 8 blocked");
  CHECK(group_named(layer, "MatMul_0").blocked ==
        "LayerNormalization_1 (LayerNormalization) normalizes over it: removal would change the "
        "others");

  Net instance;
  ValueId b = instance.conv(instance.input(Shape{1, 3, 5, 5}), 3, 8, 3);
  b = instance.op(OpKind::kInstanceNormalization,
                  {b, instance.weight({8}, 1), instance.weight({8})});
  b = instance.op(OpKind::kResize, {b, ValueId{}, ValueId{}, instance.ints({1, 8, 10, 10})},
                  with("mode", std::string("nearest")));
  b = instance.op(OpKind::kPad, {b, instance.ints({0, 0, 1, 1, 0, 0, 1, 1})});
  b = instance.op(OpKind::kMaxPool, {b}, with("kernel_shape", axes({2, 2})));
  const Graph kept = instance.finish({instance.conv(b, 8, 2)});
  CHECK(check_groups(kept) == 1);

  for (const OpKind kind : {OpKind::kSoftmax, OpKind::kLogSoftmax}) {
    Net soft;
    const ValueId c = soft.conv(soft.input(Shape{1, 3, 4, 4}), 3, 6);
    const ValueId d = soft.op(kind, {c}, with("axis", int64_t{1}));
    CHECK(group_texts(soft.finish({soft.conv(d, 6, 2)}))[0] == "Conv_0 6 blocked");
    Net space;
    const ValueId e = space.conv(space.input(Shape{1, 3, 4, 4}), 3, 6);
    const ValueId f = space.op(kind, {e}, with("axis", int64_t{-1}));
    CHECK(check_groups(space.finish({space.conv(f, 6, 2)})) == 1);
  }
}

TEST_CASE("reductions over space pass, over channels they block") {
  Net net;
  const ValueId a = net.relu(net.conv(net.input(Shape{2, 3, 4, 4}), 3, 6));
  const ValueId mean =
      net.op(OpKind::kReduceMean, {a, net.ints({2, 3})}, with("keepdims", int64_t{0}));
  const Graph graph = net.finish({net.op(OpKind::kGemm, {mean, net.weight({6, 3})})});
  CHECK(check_groups(graph) == 1);
  Net across;
  const ValueId b = across.conv(across.input(Shape{2, 3, 4, 4}), 3, 6);
  const ValueId m = across.op(OpKind::kReduceMean, {b, across.ints({1})});
  const Graph blocked = across.finish({across.conv(across.op(OpKind::kMul, {b, m}), 6, 2)});
  CHECK(group_texts(blocked)[0] == "Conv_0 6 blocked");
}

TEST_CASE("pixel shuffle, as one op and written out") {
  for (const std::string mode : {"DCR", "CRD", "written", "space"}) {
    Net net;
    ValueId a = net.conv(net.input(Shape{1, 3, 4, 4}), 3, 20, 3);
    int64_t channels = 5;
    if (mode == "written") {
      a = net.op(OpKind::kReshape, {a, net.ints({1, 5, 2, 2, 4, 4})});
      a = net.op(OpKind::kTranspose, {a}, with("perm", axes({0, 1, 4, 2, 5, 3})));
      a = net.op(OpKind::kReshape, {a, net.ints({1, 5, 8, 8})});
    } else if (mode == "space") {
      a = net.op(OpKind::kSpaceToDepth, {a}, with("blocksize", int64_t{2}));
      channels = 80;
    } else {
      Attributes attributes = with("blocksize", int64_t{2});
      attributes.set("mode", mode);
      a = net.op(OpKind::kDepthToSpace, {a}, attributes);
    }
    const Graph graph = net.finish({net.conv(net.relu(a), channels, 2)});
    CAPTURE(mode);
    CHECK(group_texts(graph)[0] == (mode == "space" ? "Conv_0 20" : "Conv_0 5"));
    CHECK(check_groups(graph) == 1);
  }
}

TEST_CASE("channel shuffle: the axis that carries the channels is found by trial") {
  Net net;
  ValueId a = net.relu(net.conv(net.input(Shape{1, 3, 4, 4}), 3, 12));
  a = net.op(OpKind::kReshape, {a, net.ints({1, 3, 4, 4, 4})});
  a = net.op(OpKind::kTranspose, {a}, with("perm", axes({0, 2, 1, 3, 4})));
  a = net.op(OpKind::kReshape, {a, net.ints({1, 12, 4, 4})});
  const Graph graph = net.finish({net.conv(net.conv(a, 12, 12, 3, 4), 12, 2)});
  CHECK(check_groups(graph) >= 1);
}

TEST_CASE("padded channels belong to the channels that they are added to") {
  Net net;
  const ValueId a = net.relu(net.conv(net.input(Shape{1, 3, 4, 4}), 3, 6));
  const ValueId wide = net.op(OpKind::kPad, {a, net.ints({0, 1, 0, 0, 0, 3, 0, 0})});
  const ValueId sum = net.op(OpKind::kAdd, {wide, net.conv(a, 6, 10, 3)});
  const Graph graph = net.finish({net.conv(sum, 10, 2)});
  CHECK(check_groups(graph) >= 2);
}

TEST_CASE("constants and expanded values that stand beside channels are cut with them") {
  Net net;
  const ValueId a = net.conv(net.input(Shape{1, 3, 4, 4}), 3, 8);
  const ValueId b = net.op(OpKind::kMul, {a, net.weight({8, 1, 1}, 1)});
  const ValueId c = net.op(OpKind::kAdd, {b, net.weight({1, 8, 4, 4})});
  const ValueId m = net.op(OpKind::kReduceMean, {c, net.ints({1, 2, 3})});
  CHECK(group_texts(net.finish({net.conv(c, 8, 2), m}))[0] == "Conv_0 8 blocked");

  Net expand;
  const ValueId x = expand.input(Shape{1, 3, 4, 4});
  const ValueId d = expand.conv(x, 3, 8);
  const ValueId one = expand.op(OpKind::kReduceMean, {x, expand.ints({1})});
  const ValueId many = expand.op(OpKind::kExpand, {one, expand.ints({1, 8, 4, 4})});
  const ValueId e = expand.op(OpKind::kMul, {d, many});
  const ValueId f = expand.op(OpKind::kTile, {e, expand.ints({1, 2, 1, 1})});
  CHECK(check_groups(expand.finish({expand.conv(f, 16, 2)})) == 1);
}

TEST_CASE("what is not followed blocks and is named") {
  Net net;
  const ValueId x = net.input(Shape{1, 6, 4, 4});
  const ValueId a = net.conv(x, 6, 6);
  const Graph graph = net.finish({net.conv(net.op(OpKind::kAdd, {a, x}), 6, 2)});
  CHECK(group_named(graph, "Conv_0").blocked == "in Add_1 (Add) it meets x, which is not followed");

  Net opaque;
  Node node;
  const ValueId b = opaque.conv(opaque.input(Shape{1, 3, 4, 4}), 3, 6);
  const ValueId c = opaque.op(OpKind::kCumSum, {b, opaque.ints({1})});
  CHECK(group_texts(opaque.finish({opaque.conv(c, 6, 2)}))[0] == "Conv_0 6 blocked");
}

TEST_CASE("shared weights are copied for the layer that is cut") {
  Net net;
  const ValueId x = net.input(Shape{1, 6, 4, 4});
  const ValueId w = net.weight({6, 6, 1, 1});
  const ValueId a = net.relu(net.op(OpKind::kConv, {x, w}));
  const ValueId b = net.relu(net.op(OpKind::kConv, {a, w}));
  const Graph graph = net.finish({net.conv(b, 6, 2)});
  CHECK(group_texts(graph) == Texts{"Conv_0 6", "Conv_2 6", "Conv_4 2 blocked"});
  CHECK(check_groups(graph) == 2);
}

TEST_CASE("pruning again finds what is left") {
  Net net;
  const ValueId a = net.relu(net.conv(net.input(Shape{1, 3, 4, 4}), 3, 20));
  Graph graph = net.finish({net.conv(a, 20, 2)});
  const auto groups = find_channel_groups(graph);
  const KeptChannels kept{{0, 5, 6, 19}, {0, 1}};
  CHECK(remove_channels(graph, groups, kept) == 16);
  CHECK(group_texts(graph) == Texts{"Conv_0 4", "Conv_2 2 blocked"});
  CHECK(check_groups(graph) == 1);
  CHECK(remove_channels(graph, find_channel_groups(graph), {{0, 1, 2, 3}, {0, 1}}) == 0);
}

}  // namespace lathe
