#include "evaluate_fixture.h"

namespace lathe::test {
namespace {

TEST_CASE("QuantizeLinear rounds half to even, saturates, and takes NaN as the zero point") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const Given x = floats({8}, {0.5, 1.5, 2.5, -0.5, 1e30, -1e30, nan, infinity});
  const Given scale = floats({}, {1});
  CHECK(int_values(run_op(OpKind::kQuantizeLinear, {x, scale, ints(DType::kUInt8, {}, {3})})[0]) ==
        Ints{3, 5, 5, 3, 255, 0, 3, 255});
  CHECK(int_values(run_op(OpKind::kQuantizeLinear, {x, scale, ints(DType::kInt4, {}, {-1})})[0]) ==
        Ints{-1, 1, 1, -1, 7, -8, -1, 7});
  CHECK(int_values(run_op(OpKind::kQuantizeLinear, {x, scale, ints(DType::kUInt16, {}, {0})})[0]) ==
        Ints{0, 2, 2, 0, 65535, 0, 0, 65535});
}

TEST_CASE("QuantizeLinear: the fast loops and the general path agree on every layout") {
  at::manual_seed(7);
  const at::Tensor x = at::randn({3, 5, 7, 11}) * 40;
  for (const int64_t axis : {0, 1, 2, 3, -1}) {
    const int64_t channels = x.size(axis);
    const at::Tensor scale = at::rand({channels}) + 0.1;
    const at::Tensor zero = at::randint(-20, 20, {channels}).to(at::kChar);
    std::vector<int64_t> shape(4, 1);
    shape[static_cast<size_t>(axis < 0 ? axis + 4 : axis)] = channels;
    const at::Tensor q =
        run_op(OpKind::kQuantizeLinear,
               {{DType::kFloat32, x}, {DType::kFloat32, scale}, {DType::kInt8, zero}},
               attributes_of({{"axis", axis}}))[0];
    const at::Tensor wanted =
        at::clamp(at::round(x / scale.reshape(shape)) + zero.reshape(shape), -128, 127)
            .to(at::kChar);
    CHECK(at::equal(q, wanted));
    const at::Tensor back =
        run_op(OpKind::kDequantizeLinear,
               {{DType::kInt8, q}, {DType::kFloat32, scale}, {DType::kInt8, zero}},
               attributes_of({{"axis", axis}}))[0];
    CHECK(at::equal(back, (q.to(at::kFloat) - zero.reshape(shape)) * scale.reshape(shape)));
  }
}

TEST_CASE("QuantizeLinear by blocks; shapes and types that do not fit are refused") {
  const Given x = floats({1, 3}, {4, 8, 12});
  const Given scale = floats({1, 2}, {2, 4});
  const Attributes blocked = attributes_of({{"axis", int64_t{1}}, {"block_size", int64_t{2}}});
  CHECK(int_values(run_op(OpKind::kQuantizeLinear, {x, scale}, blocked)[0]) == Ints{2, 4, 3});
  CHECK_THROWS_AS(run_op(OpKind::kQuantizeLinear, {x, scale},
                         attributes_of({{"axis", int64_t{1}}, {"block_size", int64_t{1}}})),
                  Error);
  CHECK_THROWS_AS(run_op(OpKind::kQuantizeLinear, {x, floats({2}, {1, 1})}), Error);
  CHECK_THROWS_AS(run_op(OpKind::kQuantizeLinear, {x, floats({3}, {1, 1, 1})},
                         attributes_of({{"axis", int64_t{5}}})),
                  Error);
}

TEST_CASE("QLinearConv: exact sums, per-channel weights, int32 bias, half to even") {
  const Given x = ints(DType::kUInt8, {1, 1, 1, 3}, {0, 128, 255});
  const Given w = ints(DType::kInt8, {2, 1, 1, 1}, {1, -3});
  const auto run = [&](std::vector<int64_t> bias) {
    return int_values(
        run_op(OpKind::kQLinearConv,
               {x, floats({}, {1}), ints(DType::kUInt8, {}, {128}), w, floats({2}, {1, 0.5}),
                ints(DType::kInt8, {2}, {0, 0}), floats({}, {2}), ints(DType::kUInt8, {}, {100}),
                ints(DType::kInt32, {2}, std::move(bias))})[0]);
  };
  // (q - 128) * w: -128, 0, 127 and 384, 0, -381; times 0.5 and 0.25; plus 100.
  CHECK(run({0, 0}) == Ints{36, 100, 164, 196, 100, 5});
  CHECK(run({1, 2}) == Ints{36, 100, 164, 196, 100, 5});
  CHECK(run({2, 8}) == Ints{37, 101, 164, 198, 102, 7});
}

TEST_CASE("Integer products are exact far beyond float32") {
  const int64_t inner = 4096;
  const Given a = ints(DType::kUInt8, {1, inner}, Ints(inner, 255));
  const Given b = ints(DType::kUInt8, {inner, 1}, Ints(inner, 253));
  CHECK(int_values(run_op(OpKind::kMatMulInteger, {a, b})[0]) == Ints{inner * 255 * 253});
  const Given odd = ints(DType::kUInt8, {1}, {1});
  CHECK(int_values(run_op(OpKind::kMatMulInteger, {a, b, odd, odd})[0]) == Ints{inner * 254 * 252});
}

TEST_CASE("DynamicQuantizeLinear covers zero; a constant zero input has scale 1") {
  const auto q = run_op(OpKind::kDynamicQuantizeLinear, {floats({3}, {0, 51, 102})}, {}, 3);
  CHECK(int_values(q[0]) == Ints{0, 128, 255});
  CHECK(q[1].item<float>() == doctest::Approx(0.4F));
  CHECK(int_values(q[2]) == Ints{0});
  const auto zero = run_op(OpKind::kDynamicQuantizeLinear, {floats({2}, {0, 0})}, {}, 3);
  CHECK(zero[1].item<float>() == 1.0F);
  CHECK(int_values(zero[0]) == Ints{0, 0});
}

}  // namespace
}  // namespace lathe::test
