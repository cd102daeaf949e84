#include <doctest/doctest.h>

#include <filesystem>

#include "ir/error.h"
#include "ir/verify.h"
#include "onnx/read_model.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

constexpr DType kF32 = DType::kFloat32;

Attributes attributes(std::initializer_list<std::pair<std::string, Attribute>> list) {
  Attributes out;
  for (const auto& [name, value] : list) out.set(name, value);
  return out;
}

std::vector<int64_t> ints(std::initializer_list<int64_t> list) { return list; }

Dims batch_of(std::initializer_list<int64_t> rest) {
  Dims dims{Dim::named("N")};
  for (const int64_t size : rest) dims.push_back(Dim::of(size));
  return dims;
}

// A graph that is grown op by op; text() infers everything and tells one value's dims.
struct Build {
  Graph graph;

  ValueId input(Dims dims, DType dtype = kF32) {
    return graph.add_input("x", tensor_type(dtype, std::move(dims)));
  }
  ValueId floats(Shape shape) {
    const auto count = static_cast<size_t>(element_count(shape));
    return graph.add_constant("w", Tensor::of<float>(shape, std::vector<float>(count)));
  }
  ValueId numbers(std::vector<int64_t> values) {
    return graph.add_constant("k", Tensor::vector<int64_t>(values));
  }
  ValueId number(int64_t value) { return graph.add_constant("k", Tensor::scalar<int64_t>(value)); }
  ValueId op(OpKind kind, std::vector<ValueId> inputs, Attributes with = {}) {
    return graph.add_op(kind, std::move(inputs), "v", std::move(with));
  }
  std::string text(ValueId id) {
    infer_shapes(graph);
    const ValueType& type = graph.value(id).type;
    return type.dims ? dims_text(*type.dims) : "unknown";
  }
};

TEST_CASE("elementwise ops broadcast") {
  Build b;
  const ValueId x = b.input(batch_of({3, 8, 8}));
  CHECK(b.text(b.op(OpKind::kAdd, {x, b.floats({3, 1, 1})})) == "Nx3x8x8");
  CHECK(b.text(b.op(OpKind::kMul, {x, b.floats({2, 1, 1, 1, 1})})) == "2xNx3x8x8");
  CHECK(b.text(b.op(OpKind::kRelu, {x})) == "Nx3x8x8");
  CHECK(b.text(b.op(OpKind::kAdd, {x, b.floats({5, 1, 1, 1})})) == "5x3x8x8");
  b.op(OpKind::kAdd, {x, b.floats({4, 1, 1})});
  CHECK_THROWS_WITH_AS(infer_shapes(b.graph), doctest::Contains("node Add_4 (Add)"), Error);
}

TEST_CASE("convolution") {
  Build b;
  const ValueId x = b.input(batch_of({8, 32, 31}));
  const auto conv = [&](Shape weight, Attributes with = {}) {
    return b.text(b.op(OpKind::kConv, {x, b.floats(std::move(weight))}, std::move(with)));
  };
  CHECK(conv({16, 8, 3, 3}) == "Nx16x30x29");
  CHECK(conv({16, 8, 3, 3}, attributes({{"pads", ints({1, 1, 1, 1})},
                                        {"strides", ints({2, 2})}})) == "Nx16x16x16");
  CHECK(conv({16, 8, 3, 3}, attributes({{"dilations", ints({2, 3})}})) == "Nx16x28x25");
  CHECK(conv({16, 8, 3, 3}, attributes({{"auto_pad", std::string("SAME_UPPER")},
                                        {"strides", ints({2, 2})}})) == "Nx16x16x16");
  CHECK(conv({16, 4, 1, 1}, attributes({{"group", int64_t{2}}})) == "Nx16x32x31");
  CHECK_THROWS_AS(conv({16, 4, 3, 3}), Error);
}

TEST_CASE("impossible convolutions are named") {
  for (const auto& with :
       {attributes({{"strides", ints({0, 1})}}), attributes({{"pads", ints({1, 1})}}),
        attributes({{"group", int64_t{0}}}), attributes({{"kernel_shape", ints({5, 5})}}),
        attributes({{"dilations", ints({100, 100})}}), attributes({{"strides", int64_t{2}}})}) {
    Build b;
    const ValueId x = b.input(batch_of({8, 16, 16}));
    b.op(OpKind::kConv, {x, b.floats({4, 8, 3, 3})}, with);
    CHECK_THROWS_AS(infer_shapes(b.graph), Error);
  }
}

