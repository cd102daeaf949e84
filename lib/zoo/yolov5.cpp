// ultralytics/yolov5 7.0: models/yolov5s.yaml, models/common.py, models/yolo.py (Detect)
#include <array>

#include "zoo/layer_builder.h"
#include "zoo/networks.h"

namespace lathe {
namespace {

constexpr int64_t kSide = 640;
constexpr int64_t kClasses = 80;
constexpr int64_t kFields = kClasses + 5;  // x, y, width, height, objectness, classes

struct Scale {
  int64_t stride;
  std::array<float, 6> anchors;  // width, height of three boxes in pixels
  float objectness;              // log(8 / (kSide / stride)^2), the prior that training starts from
};

constexpr std::array<Scale, 3> kScales{{{8, {10, 13, 16, 30, 33, 23}, -6.6846117f},
                                        {16, {30, 61, 62, 45, 59, 119}, -5.2983174f},
                                        {32, {116, 90, 156, 198, 373, 326}, -3.9120230f}}};
constexpr float kClassPrior = -4.8796959f;  // log(0.6 / (80 - 0.99999))

ValueId conv(LayerBuilder& b, ValueId x, ConvShape shape, const std::string& name) {
  shape.bias = true;
  return b.activation(b.conv(x, shape, name + ".conv"), Activation::kSilu, name + ".act");
}

ValueId c3(LayerBuilder& b, ValueId x, int64_t out, int bottlenecks, bool shortcut,
           const std::string& name) {
  ValueId y = conv(b, x, {.out = out / 2}, name + ".cv1");
  for (int i = 0; i < bottlenecks; ++i) {
    const std::string inner = name + ".m." + std::to_string(i);
    const ValueId z = conv(b, conv(b, y, {.out = out / 2}, inner + ".cv1"),
                           {.out = out / 2, .kernel = 3}, inner + ".cv2");
    y = shortcut ? b.add(y, z, inner + ".add") : z;
  }
  const ValueId side = conv(b, x, {.out = out / 2}, name + ".cv2");
  return conv(b, b.concat({y, side}, name + ".concat"), {.out = out}, name + ".cv3");
}

ValueId sppf(LayerBuilder& b, ValueId x, int64_t out, const std::string& name) {
  const PoolShape pool{.kernel = 5, .stride_h = 1, .stride_w = 1, .pad_h = 2, .pad_w = 2};
  const int64_t half = static_cast<int64_t>(b.expected(x).channels()) / 2;
  std::vector<ValueId> parts{conv(b, x, {.out = half}, name + ".cv1")};
  for (int i = 0; i < 3; ++i)
    parts.push_back(b.max_pool(parts.back(), pool, name + ".m" + std::to_string(i)));
  return conv(b, b.concat(parts, name + ".concat"), {.out = out}, name + ".cv2");
}

// Cell corners, half a cell out, as (1, 1, side, side, 2).
Tensor cell_grid(int64_t side) {
  std::vector<float> values;
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x) {
      values.push_back(static_cast<float>(x) - 0.5f);
      values.push_back(static_cast<float>(y) - 0.5f);
    }
  return Tensor::of<float>({1, 1, side, side, 2}, values);
}

Attributes with_axis(int64_t axis) {
  Attributes attributes;
  attributes.set("axis", axis);
  return attributes;
}

// One scale's boxes: N x 3 side^2 x 85, centre and size in pixels, scores within 0..1.
ValueId detect(LayerBuilder& b, ValueId x, const Scale& scale, const std::string& index) {
  const std::string head = "model.24.m." + index;
  const std::string name = "model.24." + index;
  const int64_t side = kSide / scale.stride;
  const size_t fields = static_cast<size_t>(kFields);
  x = b.conv(x, {.out = 3 * kFields, .bias = true}, head);
  b.set_bias(head, 4, fields, scale.objectness);
  for (size_t c = 5; c < fields; ++c) b.set_bias(head, c, fields, kClassPrior);
  x = b.op(OpKind::kReshape, {x, b.ints(name + ".split_shape", {0, 3, kFields, side, side})},
           name + ".split");
  Attributes order;
  order.set("perm", std::vector<int64_t>{0, 1, 3, 4, 2});
  x = b.op(OpKind::kTranspose, {x}, name + ".transpose", order);
  x = b.op(OpKind::kSigmoid, {x}, name + ".sigmoid");
  const std::vector<ValueId> parts = b.split(x, {2, 2, kClasses + 1}, 4, name + ".parts");
  const ValueId two = b.constant(name + ".two", Tensor::scalar(2.0f));

  ValueId centre = b.op(OpKind::kMul, {parts[0], two}, name + ".centre_twice");
  centre = b.op(OpKind::kAdd, {centre, b.constant(name + ".grid", cell_grid(side))},
                name + ".centre_cell");
  centre =
      b.op(OpKind::kMul,
           {centre, b.constant(name + ".stride", Tensor::scalar(static_cast<float>(scale.stride)))},
           name + ".centre");
  ValueId size = b.op(OpKind::kMul, {parts[1], two}, name + ".size_twice");
  size = b.op(OpKind::kPow, {size, two}, name + ".size_square");
  const std::vector<float> anchors(scale.anchors.begin(), scale.anchors.end());
  size = b.op(OpKind::kMul,
              {size, b.constant(name + ".anchors", Tensor::of<float>({1, 3, 1, 1, 2}, anchors))},
              name + ".size");
  x = b.op(OpKind::kConcat, {centre, size, parts[2]}, name + ".fields", with_axis(4));
  return b.op(OpKind::kReshape, {x, b.ints(name + ".boxes_shape", {0, 3 * side * side, kFields})},
              name + ".boxes");
}

}  // namespace

