// torchvision/models/resnet.py
#include <array>

#include "zoo/layer_builder.h"
#include "zoo/networks.h"

namespace lathe {
namespace {

constexpr double kBranchGain = 0.5;

ValueId conv_norm(LayerBuilder& b, ValueId x, const ConvShape& shape, const std::string& conv,
                  const std::string& norm, double gain = 1) {
  return b.batch_norm(b.conv(x, shape, conv), norm, 1e-5, gain);
}

ValueId shortcut(LayerBuilder& b, ValueId x, int64_t out, int64_t stride, const std::string& name) {
  if (stride == 1 && static_cast<int64_t>(b.expected(x).channels()) == out) return x;
  return conv_norm(b, x, {.out = out, .stride = stride}, name + ".downsample.0",
                   name + ".downsample.1");
}

ValueId basic_block(LayerBuilder& b, ValueId x, int64_t width, int64_t stride,
                    const std::string& name) {
  ValueId y = conv_norm(b, x, {.out = width, .kernel = 3, .stride = stride}, name + ".conv1",
                        name + ".bn1");
  y = b.activation(y, Activation::kRelu, name + ".relu1");
  y = conv_norm(b, y, {.out = width, .kernel = 3}, name + ".conv2", name + ".bn2", kBranchGain);
  y = b.add(y, shortcut(b, x, width, stride, name), name + ".add");
  return b.activation(y, Activation::kRelu, name + ".relu2");
}

ValueId bottleneck(LayerBuilder& b, ValueId x, int64_t width, int64_t stride,
                   const std::string& name) {
  ValueId y = conv_norm(b, x, {.out = width}, name + ".conv1", name + ".bn1");
  y = b.activation(y, Activation::kRelu, name + ".relu1");
  y = conv_norm(b, y, {.out = width, .kernel = 3, .stride = stride}, name + ".conv2",
                name + ".bn2");
  y = b.activation(y, Activation::kRelu, name + ".relu2");
  y = conv_norm(b, y, {.out = 4 * width}, name + ".conv3", name + ".bn3", kBranchGain);
  y = b.add(y, shortcut(b, x, 4 * width, stride, name), name + ".add");
  return b.activation(y, Activation::kRelu, name + ".relu3");
}

using BuildBlock = ValueId (*)(LayerBuilder&, ValueId, int64_t, int64_t, const std::string&);

Model resnet(const std::string& name, BuildBlock block, const std::array<int, 4>& depths,
             uint64_t seed) {
  LayerBuilder b(name, seed);
  ValueId x = b.input("input", {3, 224, 224});
  x = conv_norm(b, x, {.out = 64, .kernel = 7, .stride = 2}, "conv1", "bn1");
  x = b.activation(x, Activation::kRelu, "relu");
  x = b.max_pool(x, {.kernel = 3, .pad_h = 1, .pad_w = 1}, "maxpool");
  for (size_t stage = 0; stage < depths.size(); ++stage)
    for (int i = 0; i < depths[stage]; ++i)
      x = block(b, x, int64_t{64} << stage, stage > 0 && i == 0 ? 2 : 1,
                "layer" + std::to_string(stage + 1) + "." + std::to_string(i));
  x = b.flatten(b.global_average_pool(x, "avgpool"), "flatten");
  return b.finish({{b.linear(x, 1000, "fc"), "logits"}});
}

}  // namespace

Model build_resnet18(uint64_t seed) { return resnet("resnet18", basic_block, {2, 2, 2, 2}, seed); }

Model build_resnet50(uint64_t seed) { return resnet("resnet50", bottleneck, {3, 4, 6, 3}, seed); }

}  // namespace lathe
