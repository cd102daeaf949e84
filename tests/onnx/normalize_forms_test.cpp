// Forms, defaults and ops that opsets dropped.
#include <doctest/doctest.h>

#include "write_fixtures.h"

namespace lathe {

using Numbers = std::vector<double>;

namespace {

std::string stable_text(const Model& model) { return text_form(reread(write_onnx(model)).graph); }

const Attributes& attributes_of(const Model& model, OpKind kind) {
  return model.graph.node(find_kind(model.graph, kind)).attributes;
}

}  // namespace

TEST_CASE("Softmax over the last axis") {
  const Model model = model_of(9, R"(g (float[N,10] x) => (float[N,10] y) { y = Softmax (x) })");
  CHECK(types_of(model.graph) == "Softmax");
  CHECK(attributes_of(model, OpKind::kSoftmax).int_or("axis", 0) == -1);
  CHECK(stable_text(model) == text_form(model.graph));
  CHECK(write_onnx(model).opset == 9);
  CHECK(attribute_of(node_of(proto_of(write_onnx(model)), "Softmax"), "axis")->i() == 1);
}

TEST_CASE("Softmax whose other dimensions are 1 stays one op") {
  const Model model =
      model_of(9, R"(g (float[1,1000,1,1] x) => (float[1,1000,1,1] y) { y = Softmax (x) })");
  CHECK(types_of(model.graph) == "Softmax");
  CHECK(attributes_of(model, OpKind::kSoftmax).int_or("axis", 0) == 1);
  CHECK(write_onnx(model).opset == 9);
  CHECK(stable_text(model) == text_form(model.graph));
}

TEST_CASE("Softmax that flattens") {
  const Model model =
      model_of(11, R"(g (float[N,3,4] x) => (float[N,3,4] y) { y = LogSoftmax <axis = 1> (x) })");
  CHECK(types_of(model.graph) == "Shape Flatten LogSoftmax Reshape");
  CHECK(model.graph.value(model.graph.outputs()[0]).name == "y");
  CHECK(attributes_of(model, OpKind::kFlatten).int_or("axis", 0) == 1);
  CHECK(write_onnx(model).opset == 11);
  CHECK(stable_text(model) == text_form(model.graph));

  const Model unknown = model_of(9, R"(g (float[] x) => (float[] y) { y = Softmax (x) })");
  CHECK(types_of(unknown.graph) == "Shape Flatten Softmax Reshape");
  CHECK(write_onnx(unknown).opset == 9);
}

TEST_CASE("Softmax along an inner axis needs opset 13") {
  Model model =
      model_of(13, R"(g (float[N,3,4] x) => (float[N,3,4] y) { y = Softmax <axis = 1> (x) })");
  CHECK(types_of(model.graph) == "Softmax");
  model.opset = 11;
  CHECK(write_onnx(model).opset == 13);
  WriteOptions options;
  options.max_opset = 12;
  CHECK_THROWS_WITH_AS(write_onnx(model, options), doctest::Contains("opset 13"), Error);
}

TEST_CASE("operands are aligned at the attribute axis") {
  const Model constant = model_of(6, R"(g (float[1,2,3,3] x) => (float[1,2,3,3] y)
    <float[2] b = {1.0, 2.0}> { y = Add <broadcast = 1, axis = 1> (x, b) })");
  const Node& add = constant.graph.node(find_kind(constant.graph, OpKind::kAdd));
  CHECK(constant.graph.constant(add.input(1))->shape() == Shape{2, 1, 1});
  CHECK(add.attributes.size() == 0);
  CHECK(write_onnx(constant).opset == 7);

  const Model produced = model_of(
      6,
      R"(g (float[1,2,3,3] x, float[2] b) => (float[1,2,3,3] y) { y = Mul <broadcast = 1, axis = 1> (x, b) })");
  CHECK(types_of(produced.graph) == "Unsqueeze Mul");
  CHECK(constant_input(produced.graph, OpKind::kUnsqueeze, 1) == Numbers{1, 2});

  const Model unknown = model_of(
      6,
      R"(g (float[] x, float[2] b) => (float[] y) { y = Mul <broadcast = 1, axis = 1> (x, b) })");
  CHECK(types_of(unknown.graph) ==
        "Shape Shape Shape Shape Sub Sub ConstantOfShape Concat Reshape Mul");
  CHECK_THROWS_AS(
      model_of(
          6,
          R"(g (float[2,3] x, float[3] b) => (float[2,3] y) { y = Sub <broadcast = 1, axis = 5> (x, b) })"),
      Error);
}

TEST_CASE("PRelu's slope was per channel") {
  const Model model = model_of(6, R"(g (float[1,2,3,3] x) => (float[1,2,3,3] y)
    <float[2] s = {0.1, 0.2}> { y = PRelu (x, s) })");
  CHECK(model.graph.constant(model.graph.node(find_kind(model.graph, OpKind::kPRelu)).input(1))
            ->shape() == Shape{2, 1, 1});
}

TEST_CASE("small old forms") {
  const Model cast =
      model_of(1, R"(g (float[2] x) => (int32[2] y) { y = Cast <to = "INT32"> (x) })");
  CHECK(attributes_of(cast, OpKind::kCast).int_or("to", 0) == 6);
  CHECK_THROWS_AS(model_of(1, R"(g (float[2] x) => (int32[2] y) { y = Cast <to = "WORD"> (x) })"),
                  Error);

  const Model concat = model_of(1, R"(g (float[2,2] x) => (float[2,4] y) { y = Concat (x, x) })");
  CHECK(attributes_of(concat, OpKind::kConcat).int_or("axis", 0) == 1);

  const Model relu =
      model_of(1, R"(g (float[2] x) => (float[2] y) { y = Relu <consumed_inputs = [0]> (x) })");
  CHECK(attributes_of(relu, OpKind::kRelu).size() == 0);

  const Model selu = model_of(1, R"(g (float[2] x) => (float[2] y) { y = Selu (x) })");
  CHECK(attributes_of(selu, OpKind::kSelu).float_or("alpha", 0) == 1.6732F);

  const Model pool = model_of(
      1, R"(g (float[1,2,4,4] x) => (float[1,2,1,1] y) { y = GlobalLpPool <p = 3.0> (x) })");
  CHECK(attributes_of(pool, OpKind::kGlobalLpPool).int_or("p", 0) == 3);

  const Model tile = model_of(1, R"(g (int64[2,3] x) => (int64[2,6] y)
    <int64 t = {2}, int64 a = {1}> { y = Tile (x, t, a) })");
  CHECK(constant_input(tile.graph, OpKind::kTile, 1) == Numbers{1, 2});

  const Model soft = model_of(
      5,
      R"(g (float[2] x) => (float[2] y) { y = ParametricSoftplus <alpha = 2.0, beta = 3.0> (x) })");
  CHECK(types_of(soft.graph) == "Mul Softplus Mul");
  CHECK(soft.graph.value(soft.graph.outputs()[0]).name == "y");
}

TEST_CASE("Upsample and Resize-10 become Resize and go back") {
  const Model nearest = model_of(9, R"(g (float[1,1,2,2] x) => (float[1,1,4,4] y)
    <float[4] s = {1.0, 1.0, 2.0, 2.0}> { y = Upsample <mode = "nearest"> (x, s) })");
  const Attributes& attributes = attributes_of(nearest, OpKind::kResize);
  CHECK(attributes.string_or("coordinate_transformation_mode", "") == "asymmetric");
  CHECK(attributes.string_or("nearest_mode", "") == "floor");
  CHECK(constant_input(nearest.graph, OpKind::kResize, 2) == Numbers{1, 1, 2, 2});
  CHECK(write_onnx(nearest).opset == 9);
  CHECK(node_of(proto_of(write_onnx(nearest)), "Upsample").input_size() == 2);
  CHECK(stable_text(nearest) == text_form(nearest.graph));

  const Model listed = model_of(
      7,
      R"(g (float[1,1,2,2] x) => (float[1,1,4,4] y) { y = Upsample <mode = "linear", scales = [1.0, 1.0, 2.0, 2.0]> (x) })");
  CHECK(attributes_of(listed, OpKind::kResize).string_or("mode", "") == "linear");
  CHECK(write_onnx(listed).opset == 7);
  CHECK(stable_text(listed) == text_form(listed.graph));

  const Model first = model_of(
      1,
      R"(g (float[1,1,2,2] x) => (float[1,1,4,6] y) { y = Upsample <height_scale = 2.0, width_scale = 3.0> (x) })");
  CHECK(constant_input(first.graph, OpKind::kResize, 2) == Numbers{1, 1, 2, 3});

  const Model smaller = model_of(10, R"(g (float[1,1,4,4] x) => (float[1,1,2,2] y)
    <float[4] s = {1.0, 1.0, 0.5, 0.5}> { y = Resize (x, s) })");
  CHECK(attributes_of(smaller, OpKind::kResize).string_or("nearest_mode", "") == "ceil");
  CHECK(write_onnx(smaller).opset == 10);
  CHECK(stable_text(smaller) == text_form(smaller.graph));

  Model pixel = model_of(11, R"(g (float[1,1,2,2] x) => (float[1,1,4,4] y)
    <float[0] roi = {}, float[4] s = {1.0, 1.0, 2.0, 2.0}> { y = Resize <mode = "linear"> (x, roi, s) })");
  CHECK_FALSE(pixel.graph.node(find_kind(pixel.graph, OpKind::kResize)).input(1).valid());
  CHECK(node_of(proto_of(write_onnx(pixel)), "Resize").input(1) == "y_roi");
  CHECK(stable_text(pixel) == text_form(pixel.graph));
  pixel.opset = 9;
  CHECK(write_onnx(pixel).opset == 11);
}

TEST_CASE("Scatter and GridSample change names") {
  const Model scatter = model_of(
      9,
      R"(g (float[3] x, int64[1] i, float[1] u) => (float[3] y) { y = Scatter <axis = 0> (x, i, u) })");
  CHECK(types_of(scatter.graph) == "ScatterElements");
  CHECK(node_of(proto_of(write_onnx(scatter)), "Scatter").input_size() == 3);

  const Model grid = model_of(
      16,
      R"(g (float[1,1,4,4] x, float[1,2,2,2] s) => (float[1,1,2,2] y) { y = GridSample <mode = "bicubic"> (x, s) })");
  CHECK(attributes_of(grid, OpKind::kGridSample).string_or("mode", "") == "cubic");
  CHECK(stable_text(grid) == text_form(grid.graph));
}

TEST_CASE("BatchNormalization") {
  const std::string head =
      "g (float[1,2,2] x, float[2] s, float[2] b, float[2] m, float[2] v) => (float[1,2,2] y";
  const Model test = model_of(6, head +
                                     ") { y, om, ov, sm, sv = BatchNormalization <is_test = 0, "
                                     "epsilon = 0.1> (x, s, b, m, v) }");
  CHECK(test.graph.node(find_kind(test.graph, OpKind::kBatchNormalization)).outputs.size() == 1);
  CHECK_FALSE(attributes_of(test, OpKind::kBatchNormalization).has("is_test"));
  CHECK(write_onnx(test).opset == 7);

  const Model training =
      model_of(9, head + ", float[2] om) { y, om, ov = BatchNormalization (x, s, b, m, v) }");
  CHECK(attributes_of(training, OpKind::kBatchNormalization).int_or("training_mode", 0) == 1);
  CHECK(write_onnx(training).opset == 14);

  const Model saved = model_of(
      9, head + ", float[2] sm) { y, om, ov, sm, sv = BatchNormalization (x, s, b, m, v) }");
  CHECK(saved.graph.node(saved.graph.order()[0]).kind == OpKind::kOpaque);
  CHECK(write_onnx(saved).opset == 9);
  WriteOptions options;
  options.opset = 13;
  CHECK_THROWS_WITH_AS(write_onnx(saved, options), doctest::Contains("cannot express"), Error);

  const Model element =
      model_of(7,
               "g (float[4,2,2] x, float[2,2] s, float[2,2] b, float[2,2] m, float[2,2] v) => "
               "(float[4,2,2] y) { y = BatchNormalization <spatial = 0> (x, s, b, m, v) }");
  CHECK(types_of(element.graph) == "Sub Add Sqrt Div Mul Add");
}

TEST_CASE("GroupNormalization's scale per group becomes one per channel") {
  const Model model = model_of(18, R"(g (float[1,4,2] x) => (float[1,4,2] y)
    <float[2] s = {1.0, 2.0}, float[2] b = {0.0, 5.0}> { y = GroupNormalization <num_groups = 2> (x, s, b) })");
  CHECK(constant_input(model.graph, OpKind::kGroupNormalization, 1) == Numbers{1, 1, 2, 2});
  CHECK(constant_input(model.graph, OpKind::kGroupNormalization, 2) == Numbers{0, 0, 5, 5});
  CHECK(write_onnx(model).opset == 21);

  const Model produced = model_of(
      18,
      R"(g (float[1,C,2] x, float[2] s, float[2] b) => (float[1,C,2] y) { y = GroupNormalization <num_groups = 2> (x, s, b) })");
  CHECK(types_of(produced.graph) ==
        "Reshape Shape Div Concat Expand Reshape Reshape Shape Div Concat Expand Reshape "
        "GroupNormalization");
}

TEST_CASE("element types raise the opset") {
  Model model = model_of(13, R"(g (bfloat16[3] x) => (bfloat16[3] y) { y = Relu (x) })");
  model.opset = 11;
  CHECK(write_onnx(model).opset == 13);
  Model clip =
      model_of(13, R"(g (int32[3] x) => (int32[3] y) <int32 lo = {0}> { y = Clip (x, lo) })");
  clip.opset = 9;
  CHECK(write_onnx(clip).opset == 12);
  Model scales = model_of(13, R"(g (int8[3,2] x) => (float[3,2] y)
    <float[3] s = {1.0, 2.0, 3.0}> { y = DequantizeLinear <axis = 0> (x, s) })");
  scales.opset = 10;
  CHECK(write_onnx(scales).opset == 13);
}

TEST_CASE("experimental ops are written as such up to opset 9") {
  Model model = model_of(7, R"(g (float[1,2,4,4] x) => (float[1,2,3,2] y) {
    a = ImageScaler <scale = 2.0, bias = [1.0, -1.0]> (x)
    b = Affine <alpha = 3.0, beta = 0.5> (a)
    y = Crop <border = [1, 0, 1, 1]> (b)
  })");
  CHECK(types_of(model.graph) == "ImageScaler Affine Crop");
  CHECK(stable_text(model) == text_form(model.graph));
  model.opset = 13;
  const Model raised = reread(write_onnx(model));
  CHECK(types_of(raised.graph) == "Mul Add Mul Add Slice");
  CHECK(raised.graph.constant(raised.graph.find_value("a_shift"))->shape() == Shape{2, 1, 1});
  CHECK(constant_input(raised.graph, OpKind::kSlice, 1) == Numbers{0, 1});
  CHECK(constant_input(raised.graph, OpKind::kSlice, 2) == Numbers{-1, -1});
}

}  // namespace lathe
