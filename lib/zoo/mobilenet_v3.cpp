// torchvision/models/mobilenetv3.py
#include <algorithm>

#include "zoo/layer_builder.h"
#include "zoo/networks.h"

namespace lathe {
namespace {

constexpr double kEpsilon = 1e-3;

struct Block {
  int64_t kernel;
  int64_t expanded;
  int64_t out;
  bool squeeze;
  bool hard_swish;
  int64_t stride;
};

constexpr Block kBlocks[] = {
    {3, 16, 16, false, false, 1}, {3, 64, 24, false, false, 2}, {3, 72, 24, false, false, 1},
    {5, 72, 40, true, false, 2},  {5, 120, 40, true, false, 1}, {5, 120, 40, true, false, 1},
    {3, 240, 80, false, true, 2}, {3, 200, 80, false, true, 1}, {3, 184, 80, false, true, 1},
    {3, 184, 80, false, true, 1}, {3, 480, 112, true, true, 1}, {3, 672, 112, true, true, 1},
    {5, 672, 160, true, true, 2}, {5, 960, 160, true, true, 1}, {5, 960, 160, true, true, 1}};

// A multiple of 8 that is at least nine tenths of `channels`.
int64_t rounded_to_8(int64_t channels) {
  const int64_t rounded = std::max<int64_t>(8, (channels + 4) / 8 * 8);
  return 10 * rounded < 9 * channels ? rounded + 8 : rounded;
}

ValueId squeeze_excite(LayerBuilder& b, ValueId x, const std::string& name) {
  const int64_t channels = static_cast<int64_t>(b.expected(x).channels());
  ValueId s = b.global_average_pool(x, name + ".avgpool");
  s = b.conv(s, {.out = rounded_to_8(channels / 4), .bias = true}, name + ".fc1");
  s = b.activation(s, Activation::kRelu, name + ".activation");
  s = b.conv(s, {.out = channels, .bias = true}, name + ".fc2");
  s = b.activation(s, Activation::kHardSigmoid, name + ".scale_activation");
  return b.mul(x, s, name + ".mul");
}

ValueId inverted_residual(LayerBuilder& b, ValueId x, const Block& block, const std::string& name) {
  const int64_t in = static_cast<int64_t>(b.expected(x).channels());
  const Activation f = block.hard_swish ? Activation::kHardSwish : Activation::kRelu;
  int part = 0;
  const auto next = [&] { return name + ".block." + std::to_string(part++); };
  ValueId y = x;
  if (block.expanded != in) {
    const std::string expand = next();
    y = b.conv_norm(y, {.out = block.expanded}, expand, kEpsilon);
    y = b.activation(y, f, expand + ".2");
  }
  const std::string depthwise = next();
  y = b.conv_norm(y,
                  {.out = block.expanded,
                   .kernel = block.kernel,
                   .stride = block.stride,
                   .groups = block.expanded},
                  depthwise, kEpsilon);
  y = b.activation(y, f, depthwise + ".2");
  if (block.squeeze) y = squeeze_excite(b, y, next());
  const bool residual = block.stride == 1 && in == block.out;
  y = b.conv_norm(y, {.out = block.out}, next(), kEpsilon, residual ? 0.5 : 1);
  return residual ? b.add(y, x, name + ".add") : y;
}

}  // namespace

Model build_mobilenet_v3_large(uint64_t seed) {
  LayerBuilder b("mobilenet_v3_large", seed);
  ValueId x = b.input("input", {3, 224, 224});
  int index = 0;
  const auto next = [&] { return "features." + std::to_string(index++); };
  const std::string stem = next();
  x = b.conv_norm(x, {.out = 16, .kernel = 3, .stride = 2}, stem, kEpsilon);
  x = b.activation(x, Activation::kHardSwish, stem + ".2");
  for (const Block& block : kBlocks) x = inverted_residual(b, x, block, next());
  const std::string last = next();
  x = b.conv_norm(x, {.out = 960}, last, kEpsilon);
  x = b.activation(x, Activation::kHardSwish, last + ".2");
  x = b.flatten(b.global_average_pool(x, "avgpool"), "flatten");
  x = b.activation(b.linear(x, 1280, "classifier.0"), Activation::kHardSwish, "classifier.1");
  return b.finish({{b.linear(x, 1000, "classifier.3"), "logits"}});
}

}  // namespace lathe
