#include "evaluate_fixture.h"

namespace lathe::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST_CASE("integer Div truncates, wraps its one overflow and refuses zero") {
  const Given a = ints(DType::kInt32, {4}, {7, -7, 7, -7});
  const Given b = ints(DType::kInt32, {4}, {2, 2, -2, -2});
  CHECK(int_values(run_op(OpKind::kDiv, {a, b})[0]) == Ints{3, -3, -3, 3});
  const Given low = ints(DType::kInt32, {1}, {INT32_MIN}), minus = ints(DType::kInt32, {1}, {-1});
  CHECK(int_values(run_op(OpKind::kDiv, {low, minus})[0]) == Ints{INT32_MIN});
  CHECK(int_values(run_op(OpKind::kMod, {low, minus})[0]) == Ints{0});
  CHECK_THROWS_AS(run_op(OpKind::kDiv, {a, ints(DType::kInt32, {1}, {0})}), Error);
  CHECK_THROWS_AS(run_op(OpKind::kMod, {a, ints(DType::kInt32, {1}, {0})}), Error);
}

TEST_CASE("uint64 values above 2^63 stay large") {
  const Given a = ints(DType::kUInt64, {2}, {-1, 5}), b = ints(DType::kUInt64, {2}, {3, 7});
  CHECK(int_values(run_op(OpKind::kDiv, {a, b})[0]) == Ints{0x5555555555555555, 0});
  CHECK(int_values(run_op(OpKind::kMax, {a, b})[0]) == Ints{-1, 7});
  CHECK(int_values(run_op(OpKind::kMin, {a, b})[0]) == Ints{3, 5});
  CHECK(int_values(run_op(OpKind::kGreater, {a, b})[0]) == Ints{1, 0});
  const Attributes right = attributes_of({{"direction", std::string("RIGHT")}});
  CHECK(int_values(run_op(OpKind::kBitShift, {a, b}, right)[0]) == Ints{0x1fffffffffffffff, 0});
  CHECK(int_values(run_op(OpKind::kReduceMax, {a})[0]) == Ints{-1});
}

TEST_CASE("Mod takes the divisor's sign, with fmod the dividend's") {
  const Given a = ints(DType::kInt64, {6}, {-4, 7, 5, 4, -7, 8});
  const Given b = ints(DType::kInt64, {6}, {2, -3, 8, -2, 3, 5});
  CHECK(int_values(run_op(OpKind::kMod, {a, b})[0]) == Ints{0, -2, 5, 0, 2, 3});
  CHECK(int_values(run_op(OpKind::kMod, {a, b}, attributes_of({{"fmod", int64_t{1}}}))[0]) ==
        Ints{0, 1, 5, 0, -1, 3});
}

TEST_CASE("BitShift drops what leaves the type") {
  const Attributes left = attributes_of({{"direction", std::string("LEFT")}});
  const Given a = ints(DType::kUInt8, {4}, {255, 1, 129, 3});
  const Given b = ints(DType::kUInt8, {4}, {1, 7, 8, 200});
  CHECK(int_values(run_op(OpKind::kBitShift, {a, b}, left)[0]) == Ints{254, 128, 0, 0});
}

TEST_CASE("Pow keeps the base's type") {
  const at::Tensor a =
      run_op(OpKind::kPow, {ints(DType::kInt32, {3}, {1, 2, 3}), floats({3}, {4, 5, 6})})[0];
  CHECK(bool(a.scalar_type() == at::kInt));
  CHECK(int_values(a) == Ints{1, 32, 729});
  const at::Tensor b =
      run_op(OpKind::kPow, {floats({2}, {2, -3}), ints(DType::kInt64, {2}, {-1, 3})})[0];
  CHECK(bool(b.scalar_type() == at::kFloat));
  CHECK(real_values(b) == Reals{0.5, -27});
}

TEST_CASE("Clip with crossed bounds gives the upper one; NaN passes Max") {
  CHECK(real_values(run_op(OpKind::kClip, {floats({3}, {-2, 0, 6}), floats({}, {2}),
                                           floats({}, {1})})[0]) == Reals{1, 1, 1});
  CHECK(int_values(run_op(OpKind::kClip, {ints(DType::kInt8, {3}, {-9, 0, 9}), Given{},
                                          ints(DType::kInt8, {}, {3})})[0]) == Ints{-9, 0, 3});
  const auto max =
      real_values(run_op(OpKind::kMax, {floats({2}, {NAN, 1}), floats({2}, {0, kInfinity})})[0]);
  CHECK(std::isnan(max[0]));
  CHECK(max[1] == kInfinity);
}

TEST_CASE("Round takes halves to even") {
  CHECK(real_values(run_op(OpKind::kRound, {floats({6}, {0.5, 1.5, 2.5, -0.5, -1.5, -2.5})})[0]) ==
        Reals{0, 2, 2, -0.0, -2, -2});
}

