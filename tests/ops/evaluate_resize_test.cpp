#include "evaluate_fixture.h"

namespace lathe::test {
namespace {

at::Tensor resized(const Given& x, std::vector<double> scales, Attributes attributes) {
  const auto count = static_cast<int64_t>(scales.size());
  return run_op(OpKind::kResize, {x, {}, floats({count}, std::move(scales))},
                std::move(attributes))[0];
}

Attributes rule(const char* mode, const char* coordinates, const char* nearest = "floor") {
  return attributes_of({{"mode", std::string(mode)},
                        {"coordinate_transformation_mode", std::string(coordinates)},
                        {"nearest_mode", std::string(nearest)}});
}

TEST_CASE("Resize agrees with PyTorch's interpolation where both define it") {
  at::manual_seed(3);
  const at::Tensor x = at::rand({2, 3, 7, 9});
  const Given given{DType::kFloat32, x};
  const Ints sizes = {2, 3, 13, 5};
  const auto to_size = [&](Attributes attributes) {
    return run_op(OpKind::kResize, {given, {}, {}, int64s(sizes)}, std::move(attributes))[0];
  };
  CHECK(at::allclose(to_size(rule("linear", "half_pixel")),
                     at::upsample_bilinear2d(x, {13, 5}, false), 1e-5, 1e-5));
  CHECK(at::allclose(to_size(rule("linear", "align_corners")),
                     at::upsample_bilinear2d(x, {13, 5}, true), 1e-5, 1e-5));
  CHECK(at::allclose(to_size(rule("cubic", "half_pixel")),
                     at::upsample_bicubic2d(x, {13, 5}, false), 1e-4, 1e-5));
  CHECK(at::equal(to_size(rule("nearest", "asymmetric")), at::upsample_nearest2d(x, {13, 5})));
}

TEST_CASE("Resize: nearest modes at ties") {
  const Given x = floats({4}, {0, 1, 2, 3});
  const auto nearest = [&](const char* mode) {
    return real_values(resized(x, {0.5}, rule("nearest", "half_pixel", mode)));
  };
  CHECK(nearest("round_prefer_floor") == Reals{0, 2});
  CHECK(nearest("round_prefer_ceil") == Reals{1, 3});
  CHECK(nearest("floor") == Reals{0, 2});
  CHECK(nearest("ceil") == Reals{1, 3});
}

TEST_CASE("Resize: crop with extrapolation, integers round, aspect ratio, refusals") {
  const Given x = floats({3}, {1, 2, 3});
  Attributes crop = rule("linear", "tf_crop_and_resize");
  crop.set("extrapolation_value", 10.0F);
  const auto cropped =
      run_op(OpKind::kResize, {x, floats({2}, {0.5, 1.5}), {}, int64s({3})}, crop)[0];
  CHECK(real_values(cropped) == Reals{2, 3, 10});
  const Given bytes = ints(DType::kUInt8, {2}, {0, 255});
  CHECK(int_values(resized(bytes, {2}, rule("linear", "half_pixel"))) == Ints{0, 64, 191, 255});
  const Given plane = floats({2, 4}, Reals(8, 1));
  Attributes smaller = rule("nearest", "asymmetric");
  smaller.set("keep_aspect_ratio_policy", std::string("not_larger"));
  CHECK(run_op(OpKind::kResize, {plane, {}, {}, int64s({6, 6})}, smaller)[0].sizes().vec() ==
        Ints{3, 6});
  const Attributes plain = rule("nearest", "asymmetric");
  CHECK_THROWS_AS(resized(x, {0}, plain), Error);
  CHECK_THROWS_AS(resized(x, {-1}, plain), Error);
  CHECK_THROWS_AS(resized(x, {1e12}, plain), Error);
  CHECK_THROWS_AS(resized(x, {1, 1}, plain), Error);
  CHECK_THROWS_AS(resized(x, {std::numeric_limits<double>::quiet_NaN()}, plain), Error);
  CHECK_THROWS_AS(resized(x, {2}, rule("spline", "asymmetric")), Error);
}

TEST_CASE("GridSample: volumetric nearest rounds ties to even") {
  const Given x = floats({1, 1, 1, 1, 4}, {10, 11, 12, 13});
  // align_corners: x = -2/3 + … lies halfway between pixels 0|1, 1|2 and 2|3.
  const Given grid = floats({1, 1, 1, 3, 3}, {-1 + 1.0 / 3, 0, 0, 0, 0, 0, 1 - 1.0 / 3, 0, 0});
  const auto y =
      run_op(OpKind::kGridSample, {x, grid},
             attributes_of({{"mode", std::string("nearest")}, {"align_corners", int64_t{1}}}))[0];
  CHECK(y.sizes().vec() == Ints{1, 1, 1, 1, 3});
  CHECK(real_values(y)[1] == 12);
}

}  // namespace
}  // namespace lathe::test
