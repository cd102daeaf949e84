// Rounding in training against the ops that the file will hold, and gradients against the paper.
#include <ATen/ATen.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "distill/fake_quantize.h"
#include "ir/seeded_random.h"
#include "quantize/plan/weight_params.h"
#include "run/interpreter.h"
#include "run/threads.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

at::Tensor random_values(std::vector<int64_t> sizes, uint64_t stream, double scale = 1) {
  SeededRandom random(3, stream);
  std::vector<double> values(static_cast<size_t>(c10::multiply_integers(sizes)));
  for (double& value : values) value = random.normal() * scale;
  return at::tensor(values, at::kDouble).reshape(sizes);
}

// x - QuantizeLinear - DequantizeLinear, as the interpreter computes the file.
at::Tensor by_ops(const at::Tensor& x, const at::Tensor& scale, int32_t zero_point, DType dtype,
                  int64_t axis) {
  Graph graph;
  const ValueId in = graph.add_input("x", tensor_type(DType::kFloat32));
  Attributes attributes;
  if (axis >= 0) attributes.set("axis", axis);
  const Tensor scales = to_tensor({scale, DType::kFloat32});
  const std::vector<int32_t> zeros(static_cast<size_t>(scale.numel()), zero_point);
  const ValueId s = graph.add_constant("s", scales);
  const ValueId z = graph.add_constant("z", integer_tensor(dtype, scales.shape(), zeros));
  const ValueId q = graph.add_op(OpKind::kQuantizeLinear, {in, s, z}, "q", attributes);
  graph.set_outputs({graph.add_op(OpKind::kDequantizeLinear, {q, s, z}, "y", attributes)});
  return Interpreter(graph).run({{x, DType::kFloat32}})[0].tensor->clone();
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() &&
         std::memcmp(a.contiguous().data_ptr(), b.contiguous().data_ptr(), a.nbytes()) == 0;
}

FakeQuantization grid(DType dtype, int32_t zero_point, int64_t axis = -1) {
  FakeQuantization how;
  how.low = static_cast<int32_t>(integer_min(dtype)) - zero_point;
  how.high = static_cast<int32_t>(integer_max(dtype)) - zero_point;
  how.axis = axis;
  return how;
}

// The formulas of the header, in double and one ATen op after another.
struct Expected {
  at::Tensor value;
  at::Tensor to_x;
  at::Tensor to_scale;
};
Expected expected(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& up,
                  const FakeQuantization& how) {
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  std::vector<int64_t> others;
  for (int64_t i = 0; i < x.dim(); ++i)
    if (i != how.axis) others.push_back(i);
  if (how.axis >= 0) shape[static_cast<size_t>(how.axis)] = x.size(how.axis);
  const at::Tensor s = scale.reshape(shape);
  const at::Tensor v = x / s;
  const at::Tensor inside = v.gt(how.low).logical_and(v.lt(how.high));
  const at::Tensor step = at::where(inside, at::round(v) - v, at::clamp(v, how.low, how.high));
  const at::Tensor sum = how.axis < 0 ? at::sum(up * step) : at::sum(up * step, others);
  return {at::round(at::clamp(v, how.low, how.high)) * s, at::where(inside, up, up * 0),
          (sum * how.step_gradient).reshape(scale.sizes())};
}

}  // namespace

