// torchvision/models/efficientnet.py
#include <algorithm>

#include "zoo/layer_builder.h"
#include "zoo/networks.h"

namespace lathe {
namespace {

struct MbConvStage {
  int64_t expansion;
  int64_t kernel;
  int64_t stride;
  int64_t out;
  int blocks;
};

constexpr MbConvStage kMbConvStages[] = {{1, 3, 1, 16, 1}, {6, 3, 2, 24, 2},  {6, 5, 2, 40, 2},
                                         {6, 3, 2, 80, 3}, {6, 5, 1, 112, 3}, {6, 5, 2, 192, 4},
                                         {6, 3, 1, 320, 1}};

ValueId conv_norm_silu(LayerBuilder& b, ValueId x, const ConvShape& shape,
                       const std::string& name) {
  return b.activation(b.conv_norm(x, shape, name), Activation::kSilu, name + ".2");
}

ValueId squeeze_excite(LayerBuilder& b, ValueId x, int64_t squeezed, const std::string& name) {
  const int64_t channels = static_cast<int64_t>(b.expected(x).channels());
  ValueId s = b.global_average_pool(x, name + ".avgpool");
  s = b.conv(s, {.out = squeezed, .bias = true}, name + ".fc1");
  s = b.activation(s, Activation::kSilu, name + ".activation");
  s = b.conv(s, {.out = channels, .bias = true}, name + ".fc2");
  s = b.activation(s, Activation::kSigmoid, name + ".scale_activation");
  return b.mul(s, x, name + ".mul");
}

ValueId mb_conv(LayerBuilder& b, ValueId x, const MbConvStage& stage, int64_t stride,
                const std::string& name) {
  const int64_t in = static_cast<int64_t>(b.expected(x).channels());
  const int64_t hidden = in * stage.expansion;
  int part = 0;
  const auto next = [&] { return name + ".block." + std::to_string(part++); };
  ValueId y = x;
  if (hidden != in) y = conv_norm_silu(b, y, {.out = hidden}, next());
  y = conv_norm_silu(
      b, y, {.out = hidden, .kernel = stage.kernel, .stride = stride, .groups = hidden}, next());
  y = squeeze_excite(b, y, std::max<int64_t>(1, in / 4), next());
  const bool residual = stride == 1 && in == stage.out;
  y = b.conv_norm(y, {.out = stage.out}, next(), 1e-5, residual ? 0.5 : 1);
  return residual ? b.add(y, x, name + ".add") : y;
}

}  // namespace

Model build_efficientnet_b0(uint64_t seed) {
  LayerBuilder b("efficientnet_b0", seed);
  ValueId x = b.input("input", {3, 224, 224});
  x = conv_norm_silu(b, x, {.out = 32, .kernel = 3, .stride = 2}, "features.0");
  int index = 1;
  for (const MbConvStage& stage : kMbConvStages) {
    for (int i = 0; i < stage.blocks; ++i)
      x = mb_conv(b, x, stage, i == 0 ? stage.stride : 1,
                  "features." + std::to_string(index) + "." + std::to_string(i));
    ++index;
  }
  x = conv_norm_silu(b, x, {.out = 1280}, "features." + std::to_string(index));
  x = b.flatten(b.global_average_pool(x, "avgpool"), "flatten");
  return b.finish({{b.linear(x, 1000, "classifier.1"), "logits"}});
}

}  // namespace lathe