TEST_CASE("symbolic spatial sizes survive windows that keep them") {
  Build b;
  const ValueId x = b.input({Dim::of(1), Dim::of(3), Dim::named("height"), Dim::named("width")});
  const ValueId w = b.floats({8, 3, 3, 3});
  CHECK(b.text(b.op(OpKind::kConv, {x, w}, attributes({{"pads", ints({1, 1, 1, 1})}}))) ==
        "1x8xheightxwidth");
  CHECK(b.text(b.op(OpKind::kConv, {x, w})) == "1x8x?x?");
}

TEST_CASE("transposed convolution and pooling") {
  Build b;
  const ValueId x = b.input(batch_of({8, 7, 7}));
  CHECK(b.text(b.op(OpKind::kConvTranspose, {x, b.floats({8, 4, 3, 3})},
                    attributes({{"strides", ints({2, 2})},
                                {"pads", ints({1, 1, 1, 1})},
                                {"output_padding", ints({1, 1})}}))) == "Nx4x14x14");
  const Attributes floor = attributes({{"kernel_shape", ints({2, 2})}, {"strides", ints({2, 2})}});
  Attributes ceil = floor;
  ceil.set("ceil_mode", int64_t{1});
  CHECK(b.text(b.op(OpKind::kMaxPool, {x}, floor)) == "Nx8x3x3");
  CHECK(b.text(b.op(OpKind::kAveragePool, {x}, ceil)) == "Nx8x4x4");
  // The last window of ceil mode must not start in the padding.
  CHECK(b.text(b.op(OpKind::kMaxPool, {x},
                    attributes({{"kernel_shape", ints({1, 1})},
                                {"strides", ints({4, 4})},
                                {"pads", ints({0, 0, 1, 1})},
                                {"ceil_mode", int64_t{1}}}))) == "Nx8x2x2");
  CHECK(b.text(b.op(OpKind::kGlobalAveragePool, {x})) == "Nx8x1x1");
}

TEST_CASE("matrix products") {
  Build b;
  const ValueId x = b.input(batch_of({5, 6}));
  CHECK(b.text(b.op(OpKind::kMatMul, {x, b.floats({6, 7})})) == "Nx5x7");
  CHECK(b.text(b.op(OpKind::kMatMul, {x, b.floats({6})})) == "Nx5");
  CHECK(b.text(b.op(OpKind::kMatMul, {b.floats({4}), b.floats({4})})) == "scalar");
  CHECK(b.text(b.op(OpKind::kGemm, {b.floats({6, 2}), b.floats({7, 6})},
                    attributes({{"transA", int64_t{1}}, {"transB", int64_t{1}}}))) == "2x7");
  CHECK(b.text(b.op(OpKind::kEinsum, {x, b.floats({6, 9})},
                    attributes({{"equation", std::string("bij,jk->bki")}}))) == "Nx9x5");
  b.op(OpKind::kMatMul, {x, b.floats({5, 7})});
  CHECK_THROWS_AS(infer_shapes(b.graph), Error);
}

TEST_CASE("reductions") {
  Build b;
  const ValueId x = b.input(batch_of({5, 6}));
  CHECK(b.text(b.op(OpKind::kReduceMean, {x, b.numbers({-1})})) == "Nx5x1");
  CHECK(b.text(b.op(OpKind::kReduceMean, {x, b.numbers({1, 2})},
                    attributes({{"keepdims", int64_t{0}}}))) == "N");
  CHECK(b.text(b.op(OpKind::kReduceSum, {x}, attributes({{"keepdims", int64_t{0}}}))) == "scalar");
  CHECK(b.text(b.op(OpKind::kReduceSum, {x}, attributes({{"noop_with_empty_axes", int64_t{1}}}))) ==
        "Nx5x6");
  CHECK(b.text(b.op(OpKind::kArgMax, {x}, attributes({{"axis", int64_t{1}}}))) == "Nx1x6");
  b.op(OpKind::kReduceSum, {x, b.numbers({3})});
  CHECK_THROWS_AS(infer_shapes(b.graph), Error);
}