TEST_CASE("values are those of QuantizeLinear and DequantizeLinear in every bit") {
  const float infinity = std::numeric_limits<float>::infinity();
  at::Tensor x = random_values({6, 5, 7}, 1, 3).to(at::kFloat);
  // Halves go to even, ends saturate, zeros have no sign.
  const at::Tensor special = at::tensor(
      std::vector<float>{0.125F, 0.375F, -0.125F, -0.375F, 0.0F, -0.0F, 1e-40F, -1e-40F, 1e30F,
                         -1e30F, infinity, -infinity, 31.875F, -32.125F, 63.625F, 0.1249999F});
  x.view({-1}).narrow(0, 0, special.size(0)).copy_(special);
  for (const auto& [dtype, zero_point] :
       {std::pair(DType::kUInt8, 131), std::pair(DType::kUInt8, 0), std::pair(DType::kInt8, 0),
        std::pair(DType::kInt8, -17), std::pair(DType::kInt4, 0), std::pair(DType::kUInt4, 9),
        std::pair(DType::kUInt16, 40000)}) {
    CAPTURE(dtype_name(dtype));
    CAPTURE(zero_point);
    for (const float scale : {0.25F, 0.1F, 3e-5F, 1000.0F}) {
      const at::Tensor one = at::scalar_tensor(scale, at::kFloat);
      CHECK(same_bits(fake_quantize(x, one, grid(dtype, zero_point)),
                      by_ops(x, one, zero_point, dtype, -1)));
    }
    for (const int64_t axis : {0, 1, 2}) {
      const at::Tensor scales = at::exp(random_values({x.size(axis)}, 2)).to(at::kFloat);
      CHECK(same_bits(fake_quantize(x, scales, grid(dtype, zero_point, axis)),
                      by_ops(x, scales, zero_point, dtype, axis)));
    }
  }
  // NaN is not hidden from those who look for it.
  const at::Tensor nan = at::full({3}, std::nanf(""), at::kFloat);
  CHECK(at::isnan(fake_quantize(nan, at::ones({}), grid(DType::kInt8, 0))).all().item<bool>());
}

TEST_CASE("gradients are those of the formulas, in double") {
  const at::Tensor x = random_values({4, 6, 3, 3}, 4, 2);
  const at::Tensor up = random_values({4, 6, 3, 3}, 5);
  for (const int64_t axis : {-1, 0, 1, 3})
    for (const int32_t zero_point : {0, -5}) {
      CAPTURE(axis);
      CAPTURE(zero_point);
      FakeQuantization how = grid(DType::kInt4, zero_point, axis);
      how.step_gradient = 0.3;
      const at::Tensor scale = axis < 0 ? at::scalar_tensor(0.4, at::kDouble)
                                        : at::exp(random_values({x.size(axis)}, 6, 0.3)) * 0.4;
      const at::Tensor leaf = x.clone().set_requires_grad(true);
      const at::Tensor steps = scale.clone().set_requires_grad(true);
      const at::Tensor y = fake_quantize(leaf, steps, how);
      at::sum(y * up).backward();
      const Expected wanted = expected(x, scale, up, how);
      CHECK(at::allclose(y, wanted.value, 1e-13, 1e-13));
      CHECK(at::equal(leaf.grad(), wanted.to_x));
      CHECK(at::allclose(steps.grad(), wanted.to_scale, 1e-11, 1e-11));
      CHECK(wanted.to_x.eq(0).any().item<bool>());  // both sides of the range were met
      CHECK(at::amin(at::abs(wanted.to_scale)).item<double>() > 0);
    }
}

TEST_CASE("float gradients: near those in double, whatever threads and memory order") {
  const at::Tensor x = random_values({8, 16, 33, 31}, 7, 2);
  const at::Tensor up = random_values({8, 16, 33, 31}, 8);
  const at::Tensor scale = at::scalar_tensor(0.021F, at::kFloat);
  FakeQuantization how = grid(DType::kUInt8, 120);
  how.step_gradient = step_gradient_factor(16 * 33 * 31, how);
  CHECK(how.step_gradient == doctest::Approx(1 / std::sqrt(16.0 * 33 * 31 * 135)));
  struct Result {
    at::Tensor y, to_x, to_scale;
  };
  const auto run = [&](at::MemoryFormat format, int threads) {
    set_thread_count(threads);
    const at::Tensor leaf = x.to(at::kFloat).contiguous(format).set_requires_grad(true);
    const at::Tensor steps = scale.clone().set_requires_grad(true);
    const at::Tensor y = fake_quantize(leaf, steps, how);
    CHECK(y.is_contiguous(format));
    // The gradient comes in the other order than the value.
    at::sum(y * up.to(at::kFloat)).backward();
    set_thread_count(1);
    return Result{y.detach(), leaf.grad(), steps.grad()};
  };
  const Result one = run(at::MemoryFormat::Contiguous, 1);
  const Result two = run(at::MemoryFormat::Contiguous, 2);
  const Result last = run(at::MemoryFormat::ChannelsLast, 2);
  CHECK(at::equal(one.to_scale, two.to_scale));
  CHECK(at::equal(one.to_x, two.to_x));
  CHECK(at::equal(one.y, last.y));
  CHECK(at::equal(one.to_x, last.to_x));
  const double wanted = expected(x.to(at::kFloat).to(at::kDouble), scale.to(at::kDouble), up, how)
                            .to_scale.item<double>();
  CHECK(one.to_scale.item<double>() == doctest::Approx(wanted).epsilon(1e-3));
  CHECK(last.to_scale.item<double>() == doctest::Approx(wanted).epsilon(1e-3));
}