TEST_CASE("activations") {
  const Given x = floats({3}, {-2, 0, 2});
  const Attributes shrink = attributes_of({{"lambd", 1.5f}, {"bias", 0.5f}});
  CHECK(real_values(run_op(OpKind::kShrink, {x}, shrink)[0]) == Reals{-1.5, 0, 1.5});
  CHECK(real_values(run_op(OpKind::kThresholdedRelu, {x}, attributes_of({{"alpha", 2.0f}}))[0]) ==
        Reals{0, 0, 0});
  CHECK(real_values(run_op(OpKind::kHardSigmoid, {x}, attributes_of({{"alpha", 0.25f}}))[0]) ==
        Reals{0, 0.5, 1});
  CHECK(real_values(run_op(OpKind::kSwish, {x})[0])[2] == doctest::Approx(1.7615942));
  CHECK(real_values(run_op(OpKind::kGelu, {x})[0])[2] == doctest::Approx(1.9544997));
  CHECK(real_values(run_op(OpKind::kSoftplus, {floats({1}, {30})})[0])[0] == doctest::Approx(30));
  // One slope per channel of [1, 2, 1, 2], as exporters write it ([C, 1, 1]), and a scalar one.
  const Given image = floats({1, 2, 1, 2}, {-1, 1, -2, 2});
  CHECK(real_values(run_op(OpKind::kPRelu, {image, floats({2, 1, 1}, {0.5, 0.25})})[0]) ==
        Reals{-0.5, 1, -0.5, 2});
  CHECK(real_values(run_op(OpKind::kPRelu, {image, floats({1}, {4})})[0]) == Reals{-4, 1, -8, 2});
}

TEST_CASE("Dropout copies in inference and is repeatable in training") {
  const Given x = floats({1, 1000}, Reals(1000, 1.0));
  const auto plain = run_op(OpKind::kDropout, {x}, {}, 2);
  CHECK(plain[0].equal(x.tensor));
  CHECK(plain[1].all().item<bool>());
  const Given ratio = floats({}, {0.5}), training = ints(DType::kBool, {}, {1});
  const auto once = run_op(OpKind::kDropout, {x, ratio, training}, {}, 2);
  CHECK(once[0].equal(run_op(OpKind::kDropout, {x, ratio, training}, {}, 2)[0]));
  const double kept = once[1].to(at::kDouble).mean().item<double>();
  CHECK(kept > 0.4);
  CHECK(kept < 0.6);
  CHECK(once[0].max().item<float>() == 2.0f);
}

TEST_CASE("Cast: saturation of 8-bit floats, wrapping, uint64") {
  const Given x = floats({5}, {1e6, -kInfinity, NAN, 0.4789, 449});
  const auto to = [](DType dtype, int64_t saturate) {
    return attributes_of({{"to", static_cast<int64_t>(dtype)}, {"saturate", saturate}});
  };
  const auto kept = real_values(run_op(OpKind::kCast, {x}, to(DType::kFloat8E4M3FN, 1))[0]);
  CHECK(kept[0] == 448);
  CHECK(kept[1] == -448);
  CHECK(std::isnan(kept[2]));
  CHECK(kept[3] == 0.46875);
  CHECK(kept[4] == 448);
  const auto open = real_values(run_op(OpKind::kCast, {x}, to(DType::kFloat8E4M3FN, 0))[0]);
  CHECK(std::isnan(open[0]));
  CHECK(open[4] == 448);
  CHECK(real_values(run_op(OpKind::kCast, {x}, to(DType::kFloat8E5M2, 0))[0])[0] == kInfinity);
  CHECK(real_values(run_op(OpKind::kCast, {x}, to(DType::kFloat4E2M1, 0))[0])[0] == 6);
  CHECK(real_values(run_op(OpKind::kCast, {ints(DType::kUInt64, {1}, {-1})},
                           to(DType::kFloat32, 1))[0]) == Reals{0x1p64});
  CHECK(int_values(run_op(OpKind::kCast, {floats({1}, {0x1p63})}, to(DType::kUInt64, 1))[0]) ==
        Ints{INT64_MIN});
  CHECK(int_values(run_op(OpKind::kCast, {floats({3}, {-1.9, 300, 2.5})},
                          to(DType::kUInt8, 1))[0]) == Ints{255, 44, 2});
  CHECK_THROWS_AS(run_op(OpKind::kCast, {x}, to(DType::kString, 1)), Error);
  CHECK_THROWS_AS(run_op(OpKind::kCast, {x}, attributes_of({{"to", int64_t{99}}})), Error);
}

}  // namespace
}  // namespace lathe::test