TEST_CASE("reshape keeps the batch") {
  Build b;
  const ValueId x = b.input(batch_of({32, 4, 4}));
  CHECK(b.text(b.op(OpKind::kReshape, {x, b.numbers({0, -1})})) == "Nx512");
  CHECK(b.text(b.op(OpKind::kReshape, {x, b.numbers({-1, 512})})) == "Nx512");
  CHECK(b.text(b.op(OpKind::kReshape, {x, b.numbers({-1, 256})})) == "?x256");
  CHECK(b.text(b.op(OpKind::kReshape, {x, b.numbers({0, 2, -1, 0})})) == "Nx2x64x4");
  CHECK(b.text(b.op(OpKind::kFlatten, {x})) == "Nx512");
  CHECK(b.text(b.op(OpKind::kFlatten, {x}, attributes({{"axis", int64_t{2}}}))) == "?x16");
  CHECK(b.text(b.op(OpKind::kReshape, {b.floats({2, 6}), b.numbers({3, -1})})) == "3x4");
}

TEST_CASE("impossible reshapes") {
  for (const auto& shape :
       {ints({5, -1}), ints({-1, -1}), ints({-2, 6}), ints({7}), ints({0, 0, 0})}) {
    Build b;
    b.op(OpKind::kReshape, {b.floats({2, 6}), b.numbers(shape)});
    CHECK_THROWS_AS(infer_shapes(b.graph), Error);
  }
}

TEST_CASE("data movement") {
  Build b;
  const ValueId x = b.input(batch_of({8, 6, 4}));
  CHECK(b.text(b.op(OpKind::kTranspose, {x}, attributes({{"perm", ints({0, 2, 3, 1})}}))) ==
        "Nx6x4x8");
  CHECK(b.text(b.op(OpKind::kUnsqueeze, {x, b.numbers({0, -1})})) == "1xNx8x6x4x1");
  CHECK(b.text(b.op(OpKind::kConcat, {x, b.floats({1, 2, 6, 4})},
                    attributes({{"axis", int64_t{-3}}}))) == "1x10x6x4");
  CHECK(b.text(b.op(OpKind::kSlice, {x, b.numbers({1}), b.numbers({-1}), b.numbers({1}),
                                     b.numbers({2})})) == "Nx3x6x4");
  CHECK(b.text(b.op(OpKind::kSlice, {x, b.numbers({INT64_MAX}), b.numbers({INT64_MIN}),
                                     b.numbers({2}), b.numbers({-1})})) == "Nx8x6x4");
  CHECK(b.text(b.op(OpKind::kSlice, {x, b.numbers({0}), b.numbers({INT64_MAX}), b.numbers({0})})) ==
        "Nx8x6x4");
  CHECK(b.text(b.op(OpKind::kTile, {x, b.numbers({1, 2, 1, 3})})) == "Nx16x6x12");
  CHECK(b.text(b.op(OpKind::kPad, {x, b.numbers({0, 0, 1, 1, 0, 0, 2, -1})})) == "Nx8x9x4");
  CHECK(b.text(b.op(OpKind::kDepthToSpace, {x}, attributes({{"blocksize", int64_t{2}}}))) ==
        "Nx2x12x8");
  CHECK(b.text(b.op(OpKind::kSpaceToDepth, {x}, attributes({{"blocksize", int64_t{2}}}))) ==
        "Nx32x3x2");
  CHECK(b.text(b.op(OpKind::kGather, {x, b.numbers({3, 1})}, attributes({{"axis", int64_t{2}}}))) ==
        "Nx8x2x4");
  CHECK(b.text(b.op(OpKind::kTopK, {x, b.numbers({3})})) == "Nx8x6x3");
  CHECK(b.text(b.op(OpKind::kNonZero, {x})) == "4x?");
  const ValueId scales = b.graph.add_constant("s", Tensor::vector<float>({1, 1, 2, 0.5F}));
  CHECK(b.text(b.op(OpKind::kResize, {x, {}, scales})) == "Nx8x12x2");
}

TEST_CASE("split into uneven parts") {
  Build b;
  Node node;
  node.kind = OpKind::kSplit;
  node.inputs = {b.input(batch_of({7}))};
  for (int i = 0; i < 3; ++i) node.outputs.push_back(b.graph.add_value("part"));
  node.attributes = attributes({{"axis", int64_t{1}}, {"num_outputs", int64_t{3}}});
  const std::vector<ValueId> parts = node.outputs;
  b.graph.add_node(node);
  CHECK(b.text(parts[0]) == "Nx3");
  CHECK(b.text(parts[2]) == "Nx1");
}

