// torchvision/models/mobilenetv2.py
#include "zoo/layer_builder.h"
#include "zoo/networks.h"

namespace lathe {
namespace {

struct Stage {
  int64_t expansion;
  int64_t out;
  int blocks;
  int64_t stride;
};

constexpr Stage kStages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                             {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

ValueId conv_norm_relu6(LayerBuilder& b, ValueId x, const ConvShape& shape,
                        const std::string& name) {
  return b.activation(b.conv_norm(x, shape, name), Activation::kRelu6, name + ".2");
}

ValueId inverted_residual(LayerBuilder& b, ValueId x, const Stage& stage, int64_t stride,
                          const std::string& name) {
  const int64_t in = static_cast<int64_t>(b.expected(x).channels());
  const int64_t hidden = in * stage.expansion;
  int part = 0;
  const auto next = [&] { return name + ".conv." + std::to_string(part++); };
  ValueId y = x;
  if (stage.expansion != 1) y = conv_norm_relu6(b, y, {.out = hidden}, next());
  y = conv_norm_relu6(b, y, {.out = hidden, .kernel = 3, .stride = stride, .groups = hidden},
                      next());
  y = b.conv(y, {.out = stage.out}, next());
  const bool residual = stride == 1 && in == stage.out;
  y = b.batch_norm(y, next(), 1e-5, residual ? 0.5 : 1);
  return residual ? b.add(x, y, name + ".add") : y;
}

}  // namespace

Model build_mobilenet_v2(uint64_t seed) {
  LayerBuilder b("mobilenet_v2", seed);
  ValueId x = b.input("input", {3, 224, 224});
  int index = 0;
  const auto next = [&] { return "features." + std::to_string(index++); };
  x = conv_norm_relu6(b, x, {.out = 32, .kernel = 3, .stride = 2}, next());
  for (const Stage& stage : kStages)
    for (int i = 0; i < stage.blocks; ++i)
      x = inverted_residual(b, x, stage, i == 0 ? stage.stride : 1, next());
  x = conv_norm_relu6(b, x, {.out = 1280}, next());
  x = b.flatten(b.global_average_pool(x, "avgpool"), "flatten");
  return b.finish({{b.linear(x, 1000, "classifier.1"), "logits"}});
}

}  // namespace lathe
