// Shapes, indices, arithmetic and reductions against LibTorch.
#include <doctest/doctest.h>

#include "ops_case.h"

namespace lathe {
namespace {

void check_codes(const std::vector<std::string>& inputs, const std::vector<std::string>& codes) {
  for (const std::string& code : codes) CHECK(op_difference({code, inputs}) == "");
}

TEST_CASE("shape ops convert") {
  check_codes({"x:f:2x3x4"}, {"x.view(2, 12)",
                              "x.view(-1)",
                              "x.view(x.size(0), -1)",
                              "x.view([x.shape[0], 2, -1])",
                              "x.reshape(6, 4)",
                              "x.reshape([x.size(0) * 3, 4])",
                              "x.view_as(x.reshape(4, 6))",
                              "torch.flatten(x)",
                              "torch.flatten(x, 1)",
                              "torch.flatten(x, 0, 1)",
                              "torch.flatten(x, 1, 1)",
                              "torch.flatten(x, -2)",
                              "x.unflatten(2, [2, -1])",
                              "x.unflatten(0, [1, 2])",
                              "x.permute(2, 0, 1)",
                              "x.permute([0, -1, 1])",
                              "x.transpose(0, 2)",
                              "x.transpose(-1, -2)",
                              "torch.swapaxes(x, 0, 1)",
                              "x[0].t()",
                              "x.mT",
                              "torch.movedim(x, 0, 2)",
                              "torch.movedim(x, [0, 1], [-1, 0])",
                              "x.unsqueeze(0)",
                              "x.unsqueeze(-1)",
                              "x.unsqueeze(1).squeeze(1)",
                              "x.squeeze(1)",
                              "x[:1].squeeze()",
                              "x[:, :1].squeeze(1)",
                              "x.unsqueeze(0).expand(5, -1, -1, -1)",
                              "x[:, :1].expand(x.size(0), 3, 4)",
                              "x[:, :1].expand_as(x)",
                              "x.repeat(1, 2, 3)",
                              "x.repeat(2, 1, 1, 1)",
                              "x.repeat([x.size(0), 1, 1])",
                              "torch.tile(x, [2])",
                              "torch.tile(x, [2, 1, 1, 1])",
                              "torch.repeat_interleave(x, 2, 1)",
                              "torch.repeat_interleave(x, 3, 0)",
                              "torch.repeat_interleave(x, 2)",
                              "x.contiguous()",
                              "x.clone()",
                              "x.detach()",
                              "torch.cat([x, x], 1)",
                              "torch.cat([x, x * 2, x], -1)",
                              "torch.cat([x, torch.zeros([0])], 0)",
                              "torch.stack([x, x], 0)",
                              "torch.stack([x, x], -1)",
                              "torch.hstack([x, x])",
                              "torch.vstack([x, x])",
                              "torch.cat([x, x.to(4)], 0)",
                              "torch.split(x, 2, 2)",
                              "torch.split(x, 3, 2)",
                              "torch.split(x, [1, 3], 2)",
                              "torch.split_with_sizes(x, [1, 2], 1)",
                              "torch.chunk(x, 3, 2)",
                              "torch.chunk(x, 2, 1)",
                              "torch.chunk(x, 1, 1)",
                              "torch.tensor_split(x, 3, 2)",
                              "torch.tensor_split(x, [1, 3], 2)",
                              "torch.unbind(x, 1)",
                              "x.unfold(2, 2, 1)",
                              "x.unfold(1, 2, 1)",
                              "torch.roll(x, 1, 2)",
                              "torch.roll(x, [1, -2], [1, 2])",
                              "torch.roll(x, 5, 1)",
                              "torch.roll(x, 3)",
                              "torch.flip(x, [1])",
                              "torch.flip(x, [0, -1])"});
}

TEST_CASE("indexing converts") {
  check_codes({"x:f:3x4x5"},
              {"x[1]",
               "x[-1]",
               "x[:, 2]",
               "x[..., 0]",
               "x[:, 1:3]",
               "x[:, :-1]",
               "x[:, ::2]",
               "x[1:, -2:]",
               "x[:, None]",
               "x.narrow(1, 1, 2)",
               "x.narrow(2, -3, 2)",
               "torch.select(x, 1, -2)",
               "torch.index_select(x, 1, torch.tensor([2, 0]))",
               "x[:, torch.tensor([0, 2, 2])]",
               "x[torch.tensor([0, 2]), torch.tensor([1, 3])]",
               "x[:, torch.tensor([0, 2]), torch.tensor([1, 3])]",
               "x[torch.tensor([0, 2]), :, torch.tensor([1, 3])]",
               "x[torch.tensor([[0], [2]]), torch.tensor([1, 3, 0])]",
               "x[x > 0]",
               "x[x[:, 0, 0] > 0]",
               "x[:, x[0, :, 0] > -5]",
               "x[torch.tensor([-1, 0])]",
               "x.masked_fill(x > 0, 7)",
               "x.masked_fill(x > 0, float('-inf'))",
               "x.masked_fill(x[:, :, :1] > 0, x.sum())",
               "torch.masked_select(x, x > 0)",
               "torch.nonzero(x > 0)",
               "torch.where(x > 0, x, -x)",
               "torch.where(x > 0, x, 0.5)",
               "torch.where(x > 0, 1.0, x)",
               "torch.where(x > 0, 1, 0)",
               "torch.where(x > 0)",
               "torch.index_fill(x, 1, torch.tensor([0, -1]), 3.0)",
               "torch.index_put(x, [torch.tensor([0, 2])], torch.ones([2, 4, 5]))",
               "torch.index_put(x, [torch.tensor([0, 2]), torch.tensor([1, 1])], torch.ones([5]))",
               "torch.index_put(x, [torch.tensor([0, 0])], torch.ones([1]), True)",
               "torch.index_put(x, [x > 0], torch.zeros([1]))"});
  check_all({
      {"torch.gather(x, 1, i)", {"x:f:3x4", "i:i4:3x2"}},
      {"torch.gather(x, 0, i)", {"x:f:3x4", "i:i3:2x4"}},
      {"torch.scatter(x, 1, i, y)", {"x:f:3x4", "i:i4:3x1", "y:f:3x1"}},
      {"torch.scatter(x, 1, i, y)", {"x:f:3x4", "i:i4:2x1", "y:f:3x4"}},
      {"torch.scatter(x, 1, i, 2.5)", {"x:f:3x4", "i:i4:3x2"}},
      {"torch.scatter_add(x, 0, i, y)", {"x:f:3x4", "i:i3:2x4", "y:f:2x4"}},
      {"torch.embedding(self.w, i)", {"i:i9:2x5"}, {"w:f:9x4"}},
      {"torch.one_hot(i, 7)", {"i:i7:2x3"}},
      {"def forward(self, x):\n  y = x.clone()\n  y[:, 1:3] = 0.\n  y[0] = x[1]\n  return y",
       {"x:f:3x4x5"}},
      {"def forward(self, x):\n  y = x.clone()\n  y[y < 0] = 0.\n  return y", {"x:f:3x4x5"}},
      {"def forward(self, x):\n  y = torch.zeros_like(x)\n  y.copy_(x[0])\n  y.add_(1).mul_(x)\n"
       "  return y",
       {"x:f:3x4x5"}},
  });
}

TEST_CASE("arithmetic converts") {
  const std::vector<std::string> codes = {"x + y",
                                          "torch.add(x, y, alpha=2)",
                                          "torch.add(x, 2, alpha=3)",
                                          "x - y",
                                          "torch.sub(x, y, alpha=2)",
                                          "1 - x",
                                          "torch.rsub(x, y, alpha=2)",
                                          "x * y",
                                          "2 * x",
                                          "x * 0.5",
                                          "torch.maximum(x, y)",
                                          "torch.minimum(x, y)",
                                          "torch.max(x, y)",
                                          "x == y",
                                          "x != y",
                                          "x < y",
                                          "x <= 1",
                                          "x > y",
                                          "x >= 0.5",
                                          "torch.clamp(x, 0, 1)",
                                          "torch.clamp(x, min=1)",
                                          "torch.clamp(x, max=1)",
                                          "torch.clamp(x, -0.5, 0.5)",
                                          "torch.clamp_min(x, 1)",
                                          "torch.clamp_max(x, 1)",
                                          "torch.clamp(x, x - 1, y)",
                                          "torch.abs(x)",
                                          "-x",
                                          "torch.sign(x)",
                                          "torch.square(x)",
                                          "x ** 2",
                                          "torch.logical_and(x, y)",
                                          "torch.logical_or(x, y)",
                                          "torch.logical_xor(x, y)",
                                          "torch.logical_not(x)",
                                          "torch.addcmul(x, x, y, value=2)",
                                          "torch.cumsum(x, 1)",
                                          "x * x.sum()",
                                          "x + torch.tensor(0.5)",
                                          "x + (y > 0)"};
  check_codes({"x:f:2x3x4", "y:f:3x1"}, codes);
  check_codes({"x:i9:2x3x4", "y:i5:3x1"}, codes);
  check_codes({"x:f:2x3x4", "y:i5:3x1"}, codes);
  const std::vector<std::string> divisions = {"x / y",
                                              "x / 2",
                                              "torch.div(x, y, rounding_mode='floor')",
                                              "torch.div(x, y, rounding_mode='trunc')",
                                              "x // y",
                                              "torch.floor_divide(x, 3)",
                                              "torch.remainder(x, y)",
                                              "x % 3",
                                              "torch.fmod(x, y)",
                                              "torch.fmod(x, 2)",
                                              "torch.div(x - 4, 3, rounding_mode='floor')",
                                              "torch.div(x - 4, 3, rounding_mode='trunc')",
                                              "torch.remainder(x - 4, 3)",
                                              "torch.fmod(x - 4, 3)",
                                              "torch.addcdiv(x, x, y * 1.0)"};
  check_codes({"x:f:2x3x4", "y:p:3x1"}, divisions);
  std::vector<std::string> integer;
  for (const std::string& code : divisions)
    integer.push_back("def forward(self, x, n):\n  y = n + 1\n  return " + code);
  check_codes({"x:i9:2x3x4", "n:i5:3x1"}, integer);
  check_codes({"x:p:2x3", "y:p:2x3"}, {"x ** y",
                                       "x ** 0.5",
                                       "x ** 3",
                                       "x ** -1.5",
                                       "2 ** x",
                                       "torch.sqrt(x)",
                                       "torch.rsqrt(x)",
                                       "torch.exp(x)",
                                       "torch.log(x)",
                                       "torch.log1p(x)",
                                       "torch.log2(x)",
                                       "torch.log10(x)",
                                       "torch.expm1(x)",
                                       "torch.exp2(x)",
                                       "torch.erf(x)",
                                       "torch.erfc(x)",
                                       "torch.sin(x)",
                                       "torch.cos(x)",
                                       "torch.tan(x * 0.5)",
                                       "torch.asin(x * 0.3)",
                                       "torch.acos(x * 0.3)",
                                       "torch.atan(x)",
                                       "torch.sinh(x)",
                                       "torch.cosh(x)",
                                       "torch.asinh(x)",
                                       "torch.acosh(x + 1)",
                                       "torch.atanh(x * 0.3)",
                                       "torch.reciprocal(x)",
                                       "torch.floor(x * 3 - 2)",
                                       "torch.ceil(x * 3 - 2)",
                                       "torch.round(x * 3 - 2)",
                                       "torch.round(x, decimals=2)",
                                       "torch.trunc(x * 3 - 2)",
                                       "torch.frac(x * 3 - 2)",
                                       "torch.atan2(x - 1, y - 1)",
                                       "torch.hypot(x, y)",
                                       "torch.lerp(x, y, 0.3)",
                                       "torch.lerp(x, y, y)",
                                       "torch.isnan(torch.log(x - 1))",
                                       "torch.isinf(x / torch.floor(x))",
                                       "torch.isfinite(x / torch.floor(x))",
                                       "torch.nan_to_num(torch.log(torch.floor(x) - 1))",
                                       "torch.nan_to_num(x / torch.floor(x), 1.0, 9.0, -9.0)"});
  check_codes({"x:b:2x3", "y:b:2x3"},
              {"x & y", "x | y", "x ^ y", "~x", "x * y", "x + y", "x == y", "x + 1", "x * 0.5",
               "torch.logical_not(x)", "x.sum()", "torch.cumsum(x, 1)", "torch.maximum(x, y)",
               "torch.all(x)", "torch.any(x, 1)", "torch.where(x, 1.0, 2.0)", "x > y"});
  check_codes({"x:i9:2x3", "y:i9:2x3"},
              {"x & y", "x | y", "x ^ y", "~x", "torch.bitwise_and(x, 3)", "torch.sqrt(x)",
               "torch.floor(x)", "torch.sigmoid(x)", "x ** 2", "x ** 2.0", "x + 0.5"});
}

TEST_CASE("reductions convert") {
  check_codes({"x:f:2x3x4"}, {"torch.mean(x)",
                              "torch.mean(x, 1)",
                              "torch.mean(x, [1, 2], True)",
                              "torch.mean(x, [0], dtype=7)",
                              "torch.sum(x)",
                              "torch.sum(x, [0, 2])",
                              "torch.sum(x, -1, True)",
                              "torch.prod(x)",
                              "torch.prod(x, 1, True)",
                              "torch.max(x)",
                              "torch.min(x)",
                              "torch.max(x, 1)",
                              "torch.min(x, 2, True)",
                              "torch.amax(x, [1, 2])",
                              "torch.amin(x, 0, True)",
                              "torch.amax(x)",
                              "torch.argmax(x)",
                              "torch.argmax(x, 1)",
                              "torch.argmin(x, -1, True)",
                              "torch.argmax(x, None, True)",
                              "torch.var(x)",
                              "torch.var(x, False)",
                              "torch.var(x, [1, 2])",
                              "torch.var(x, [1], False, True)",
                              "torch.std(x)",
                              "torch.std(x, [0, 2], True)",
                              "torch.var(x, [1], correction=2)",
                              "torch.var_mean(x, [1, 2])",
                              "torch.std_mean(x, [1], False, True)",
                              "torch.logsumexp(x, [1, 2])",
                              "torch.logsumexp(x, 0, True)",
                              "torch.any(x > 1)",
                              "torch.any(x > 1, 1)",
                              "torch.all(x > -1, 2, True)",
                              "torch.topk(x, 2)",
                              "torch.topk(x, 2, 1, False)",
                              "torch.sort(x)",
                              "torch.sort(x, 1, True)",
                              "torch.argsort(x, 1)",
                              "torch.sort(x, dim=1, stable=True)",
                              "torch.count_nonzero(x > 0)",
                              "torch.cumsum(x, -1, dtype=7)",
                              "torch.mean(x[0, 0, 0])",
                              "torch.sum(x[0, 0, 0])"});
  check_codes({"x:i9:2x3x4"},
              {"torch.sum(x)", "torch.sum(x, 1)", "torch.prod(x, 1)", "torch.max(x)",
               "torch.amax(x, 1)", "torch.cumsum(x, 0)", "torch.mean(x, [1], dtype=6)"});
}

TEST_CASE("spectra convert") {
  check_codes({"x:f:2x40"},
              {"torch.stft(x, 16, 4, 16, torch.ones([16]), False, True, False)",
               "torch.stft(x, 16, 5, 12, torch.arange(12.0), True, True, False)",
               "torch.stft(x, 15, 4, 15, None, False, False, False)",
               "torch.stft(x[0], 16, 4, 16, None, True, 'reflect', False, True, False)"});
}

TEST_CASE("fused attention converts") {
  const std::vector<std::string> weights = {"w:f:24x8", "b:f:24",  "p:f:8x8", "q:f:8",   "n:f:8",
                                            "m:f:8",    "u:f:6x8", "v:f:6",   "s:f:8x6", "t:f:8"};
  for (const char* const form : {"True, False", "False, True"})
    CHECK(op_difference(
              {"torch._transformer_encoder_layer_fwd(x, 8, 2, self.w, self.b, self.p, "
               "self.q, " +
                   std::string(form) +
                   ", 1e-5, self.n, self.m, self.n, self.m, self.u, self.v, self.s, self.t)",
               {"x:f:2x5x8"},
               weights}) == "");
  check_all({
      {"torch._native_multi_head_attention(x, x, x, 8, 2, self.w, self.b, self.p, self.q)",
       {"x:f:2x5x8"},
       weights},
      {"torch._native_multi_head_attention(x, y, y, 8, 2, self.w, self.b, self.p, self.q, None, "
       "True, False)",
       {"x:f:2x5x8", "y:f:2x5x8"},
       weights},
      {"torch._native_multi_head_attention(x, x, x, 8, 2, self.w, self.b, self.p, self.q, "
       "torch.arange(5).unsqueeze(0).expand(2, -1) > 3, True, True, 1)",
       {"x:f:2x5x8"},
       weights},
  });
}

TEST_CASE("new tensors and types convert") {
  check_codes({"x:f:2x3"}, {"x + torch.zeros([2, 3])",
                            "x + torch.ones([x.size(0), 1])",
                            "torch.full([2, 2], 3)",
                            "torch.full([x.size(0), 2], 1.5)",
                            "torch.zeros_like(x)",
                            "torch.ones_like(x)",
                            "torch.full_like(x, 2)",
                            "x.new_zeros([2])",
                            "x.new_ones([2])",
                            "x.new_full([2], 3)",
                            "torch.arange(5)",
                            "torch.arange(1, 5)",
                            "torch.arange(0, 5, 2)",
                            "torch.arange(0.0, 1.0, 0.25)",
                            "torch.arange(x.size(0))",
                            "torch.arange(3, dtype=6)",
                            "torch.linspace(0, 1, 7)",
                            "torch.eye(3)",
                            "torch.eye(2, 3)",
                            "torch.triu(x)",
                            "torch.tril(x, -1)",
                            "torch.triu(x, 1)",
                            "x.to(4)",
                            "x.to(7)",
                            "x.to('cpu')",
                            "x.to(x)",
                            "x.type_as(torch.ones([1], dtype=3))",
                            "x.to(11)",
                            "x.to(dtype=5).to(6)",
                            "torch.tensor([1, 2])",
                            "torch.tensor([[1.5], [2.5]])",
                            "torch.tensor(3)",
                            "torch.meshgrid([x[0], x[1]])",
                            "torch.meshgrid([x[0], x[:, 0]], indexing='xy')",
                            "torch.scalar_tensor(2.5)",
                            "torch.zeros([2], dtype=4)"});
}

TEST_CASE("what cannot be expressed is refused with its name") {
  CHECK(op_refusal({"torch.dropout(x, 0.5, True)", {"x:f:2x3"}}).find("aten::dropout") == 0);
  CHECK(op_refusal(
            {"torch.batch_norm(x, None, None, None, None, True, 0.1, 1e-5, True)", {"x:f:2x3x4"}})
            .find("aten::batch_norm") == 0);
  CHECK(op_refusal({"torch.adaptive_max_pool2d(x, [2, 2])", {"x:f:1x2x5x5"}})
            .find("aten::adaptive_max_pool2d") == 0);
  CHECK(op_refusal({"torch.one_hot(x, -1)", {"x:i5:2x3"}}).find("aten::one_hot") == 0);
}

}  // namespace
}  // namespace lathe