TEST_CASE("shape computations are followed") {
  Build b;
  const ValueId x = b.input(batch_of({1280, 1, 1}));
  const ValueId batch = b.op(OpKind::kGather, {b.op(OpKind::kShape, {x}), b.number(0)});
  const ValueId shape =
      b.op(OpKind::kConcat, {b.op(OpKind::kUnsqueeze, {batch, b.numbers({0})}), b.numbers({-1})},
           attributes({{"axis", int64_t{0}}}));
  CHECK(b.text(b.op(OpKind::kReshape, {x, shape})) == "Nx1280");
  // Expand as PyTorch exports it: Where(Equal(shape, -1), ones, shape).
  const ValueId wanted = b.op(
      OpKind::kConcat, {b.op(OpKind::kUnsqueeze, {batch, b.numbers({0})}), b.numbers({-1, 4, 1})},
      attributes({{"axis", int64_t{0}}}));
  const ValueId ones = b.op(OpKind::kConstantOfShape, {b.numbers({4})},
                            attributes({{"value", Tensor::vector<int64_t>({1})}}));
  const ValueId minus = b.op(OpKind::kMul, {ones, b.number(-1)});
  const ValueId target =
      b.op(OpKind::kWhere, {b.op(OpKind::kEqual, {wanted, minus}), ones, wanted});
  CHECK(b.text(b.op(OpKind::kExpand, {x, target})) == "Nx1280x4x1");
  const ValueId halved = b.op(OpKind::kDiv, {b.op(OpKind::kShape, {x}), b.numbers({1, 2, 1, 1})});
  CHECK(b.text(b.op(OpKind::kConstantOfShape, {halved})) == "Nx640x1x1");
  CHECK(b.text(b.op(OpKind::kRange, {b.number(0), batch, b.number(1)})) == "N");
}

TEST_CASE("recurrent ops") {
  Build b;
  const ValueId x = b.input({Dim::of(30), Dim::named("N"), Dim::of(10)});
  Node node;
  node.kind = OpKind::kLSTM;
  node.inputs = {x, b.floats({2, 4 * 16, 10}), b.floats({2, 4 * 16, 16})};
  for (int i = 0; i < 3; ++i) node.outputs.push_back(b.graph.add_value("y"));
  node.attributes =
      attributes({{"hidden_size", int64_t{16}}, {"direction", std::string("bidirectional")}});
  const std::vector<ValueId> outputs = node.outputs;
  b.graph.add_node(node);
  CHECK(b.text(outputs[0]) == "30x2xNx16");
  CHECK(b.text(outputs[2]) == "2xNx16");
  CHECK(count_macs(b.graph).macs == 30 * 2 * 4 * 16 * (10 + 16));
}

TEST_CASE("ONNX Runtime's integer LSTM") {
  Build b;
  const ValueId x = b.input({Dim::of(30), Dim::named("N"), Dim::of(10)});
  Node node;
  node.kind = OpKind::kOpaque;
  node.opaque_domain = "com.microsoft";
  node.opaque_type = "DynamicQuantizeLSTM";
  node.inputs = {x, b.floats({2, 10, 4 * 16}), b.floats({2, 16, 4 * 16})};
  for (int i = 0; i < 3; ++i) node.outputs.push_back(b.graph.add_value("y"));
  node.attributes =
      attributes({{"hidden_size", int64_t{16}}, {"direction", std::string("bidirectional")}});
  const std::vector<ValueId> outputs = node.outputs;
  b.graph.add_node(node);
  CHECK(b.text(outputs[0]) == "30x2xNx16");
  CHECK(b.text(outputs[1]) == "2xNx16");
  CHECK(b.graph.value(outputs[2]).type.dtype == DType::kFloat32);
}

