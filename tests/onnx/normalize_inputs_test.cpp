// Attributes of old opsets that are inputs now, and back again.
#include <doctest/doctest.h>

#include <cmath>

#include "write_fixtures.h"

namespace lathe {

using Numbers = std::vector<double>;

namespace {

/// The old model keeps its opset and its text through writing and reading.
void check_stable(const Model& model) {
  const WrittenModel written = write_onnx(model);
  CHECK(written.opset == std::max<int64_t>(model.opset, 7));
  CHECK(text_form(reread(written).graph) == text_form(model.graph));
}

}  // namespace

TEST_CASE("Clip's bounds") {
  const Model model =
      model_of(9, R"(g (float[N,3] x) => (float[N,3] y) { y = Clip <min = 0.0, max = 6.0> (x) })");
  CHECK(constant_input(model.graph, OpKind::kClip, 1) == Numbers{0});
  CHECK(constant_input(model.graph, OpKind::kClip, 2) == Numbers{6});
  CHECK(model.graph.node(find_kind(model.graph, OpKind::kClip)).attributes.size() == 0);
  check_stable(model);
  const onnx::ModelProto proto = proto_of(write_onnx(model));
  CHECK(node_of(proto, "Clip").input_size() == 1);
  CHECK(attribute_of(node_of(proto, "Clip"), "max")->f() == 6.0F);
  CHECK(proto.graph().initializer_size() == 0);
}

TEST_CASE("Clip's bounds have the type of its input") {
  const Model model = model_of(
      9, R"(g (float16[N,3] x) => (float16[N,3] y) { h = Relu(x) y = Clip <max = 6.0> (h) })");
  const Node& clip = model.graph.node(find_kind(model.graph, OpKind::kClip));
  CHECK_FALSE(clip.input(1).valid());
  CHECK(model.graph.constant(clip.input(2))->dtype() == DType::kFloat16);
  check_stable(model);
}

TEST_CASE("a Clip without bounds in the attribute's range has none") {
  const Model model = model_of(
      6,
      R"(g (float[3] x) => (float[3] y) { y = Clip <min = 0.0, max = 3.4028234663852886e+38> (x) })");
  CHECK(model.graph.node(find_kind(model.graph, OpKind::kClip)).inputs.size() == 2);
  check_stable(model);
}

TEST_CASE("axes of Squeeze, Unsqueeze and the reductions") {
  const Model model = model_of(11, R"(g (float[1,3,1] x) => (float[1] y) {
    a = Squeeze <axes = [0, 2]> (x)
    b = Unsqueeze <axes = [0]> (a)
    c = ReduceMean <axes = [1], keepdims = 0> (b)
    d = ReduceSum <axes = [-1]> (c)
    y = ReduceMax (d)
  })");
  CHECK(constant_input(model.graph, OpKind::kSqueeze, 1) == Numbers{0, 2});
  CHECK(constant_input(model.graph, OpKind::kUnsqueeze, 1) == Numbers{0});
  CHECK(constant_input(model.graph, OpKind::kReduceMean, 1) == Numbers{1});
  CHECK(constant_input(model.graph, OpKind::kReduceSum, 1) == Numbers{-1});
  CHECK(model.graph.node(find_kind(model.graph, OpKind::kReduceMax)).inputs.size() == 1);
  check_stable(model);

  // At 13 ReduceSum and Squeeze take inputs, the other reductions still attributes.
  WriteOptions options;
  options.opset = 13;
  const onnx::ModelProto proto = proto_of(write_onnx(model, options));
  CHECK(node_of(proto, "Squeeze").input_size() == 2);
  CHECK(node_of(proto, "ReduceSum").input_size() == 2);
  CHECK(node_of(proto, "ReduceMean").input_size() == 1);
  CHECK(attribute_of(node_of(proto, "ReduceMean"), "axes")->ints(0) == 1);
}

TEST_CASE("Pad's pads and value, under both names") {
  const Model old = model_of(
      1,
      R"(g (float[1,3] x) => (float[1,5] y) { y = Pad <paddings = [0, 1, 0, 1], value = 2.5> (x) })");
  CHECK(constant_input(old.graph, OpKind::kPad, 1) == Numbers{0, 1, 0, 1});
  CHECK(constant_input(old.graph, OpKind::kPad, 2) == Numbers{2.5});
  check_stable(old);
  const Model model = model_of(
      9,
      R"(g (float[1,3] x) => (float[1,5] y) { y = Pad <pads = [0, 1, 0, 1], mode = "reflect"> (x) })");
  CHECK(model.graph.node(find_kind(model.graph, OpKind::kPad)).inputs.size() == 2);
  check_stable(model);
}

