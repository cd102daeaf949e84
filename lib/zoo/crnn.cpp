// github.com/meijieru/crnn.pytorch, models/crnn.py: grey lines of 32 x 100, 36 characters and blank
#include "zoo/layer_builder.h"
#include "zoo/networks.h"

namespace lathe {
namespace {

constexpr int64_t kHidden = 256;
constexpr int64_t kSymbols = 37;

ValueId conv(LayerBuilder& b, ValueId x, ConvShape shape, bool norm, int index) {
  const std::string number = std::to_string(index);
  shape.bias = true;
  x = b.conv(x, shape, "cnn.conv" + number);
  if (norm) x = b.batch_norm(x, "cnn.batchnorm" + number);
  return b.activation(x, Activation::kRelu, "cnn.relu" + number);
}

// steps x N x C to N x steps x `out`.
ValueId bidirectional(LayerBuilder& b, ValueId x, int64_t out, const std::string& name) {
  const ValueId y = b.lstm(x, {.hidden = kHidden, .bidirectional = true}, name + ".rnn");
  const Moments each = b.expected(y);
  ValueId both = b.transpose(y, {2, 0, 1, 3}, name + ".transpose");
  both =
      b.op(OpKind::kReshape, {both, b.ints(name + ".shape", {0, 0, 2 * kHidden})}, name + ".both");
  b.expect(both, same_moments(2 * kHidden, each.mean[0], each.variance[0]));
  return b.dense(both, out, name + ".embedding");
}

}  // namespace

Model build_crnn(uint64_t seed) {
  LayerBuilder b("crnn", seed);
  const PoolShape narrow{.kernel = 2, .stride_h = 2, .stride_w = 1, .pad_h = 0, .pad_w = 1};
  ValueId x = b.input("input", {1, 32, 100});
  x = b.max_pool(conv(b, x, {.out = 64, .kernel = 3}, false, 0), {}, "cnn.pooling0");
  x = b.max_pool(conv(b, x, {.out = 128, .kernel = 3}, false, 1), {}, "cnn.pooling1");
  x = conv(b, x, {.out = 256, .kernel = 3}, true, 2);
  x = b.max_pool(conv(b, x, {.out = 256, .kernel = 3}, false, 3), narrow, "cnn.pooling2");
  x = conv(b, x, {.out = 512, .kernel = 3}, true, 4);
  x = b.max_pool(conv(b, x, {.out = 512, .kernel = 3}, false, 5), narrow, "cnn.pooling3");
  x = conv(b, x, {.out = 512, .kernel = 2, .pad = 0}, true, 6);

  const Moments features = b.expected(x);
  x = b.op(OpKind::kSqueeze, {x, b.ints("squeeze.axes", {2})}, "squeeze");
  x = b.transpose(x, {2, 0, 1}, "steps");
  b.expect(x, features);
  const ValueId middle = bidirectional(b, x, kHidden, "rnn.0");
  x = b.transpose(middle, {1, 0, 2}, "rnn.0.steps");
  b.expect(x, b.expected(middle));
  return b.finish({{bidirectional(b, x, kSymbols, "rnn.1"), "logits"}});
}

}  // namespace lathe