TEST_CASE("a following scale is that of weight_params, and its gradient passes everywhere") {
  at::Tensor weight = random_values({5, 3, 2, 2}, 9).to(at::kFloat);
  weight[2].zero_();
  for (const DType dtype : {DType::kInt8, DType::kInt4})
    for (const bool reduced : {false, true})
      for (const int64_t axis : {-1, 0, 1}) {
        const QuantParams params =
            weight_params(to_tensor({weight, DType::kFloat32}), dtype, axis, reduced);
        const at::Tensor scale = following_scale(weight, weight_qmax(dtype, reduced), axis);
        CHECK(scale.dim() == (axis < 0 ? 0 : 1));
        CHECK(same_bits(scale.reshape({-1}), at::tensor(params.scales, at::kFloat)));
      }
  CHECK(following_scale(at::zeros({3, 2}), 7, -1).item<float>() == 1);
  CHECK(following_scale(at::zeros({3, 2}), 7, 0).eq(1).all().item<bool>());

  FakeQuantization how;
  how.low = -7;
  how.high = 7;
  how.stop_beyond = false;
  const at::Tensor leaf = weight.clone().set_requires_grad(true);
  const at::Tensor up = random_values({5, 3, 2, 2}, 10).to(at::kFloat);
  at::sum(fake_quantize(leaf, following_scale(leaf, 7, -1), how) * up).backward();
  CHECK(at::equal(leaf.grad(), up));
}

TEST_CASE("a learned scale stays positive, within its bound, and moves as LSQ's") {
  const at::Tensor initial = at::tensor(std::vector<double>{0.02, 3.0}, at::kDouble);
  const at::Tensor logarithm = at::zeros({2}, at::kDouble).set_requires_grad(true);
  const at::Tensor scale = learned_scale(logarithm, initial);
  CHECK(at::equal(scale, initial));
  const at::Tensor up = at::tensor(std::vector<double>{0.5, -2.0}, at::kDouble);
  at::sum(scale * up).backward();
  // A step of SGD by LSQ: scale - rate * up. The same share, to first order.
  constexpr double kRate = 1e-5;
  const at::Tensor moved = learned_scale(logarithm.detach() - kRate * logarithm.grad(), initial);
  CHECK(at::allclose(moved, initial - kRate * up, 1e-7, 0));

  const at::Tensor far = at::tensor(std::vector<double>{-1e4, 1e4}, at::kDouble);
  CHECK(learned_scale(far, initial).gt(0).all().item<bool>());
  const at::Tensor wide = at::tensor(std::vector<double>{9, -9}, at::kDouble);
  const at::Tensor leaf = wide.clone().set_requires_grad(true);
  for (const double sign : {1.0, -1.0}) {
    leaf.mutable_grad() = at::Tensor();
    const at::Tensor bounded = learned_scale(leaf, initial, 0.5);
    CHECK(bounded[0].item<double>() == 0.5);
    CHECK(bounded[1].item<double>() < 0.5);
    (at::sum(bounded) * sign).backward();
    CHECK((leaf.grad()[0].item<double>() != 0) == (sign > 0));  // a step only makes it smaller
    CHECK(leaf.grad()[1].item<double>() * sign > 0);
  }
}

}  // namespace lathe