TEST_CASE("Slice, Split, TopK and Reshape") {
  const Model slice = model_of(
      9,
      R"(g (float[4,6] x) => (float[2,3] y) { y = Slice <starts = [0, 1], ends = [2, 4], axes = [0, 1]> (x) })");
  CHECK(constant_input(slice.graph, OpKind::kSlice, 2) == Numbers{2, 4});
  CHECK(constant_input(slice.graph, OpKind::kSlice, 3) == Numbers{0, 1});
  check_stable(slice);

  const Model split = model_of(
      11,
      R"(g (float[4,6] x) => (float[4,2] y, float[4,4] z) { y, z = Split <axis = 1, split = [2, 4]> (x) })");
  CHECK(constant_input(split.graph, OpKind::kSplit, 1) == Numbers{2, 4});
  check_stable(split);
  const Model even = model_of(
      13, R"(g (float[4,6] x) => (float[4,3] y, float[4,3] z) { y, z = Split <axis = 1> (x) })");
  CHECK(
      even.graph.node(find_kind(even.graph, OpKind::kSplit)).attributes.int_or("num_outputs", 0) ==
      2);
  check_stable(even);

  const Model topk = model_of(
      9,
      R"(g (float[4,6] x) => (float[4,2] y, int64[4,2] i) { y, i = TopK <k = 2, axis = 1> (x) })");
  CHECK(constant_input(topk.graph, OpKind::kTopK, 1) == Numbers{2});
  check_stable(topk);

  const Model reshape =
      model_of(1, R"(g (float[4,6] x) => (float[24] y) { y = Reshape <shape = [-1]> (x) })");
  CHECK(constant_input(reshape.graph, OpKind::kReshape, 1) == Numbers{-1});
}

TEST_CASE("an uneven Split gets sizes before opset 18") {
  Model model = model_of(
      18, R"(g (float[7] x) => (float[4] y, float[3] z) { y, z = Split <num_outputs = 2> (x) })");
  CHECK(write_onnx(model).opset == 18);
  model.opset = 13;
  CHECK(constant_input(reread(write_onnx(model)).graph, OpKind::kSplit, 1) == Numbers{4, 3});
  model.opset = 11;
  const onnx::ModelProto proto = proto_of(write_onnx(model));
  CHECK(attribute_of(node_of(proto, "Split"), "split")->ints(1) == 3);
}

TEST_CASE("Dropout's ratio and mask") {
  const Model model = model_of(
      6, R"(g (float[3] x) => (float[3] y) { y, m = Dropout <ratio = 0.25, is_test = 1> (x) })");
  const Node& dropout = model.graph.node(find_kind(model.graph, OpKind::kDropout));
  CHECK(dropout.outputs.size() == 1);
  CHECK_FALSE(dropout.attributes.has("is_test"));
  CHECK(constant_input(model.graph, OpKind::kDropout, 1) == Numbers{0.25});
  check_stable(model);

  const Model masked =
      model_of(7, R"(g (float[3] x) => (float[3] y, float[3] m) { y, m = Dropout (x) })");
  CHECK(types_of(masked.graph) == "Dropout Cast");
  CHECK(masked.graph.value(masked.graph.outputs()[1]).name == "m");
  CHECK(masked.graph.value(masked.graph.node(find_kind(masked.graph, OpKind::kDropout)).output(1))
            .type.dtype == DType::kBool);
  CHECK(write_onnx(masked).opset == 10);
}

TEST_CASE("DFT's axis") {
  const Model model = model_of(17, R"(g (float[1,8,1] x) => (float[1,8,2] y) { y = DFT (x) })");
  CHECK(constant_input(model.graph, OpKind::kDFT, 2) == Numbers{1});
  CHECK(attribute_of(node_of(proto_of(write_onnx(model)), "DFT"), "axis")->i() == 1);
}

TEST_CASE("bounds that are not constant need opset 11") {
  Model model = model_of(
      12, R"(g (float[3] x, float hi) => (float[3] y) { lo = Neg(hi) y = Clip (x, lo, hi) })");
  model.opset = 8;
  CHECK(opset_need(model.graph).opset == 11);
  CHECK(required_opset(model.graph, 13) == 13);
  CHECK(write_onnx(model).opset == 11);
}

}  // namespace lathe