Model build_yolov5s(uint64_t seed) {
  LayerBuilder b("yolov5s", seed);
  ValueId x = b.input("images", {3, kSide, kSide});
  x = conv(b, x, {.out = 32, .kernel = 6, .stride = 2, .pad = 2}, "model.0");
  x = conv(b, x, {.out = 64, .kernel = 3, .stride = 2}, "model.1");
  x = c3(b, x, 64, 1, true, "model.2");
  x = conv(b, x, {.out = 128, .kernel = 3, .stride = 2}, "model.3");
  const ValueId eighth = c3(b, x, 128, 2, true, "model.4");
  x = conv(b, eighth, {.out = 256, .kernel = 3, .stride = 2}, "model.5");
  const ValueId sixteenth = c3(b, x, 256, 3, true, "model.6");
  x = conv(b, sixteenth, {.out = 512, .kernel = 3, .stride = 2}, "model.7");
  x = sppf(b, c3(b, x, 512, 1, true, "model.8"), 512, "model.9");

  const ValueId top = conv(b, x, {.out = 256}, "model.10");
  x = b.concat({b.upsample(top, "model.11"), sixteenth}, "model.12");
  x = c3(b, x, 256, 1, false, "model.13");
  const ValueId middle = conv(b, x, {.out = 128}, "model.14");
  x = b.concat({b.upsample(middle, "model.15"), eighth}, "model.16");
  const ValueId small = c3(b, x, 128, 1, false, "model.17");
  x = conv(b, small, {.out = 128, .kernel = 3, .stride = 2}, "model.18");
  const ValueId medium = c3(b, b.concat({x, middle}, "model.19"), 256, 1, false, "model.20");
  x = conv(b, medium, {.out = 256, .kernel = 3, .stride = 2}, "model.21");
  const ValueId large = c3(b, b.concat({x, top}, "model.22"), 512, 1, false, "model.23");

  std::vector<ValueId> boxes;
  const std::array<ValueId, 3> features{small, medium, large};
  for (size_t i = 0; i < features.size(); ++i)
    boxes.push_back(detect(b, features[i], kScales[i], std::to_string(i)));
  return b.finish({{b.op(OpKind::kConcat, boxes, "model.24", with_axis(1)), "output0"}});
}

}  // namespace lathe