TEST_CASE("declared types") {
  Build b;
  const ValueId x = b.input(batch_of({4}));
  const ValueId hidden = b.op(OpKind::kRelu, {x});
  const ValueId y = b.op(OpKind::kRelu, {hidden});
  b.graph.set_outputs({y});
  // Stale inside, promised at the output.
  b.graph.edit_type(hidden) = tensor_type(kF32, dims_of({1, 5}));
  b.graph.edit_type(y) = tensor_type(kF32, Dims{Dim::named("batch"), Dim::of(9)});
  CHECK(b.text(hidden) == "Nx4");
  CHECK(b.text(y) == "batchx9");
  SUBCASE("what no rule knows stays") {
    Node opaque;
    opaque.opaque_domain = "acme";
    opaque.opaque_type = "Thing";
    opaque.inputs = {x};
    const ValueId out = b.graph.add_value("thing", tensor_type(kF32, dims_of({2, 2})));
    opaque.outputs = {out};
    b.graph.add_node(opaque);
    CHECK(b.text(out) == "2x2");
    CHECK(b.graph.value(out).type.dtype == kF32);
  }
}

TEST_CASE("bodies get the types from outside") {
  Build b;
  const ValueId x = b.input(batch_of({4}));
  Graph then_body;
  const ValueId inner = then_body.add_captured("x", {});
  then_body.set_outputs({then_body.add_op(OpKind::kRelu, {inner}, "t")});
  Graph else_body;
  const ValueId other = else_body.add_captured("x", {});
  const ValueId flat = else_body.add_constant("shape", Tensor::vector<int64_t>({-1, 2}));
  else_body.set_outputs({else_body.add_op(OpKind::kReshape, {other, flat}, "e")});
  Node node;
  node.kind = OpKind::kIf;
  node.inputs = {b.graph.add_input("c", tensor_type(DType::kBool, Dims{}))};
  node.subgraphs.emplace_back("then_branch", std::move(then_body));
  node.subgraphs.emplace_back("else_branch", std::move(else_body));
  for (Subgraph& subgraph : node.subgraphs) subgraph.captures = {x};
  const ValueId y = b.graph.add_value("y");
  node.outputs = {y};
  const NodeId id = b.graph.add_node(std::move(node));
  b.graph.set_outputs({y});
  verify(b.graph, "test");
  CHECK(b.text(y) == "?x?");
  CHECK(b.graph.value(y).type.dtype == kF32);
  const Graph& then_graph = b.graph.node(id).subgraphs[0].graph();
  CHECK(dims_text(*then_graph.value(then_graph.outputs()[0]).type.dims) == "Nx4");
}

TEST_CASE("a loop's carried value may change its shape, its scan output is stacked") {
  Build b;
  const ValueId x = b.input(batch_of({4}));
  Graph body;
  body.add_input("i", {});
  const ValueId going = body.add_input("going", {});
  const ValueId carried = body.add_input("carried", {});
  const ValueId grown = body.add_op(OpKind::kRelu, {carried}, "grown");
  const ValueId fixed =
      body.add_constant("fixed", Tensor::of<float>({2, 3}, std::vector<float>(6)));
  const ValueId scanned = body.add_op(OpKind::kAbs, {fixed}, "scanned");
  body.set_outputs({going, grown, scanned});
  Node node;
  node.kind = OpKind::kLoop;
  node.inputs = {b.number(3), {}, x};
  node.subgraphs.emplace_back("body", std::move(body));
  const ValueId last = b.graph.add_value("last");
  const ValueId stack = b.graph.add_value("stack");
  node.outputs = {last, stack};
  b.graph.add_node(std::move(node));
  CHECK(b.text(last) == "unknown");
  CHECK(b.graph.value(last).type.dtype == kF32);
  CHECK(b.text(stack) == "?x2x3");
}

TEST_CASE("multiply-accumulates") {
  Build b;
  const ValueId x = b.input(batch_of({8, 10, 10}));
  const ValueId y =
      b.op(OpKind::kConv, {x, b.floats({16, 4, 3, 3})}, attributes({{"group", int64_t{2}}}));
  const ValueId z = b.op(OpKind::kConvTranspose, {y, b.floats({16, 4, 2, 2})},
                         attributes({{"strides", ints({2, 2})}}));
  const ValueId flat = b.op(OpKind::kFlatten, {z});
  b.op(OpKind::kGemm, {flat, b.floats({5, 4 * 16 * 16})}, attributes({{"transB", int64_t{1}}}));
  infer_shapes(b.graph);
  const int64_t conv = 16 * 8 * 8 * 4 * 9;
  const int64_t transposed = 16 * 8 * 8 * 4 * 4;
  const int64_t gemm = 5 * 4 * 16 * 16;
  CHECK(count_macs(b.graph).macs == conv + transposed + gemm);
  CHECK(count_macs(b.graph).unknown_nodes == 0);
  const ValueId unknown = b.graph.add_input("u", tensor_type(kF32));
  b.op(OpKind::kMatMul, {unknown, unknown});
  CHECK(count_macs(b.graph).unknown_nodes == 1);
}

