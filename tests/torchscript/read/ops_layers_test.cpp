// Layers against LibTorch: one case per op and per form of its arguments.
#include <doctest/doctest.h>

#include "ops_case.h"

namespace lathe {
namespace {

TEST_CASE("a difference is found") {
  // The last bits of GELU written out are not ATen's.
  CHECK(op_difference({"torch.gelu(x)", {"x:f:3x4x5"}, {}, 0.0}).find("differs") !=
        std::string::npos);
  CHECK(op_difference({"torch.randn_like(x)", {"x:f:3x4"}}).find("randn_like") !=
        std::string::npos);
}

TEST_CASE("convolutions convert") {
  const std::vector<std::string> image = {"x:f:2x4x9x8"};
  check_all({
      {"torch.conv1d(x, self.w, self.b, 2, 1)", {"x:f:2x4x9"}, {"w:f:6x4x3", "b:f:6"}},
      {"torch.conv1d(x, self.w, None, 1, 'same', 2)", {"x:f:2x4x9"}, {"w:f:6x4x4"}},
      {"torch.conv1d(x, self.w)", {"x:f:4x9"}, {"w:f:6x4x3"}},
      {"torch.conv2d(x, self.w, self.b, [2, 1], [1, 2], [1, 2])", image, {"w:f:6x4x3x3", "b:f:6"}},
      {"torch.conv2d(x, self.w, None, 1, 0, 1, 4)", image, {"w:f:8x1x3x3"}},
      {"torch.conv2d(x, self.w, self.b, 1, 'valid')", image, {"w:f:6x4x3x3", "b:f:6"}},
      {"torch.conv2d(x, self.w, self.b, 1, 'same', 1, 2)", image, {"w:f:6x2x2x3", "b:f:6"}},
      {"torch.conv3d(x, self.w, self.b, 1, 1)", {"x:f:1x2x5x6x7"}, {"w:f:3x2x3x3x3", "b:f:3"}},
      {"torch.conv_transpose1d(x, self.w, self.b, 2, 1, 1)", {"x:f:2x4x9"}, {"w:f:4x3x3", "b:f:3"}},
      {"torch.conv_transpose2d(x, self.w, self.b, [2, 3], [1, 0], [1, 2], 2, [1, 2])",
       image,
       {"w:f:4x3x3x3", "b:f:6"}},
      {"torch.conv_transpose3d(x, self.w, None, 2)", {"x:f:1x2x3x4x5"}, {"w:f:2x3x2x2x2"}},
      {"torch._convolution(x, self.w, self.b, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, False, "
       "False, True, True)",
       image,
       {"w:f:6x4x3x3", "b:f:6"}},
      {"torch._convolution(x, self.w, None, [2, 2], [1, 1], [1, 1], True, [1, 1], 1, False, False, "
       "True, True)",
       image,
       {"w:f:4x3x3x3"}},
      {"torch.convolution(x, self.w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 2)",
       image,
       {"w:f:6x2x3x3"}},
  });
}

TEST_CASE("matrix products convert") {
  check_all({
      {"torch.linear(x, self.w, self.b)", {"x:f:3x8"}, {"w:f:5x8", "b:f:5"}},
      {"torch.linear(x, self.w, self.b)", {"x:f:2x3x8"}, {"w:f:5x8", "b:f:5"}},
      {"torch.linear(x, self.w)", {"x:f:8"}, {"w:f:5x8"}},
      {"torch.linear(x, w, b)", {"x:f:2x3x8", "w:f:5x8", "b:f:5"}},
      {"torch.matmul(x, y)", {"x:f:2x3x4", "y:f:4x5"}},
      {"torch.matmul(x, y)", {"x:f:4", "y:f:2x4x5"}},
      {"torch.matmul(x, y)", {"x:f:4", "y:f:4"}},
      {"x @ x.transpose(-1, -2)", {"x:f:2x3x4"}},
      {"torch.mm(x, x.t())", {"x:f:3x4"}},
      {"torch.bmm(x, y)", {"x:f:2x3x4", "y:f:2x4x5"}},
      {"torch.mv(x, y)", {"x:f:3x4", "y:f:4"}},
      {"torch.dot(x, x)", {"x:f:4"}},
      {"torch.addmm(x, y, z)", {"x:f:5", "y:f:3x4", "z:f:4x5"}},
      {"torch.addmm(x, y, z, beta=0.5, alpha=2)", {"x:f:3x5", "y:f:3x4", "z:f:4x5"}},
      {"torch.addmm(x, y, z, beta=0)", {"x:f:3x5", "y:f:3x4", "z:f:4x5"}},
      {"torch.baddbmm(x, y, z, beta=2, alpha=0.5)", {"x:f:2x3x5", "y:f:2x3x4", "z:f:2x4x5"}},
      {"torch.addbmm(x, y, z, beta=2, alpha=0.5)", {"x:f:3x5", "y:f:2x3x4", "z:f:2x4x5"}},
      {"torch.outer(x, y)", {"x:f:3", "y:f:4"}},
      {"torch.einsum('bhid,bhjd->bhij', [x, y])", {"x:f:2x3x4x5", "y:f:2x3x6x5"}},
      {"torch.einsum('...ij,...jk->...ki', [x, y])", {"x:f:2x3x4", "y:f:4x5"}},
      {"torch.einsum('ji', [x])", {"x:f:3x4"}},
      {"torch.einsum('...ij,...jk', [x, y])", {"x:f:2x3x4", "y:f:2x4x5"}},
      {"torch.bilinear(x, y, self.w, self.b)", {"x:f:3x4", "y:f:3x5"}, {"w:f:2x4x5", "b:f:2"}},
      {.code = "torch._scaled_dot_product_attention(x, y, z)",
       .inputs = {"x:f:2x3x4", "y:f:2x5x4", "z:f:2x5x6"},
       .gone_in_torch_2 = true},
  });
}

TEST_CASE("normalizations convert") {
  const std::vector<std::string> image = {"x:f:2x6x5x4"};
  const std::vector<std::string> affine = {"w:f:6", "b:f:6", "m:f:6", "v:p:6"};
  check_all({
      {"torch.batch_norm(x, self.w, self.b, self.m, self.v, False, 0.1, 1e-3, True)", image,
       affine},
      {"torch.batch_norm(x, None, None, self.m, self.v, False, 0.1, 1e-5, True)", image, affine},
      {"torch.batch_norm(x, self.w, self.b, self.m, self.v, False, 0.1, 1e-5, True)",
       {"x:f:3x6"},
       affine},
      {"torch.instance_norm(x, self.w, self.b, None, None, True, 0.1, 1e-5, True)", image, affine},
      {"torch.instance_norm(x, None, None, None, None, True, 0.1, 1e-5, True)", {"x:f:2x6x5"}},
      {"torch.instance_norm(x, self.w, self.b, self.m, self.v, False, 0.1, 1e-5, True)", image,
       affine},
      {"torch.layer_norm(x, [4], self.w, self.b)", image, {"w:f:4", "b:f:4"}},
      {"torch.layer_norm(x, [5, 4], self.w, self.b, 1e-3)", image, {"w:f:5x4", "b:f:5x4"}},
      {"torch.layer_norm(x, [5, 4])", image},
      {"torch.group_norm(x, 3, self.w, self.b)", image, affine},
      {"torch.group_norm(x, 2)", {"x:f:2x6"}},
      {"torch.norm(x)", image},
      {"torch.norm(x, 1)", image},
      {"torch.norm(x, 2, [1], True)", image},
      {"torch.norm(x, 3, [1, 2], False)", image},
      {"torch.norm(x, float('inf'), [1])", image},
      {"torch.norm(x, 0, [1])", image},
      {.code = "torch.frobenius_norm(x)", .inputs = image, .gone_in_torch_2 = true},
      {"torch.frobenius_norm(x, [1, 2], True)", image},
      {"torch.linalg_norm(x)", image},
      {"torch.linalg_norm(x, 1.5, [1], True)", image},
      {"torch.linalg_norm(x, 'fro', [1, 2])", image},
      {"torch.linalg_vector_norm(x, 2, [0, 1])", image},
      {"torch.linalg_vector_norm(x, -float('inf'))", image},
      {"torch.cosine_similarity(x, y, 1)", {"x:f:3x4x2", "y:f:3x4x2"}},
      {"torch.pairwise_distance(x, y)", {"x:f:3x4", "y:f:3x4"}},
  });
}

TEST_CASE("activations convert") {
  const std::vector<std::string> x = {"x:f:3x4x5"};
  const char* const plain[] = {
      "torch.relu(x)",
      "torch.relu6(x)",
      "torch.hardtanh(x)",
      "torch.hardtanh(x, -0.5, 0.25)",
      "torch.leaky_relu(x)",
      "torch.leaky_relu(x, 0.2)",
      "torch.rrelu(x)",
      "torch.elu(x)",
      "torch.elu(x, 0.5, 1.5, 2.0)",
      "torch.celu(x)",
      "torch.celu(x, 0.5)",
      "torch.selu(x)",
      "torch.hardswish(x)",
      "torch.hardsigmoid(x)",
      "torch.silu(x)",
      "torch.mish(x)",
      "torch.gelu(x)",
      "torch.gelu(x, approximate='tanh')",
      "torch.softplus(x)",
      "torch.softplus(x, 2.0, 1.0)",
      "torch.log_sigmoid(x)",
      "torch.sigmoid(x)",
      "torch.tanh(x)",
      "torch.glu(torch.cat([x, x * 2], 1), 1)",
      "torch.glu(torch.cat([x, x * 2], -1))",
      "torch.threshold(x, 0.1, 20)",
      "torch.hardshrink(x, 0.3)",
      "torch.softshrink(x, 0.3)",
      "torch.softmax(x, 1)",
      "torch.softmax(x, -1, 7)",
      "torch.log_softmax(x, 0)",
      "torch.dropout(x, 0.5, False)",
      "torch.feature_dropout(x, 0.5, False)",
  };
  for (const char* const code : plain) CHECK(op_difference({code, x}) == "");
  check_all({
      {"torch.prelu(x, self.w)", x, {"w:f:4"}},
      {"torch.prelu(x, self.w)", x, {"w:f:1"}},
      {"torch.relu(x)", {"x:i9:3x4"}},
      {"torch.threshold(x, 3, 1)", {"x:i9:3x4"}},
      {"def forward(self, x):\n  y = x + 0\n  y.relu_()\n  return y", x},
      {"def forward(self, x):\n  return torch.hardtanh_(x + 0, 0., 6.)", x},
  });
}

TEST_CASE("pooling converts") {
  const std::vector<std::string> x = {"x:f:2x3x9x8"};
  const char* const plain[] = {"torch.max_pool2d(x, 3)",
                               "torch.max_pool2d(x, [3, 2], [2, 1], [1, 1])",
                               "torch.max_pool2d(x, [2, 2], [2, 2], [0, 0], [2, 1])",
                               "torch.max_pool2d(x, [2, 2], [2, 2], [0, 0], [1, 1], True)",
                               "torch.max_pool2d(x, [3, 3], [2, 2], [1, 1], [1, 1], True)",
                               "torch.max_pool2d_with_indices(x, [2, 2], [2, 2])",
                               "torch.max_pool2d_with_indices(x, [3, 3], [2, 2], [1, 1])",
                               "torch.avg_pool2d(x, [2, 2])",
                               "torch.avg_pool2d(x, 3, 2, 1)",
                               "torch.avg_pool2d(x, 3, 2, 1, False, False)",
                               "torch.avg_pool2d(x, 3, 2, 1, True, True)",
                               "torch.avg_pool2d(x, 3, 2, 1, True, False)",
                               "torch.avg_pool2d(x, [2, 3], [2, 1], 0, False, True, 5)",
                               "torch.adaptive_avg_pool2d(x, [1, 1])",
                               "torch.adaptive_avg_pool2d(x, [3, 4])",
                               "torch.adaptive_avg_pool2d(x, [5, 7])",
                               "torch.adaptive_avg_pool2d(x, [9, 8])",
                               "torch.adaptive_avg_pool2d(x, [12, 3])",
                               "torch.adaptive_max_pool2d(x, [3, 4])",
                               "torch.adaptive_max_pool2d(x, [1, 1])",
                               "torch.max_pool2d(x[0], 2)",
                               "torch.adaptive_avg_pool2d(x[0], 1)"};
  for (const char* const code : plain) CHECK(op_difference({code, x}) == "");
  check_all({
      {"torch.max_pool1d(x, 3, 2, 1)", {"x:f:2x3x9"}},
      {"torch.max_pool1d_with_indices(x, 3)", {"x:f:2x3x9"}},
      {"torch.avg_pool1d(x, 3, 2, 1)", {"x:f:2x3x9"}},
      {"torch.avg_pool1d(x, [3], [2], [1], True, False)", {"x:f:2x3x9"}},
      {"torch.adaptive_avg_pool1d(x, 4)", {"x:f:2x3x9"}},
      {"torch.adaptive_max_pool1d(x, 3)", {"x:f:2x3x9"}},
      {"torch.max_pool3d(x, 2)", {"x:f:1x2x4x5x6"}},
      {"torch.avg_pool3d(x, 2, 1, 1)", {"x:f:1x2x4x5x6"}},
      {"torch.adaptive_avg_pool3d(x, [2, 5, 3])", {"x:f:1x2x4x5x6"}},
      {"torch.adaptive_avg_pool3d(x, 1)", {"x:f:1x2x4x5x6"}},
  });
}

TEST_CASE("resampling converts") {
  const std::vector<std::string> x = {"x:f:2x3x5x7"};
  const char* const plain[] = {"torch.upsample_nearest2d(x, [10, 14])",
                               "torch.upsample_nearest2d(x, [8, 5])",
                               "torch.upsample_nearest2d(x, None, [2.0, 1.5])",
                               "torch.upsample_nearest2d(x, None, [0.6, 0.7])",
                               "torch._upsample_nearest_exact2d(x, [8, 5])",
                               "torch._upsample_nearest_exact2d(x, None, [1.7, 2.0])",
                               "torch.upsample_bilinear2d(x, [10, 14], False)",
                               "torch.upsample_bilinear2d(x, [8, 5], True)",
                               "torch.upsample_bilinear2d(x, None, False, [2.0, 1.7])",
                               "torch.upsample_bilinear2d(x, None, True, [2.0, 1.7])",
                               "torch.upsample_bilinear2d(x, [1, 1], False)",
                               "torch.upsample_bicubic2d(x, [10, 9], False)",
                               "torch.upsample_bicubic2d(x, [10, 9], True)",
                               "torch.upsample_bicubic2d(x, None, False, [1.3, 2.0])",
                               "torch.__interpolate(x, None, 2.0)",
                               "torch.__interpolate(x, [11, 13], None, 'bilinear', False)",
                               "torch.__interpolate(x, None, 1.5, 'bilinear', True)",
                               "torch.__interpolate(x, None, 1.3, 'bicubic', False, True)"};
  for (const char* const code : plain) CHECK(op_difference({code, x}) == "");
  check_all({
      {"torch.upsample_nearest1d(x, [14])", {"x:f:2x3x7"}},
      {"torch.upsample_linear1d(x, [9], False)", {"x:f:2x3x7"}},
      {"torch.upsample_nearest3d(x, None, [2., 2., 2.])", {"x:f:1x2x3x4x5"}},
      {"torch.upsample_trilinear3d(x, [5, 6, 7], True)", {"x:f:1x2x3x4x5"}},
      {"torch.upsample_bilinear2d(x, y.shape[2:], False)", {"x:f:2x3x5x7", "y:f:2x1x8x9"}},
      {"torch.grid_sampler(x, y, 0, 0, False)", {"x:f:2x3x5x7", "y:f:2x4x6x2"}},
      {"torch.grid_sampler(x, y, 1, 1, True)", {"x:f:2x3x5x7", "y:f:2x4x6x2"}},
      {"torch.grid_sampler(x, y, 2, 2, False)", {"x:f:2x3x5x7", "y:f:2x4x6x2"}},
      {"torch.grid_sampler(x, y, 0, 1, False)", {"x:f:1x2x3x4x5", "y:f:1x2x3x4x3"}},
      {"torch.pixel_shuffle(x, 2)", {"x:f:2x8x3x4"}},
      {"torch.pixel_unshuffle(x, 2)", {"x:f:2x3x4x6"}},
      {"torch.channel_shuffle(x, 3)", {"x:f:2x6x3x4"}},
      {"torch.pad(x, [1, 2])", x},
      {"torch.pad(x, [1, 2, 0, 3], 'constant', 1.5)", x},
      {"torch.pad(x, [-1, 2, 1, -2])", x},
      {"torch.pad(x, [1, 2, 3, 1], 'reflect')", x},
      {"torch.pad(x, [1, 2, 3, 1], 'replicate')", x},
      {"torch.pad(x, [1, 2, 3, 1], 'circular')", x},
      {"torch.constant_pad_nd(x, [1, 1], 2)", {"x:i5:3x4"}},
      {"torch.reflection_pad1d(x, [2, 1])", {"x:f:2x3x7"}},
      {"torch.replication_pad2d(x, [2, 1, 0, 1])", x},
      {"torch.im2col(x, [3, 2], [1, 2], [1, 0], [2, 1])", x},
      {"torch.col2im(x, [6, 5], [3, 2], [1, 1], [1, 0], [1, 1])", {"x:f:2x12x24"}},
  });
}

TEST_CASE("recurrent layers convert") {
  const std::vector<std::string> x = {"x:f:5x2x3", "h:f:1x2x4", "c:f:1x2x4"};
  const std::vector<std::string> lstm = {"a:f:16x3", "b:f:16x4", "d:f:16", "e:f:16"};
  const std::vector<std::string> two = {"x:f:5x2x3", "h:f:4x2x4", "c:f:4x2x4"};
  const std::vector<std::string> gru = {"a:f:12x3", "b:f:12x4", "d:f:12", "e:f:12"};
  const std::vector<std::string> rnn = {"a:f:4x3", "b:f:4x4", "d:f:4", "e:f:4"};
  const std::vector<std::string> deep = {"a:f:16x3",  "b:f:16x4",  "d:f:16",  "e:f:16",
                                         "a1:f:16x3", "b1:f:16x4", "d1:f:16", "e1:f:16",
                                         "a2:f:16x8", "b2:f:16x4", "d2:f:16", "e2:f:16",
                                         "a3:f:16x8", "b3:f:16x4", "d3:f:16", "e3:f:16"};
  check_all({
      {"torch.lstm(x, [h, c], [self.a, self.b, self.d, self.e], True, 1, 0., False, False, False)",
       x, lstm},
      {"torch.lstm(x, [h, c], [self.a, self.b], False, 1, 0., False, False, False)", x, lstm},
      {"torch.lstm(x.transpose(0, 1), [h, c], [self.a, self.b, self.d, self.e], True, 1, 0., "
       "False, "
       "False, True)",
       x, lstm},
      {"torch.lstm(x, [h, c], [self.a, self.b, self.d, self.e, self.a1, self.b1, self.d1, self.e1, "
       "self.a2, self.b2, self.d2, self.e2, self.a3, self.b3, self.d3, self.e3], True, 2, 0., "
       "False, True, False)",
       two, deep},
      {"torch.gru(x, h, [self.a, self.b, self.d, self.e], True, 1, 0., False, False, False)",
       {"x:f:5x2x3", "h:f:1x2x4"},
       gru},
      {"torch.gru(x, h, [self.a, self.b, self.a, self.b], False, 1, 0., False, True, True)",
       {"x:f:2x5x3", "h:f:2x2x4"},
       gru},
      {"torch.gru(x, h, [self.a + 0 * x.sum(), self.b], False, 1, 0., False, False, False)",
       {"x:f:5x2x3", "h:f:1x2x4"},
       gru},
      {"torch.rnn_tanh(x, h, [self.a, self.b, self.d, self.e], True, 1, 0., False, False, False)",
       {"x:f:5x2x3", "h:f:1x2x4"},
       rnn},
      {"torch.rnn_relu(x, h, [self.a, self.b, self.d, self.e], True, 1, 0., False, False, False)",
       {"x:f:5x2x3", "h:f:1x2x4"},
       rnn},
      {"torch.lstm_cell(x, [h, c], self.a, self.b, self.d, self.e)",
       {"x:f:2x3", "h:f:2x4", "c:f:2x4"},
       lstm},
      {"torch.lstm_cell(x, [h, c], self.a, self.b)", {"x:f:2x3", "h:f:2x4", "c:f:2x4"}, lstm},
      {"torch.gru_cell(x, h, self.a, self.b, self.d, self.e)", {"x:f:2x3", "h:f:2x4"}, gru},
      {"torch.rnn_tanh_cell(x, h, self.a, self.b, self.d, self.e)", {"x:f:2x3", "h:f:2x4"}, rnn},
      {"torch.rnn_relu_cell(x, h, self.a, self.b)", {"x:f:2x3", "h:f:2x4"}, rnn},
  });
}

}  // namespace
}  // namespace lathe