TEST_CASE("hostile nodes end in an error, never in a crash") {
  const auto rejects = [](OpKind kind, std::vector<int64_t> parameter, Attributes with) {
    Build b;
    const ValueId x = b.input(dims_of({2, 3, 4, 4}));
    b.op(kind, {x, b.numbers(std::move(parameter))}, std::move(with));
    CHECK_THROWS_AS(infer_shapes(b.graph), Error);
  };
  rejects(OpKind::kTile, {1, 1, 1, -4}, {});
  rejects(OpKind::kPad, {INT64_MAX, 0, 0, 0, INT64_MAX, 0, 0, 0}, {});
  rejects(OpKind::kUnsqueeze, {0, 0}, {});
  rejects(OpKind::kSqueeze, {1}, {});
  rejects(OpKind::kConcat, {1}, attributes({{"axis", int64_t{9}}}));
  rejects(OpKind::kDepthToSpace, {1}, attributes({{"blocksize", INT64_MAX}}));
  rejects(OpKind::kTranspose, {1}, attributes({{"perm", ints({0, 0, 1, 2})}}));
  rejects(OpKind::kGather, {0}, attributes({{"axis", INT64_MIN}}));
  rejects(OpKind::kTopK, {5}, {});
}

TEST_CASE("MobileNetV2 has the known number of multiply-accumulates") {
  const std::filesystem::path file =
      std::filesystem::path(LATHE_SHARED_DIR) / "models/mobilenet_v2_imagenet.onnx";
  if (!std::filesystem::exists(file)) return;
  Model model = load_onnx(file);
  infer_shapes(model.graph);
  const MacCount count = count_macs(model.graph);
  CHECK(count.unknown_nodes == 0);
  // 300.8 M (Sandler et al., arXiv 1801.04381, table 4: 300 M).
  CHECK(static_cast<double>(count.macs) == doctest::Approx(300.8e6).epsilon(0.001));
  for (const ValueId id : model.graph.value_ids()) {
    const Value& value = model.graph.value(id);
    CAPTURE(value.name);
    CHECK(value.type.dims.has_value());
    CHECK(value.type.dtype != DType::kUndefined);
  }
}

}  // namespace
}  // namespace lathe

namespace lathe {

TEST_CASE("infer_shapes: an impossible branch of an If stays unknown, the other is inferred") {
  Graph graph;
  const ValueId x =
      graph.add_input("x", tensor_type(DType::kFloat32, Dims{Dim::of(2), Dim::of(3)}));
  const ValueId condition = graph.add_input("condition", tensor_type(DType::kBool, Dims{}));
  const auto branch = [&](OpKind kind) {
    Graph body;
    const ValueId inner =
        body.add_captured("x", tensor_type(DType::kFloat32, Dims{Dim::of(2), Dim::of(3)}));
    std::vector<ValueId> inputs{inner};
    if (kind == OpKind::kSqueeze)
      inputs.push_back(body.add_constant("axes", Tensor::vector<int64_t>({0})));
    body.set_outputs({body.add_op(kind, inputs, "y_" + std::string(op_name(kind)))});
    return body;
  };
  Node node;
  node.kind = OpKind::kIf;
  node.inputs = {condition};
  node.outputs = {graph.add_value("y")};
  node.subgraphs.emplace_back("then_branch", branch(OpKind::kRelu));
  node.subgraphs.emplace_back("else_branch", branch(OpKind::kSqueeze));  // axis 0 is 2, not 1
  for (Subgraph& subgraph : node.subgraphs) subgraph.captures = {x};
  const NodeId id = graph.add_node(std::move(node));
  graph.set_outputs({graph.node(id).outputs[0]});
  infer_shapes(graph);
  const Graph& taken = graph.node(id).subgraphs[0].graph();
  REQUIRE(taken.value(taken.outputs()[0]).type.dims);
  CHECK(dims_text(*taken.value(taken.outputs()[0]).type.dims) == "2x3");
}

}  // namespace lathe
