#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/elementwise.h"
#include "kernels/integer_product.h"
#include "kernels/integer_reference.h"
#include "kernels/kernel_check.h"

namespace lathe {
namespace {

constexpr double kLeastNormal = 1.17549435e-38;

struct Function {
  ProductActivation fused;
  ElementwiseKind alone;
  // As vector_math.h states them.
  double ulp;
  double absolute;
};

const Function kFunctions[] = {
    {ProductActivation::kSigmoid, ElementwiseKind::kSigmoid, 3, 0},
    {ProductActivation::kTanh, ElementwiseKind::kTanh, 2, 0},
    {ProductActivation::kSilu, ElementwiseKind::kSilu, 4, 1e-35},
    {ProductActivation::kHardSwish, ElementwiseKind::kHardSwish, 2, 4e-7},
    {ProductActivation::kGelu, ElementwiseKind::kGelu, 2, 4e-7},
};

std::vector<float> all_kinds_of_numbers() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> numbers = {0.0f,  -0.0f,  1e-45f,    -1e-45f, 1e-39f, -1e-39f, 1.2e-38f,
                                88.0f, -87.3f, 3.4e38f,   -3e38f,  88.8f,  -88.8f,  0.625f,
                                -3.0f, 3.0f,   kInfinity, kNaN,    -1e4f,  -104.0f};
  for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 999983) {
    const uint32_t low = static_cast<uint32_t>(bits);
    float x = 0;
    std::memcpy(&x, &low, sizeof(x));
    numbers.push_back(x);
  }
  SeededRandom random(57, 0);
  for (int i = 0; i < 4000; ++i) numbers.push_back(static_cast<float>(6 * random.normal()));
  return numbers;
}

std::vector<float> computed_alone(const std::vector<float>& numbers, ElementwiseKind kind) {
  const ElementwiseArray array{ElementType::kFloat32, 1, 0, {1}};
  const auto program = prepare_elementwise({static_cast<int64_t>(numbers.size())}, {array},
                                           {{kind, 0, 0, 0, 0, 0}}, array);
  std::vector<float> results(numbers.size());
  const void* inputs[] = {numbers.data()};
  run_elementwise(program, inputs, results.data(), 0, elementwise_count(program));
  return results;
}

// Sums are 0, so that biases are the numbers; a negative factor keeps the sign of -0.
std::vector<float> computed_behind_product(const std::vector<float>& numbers,
                                           ProductActivation activation, KernelIsa isa) {
  const int64_t columns = static_cast<int64_t>(numbers.size());
  const std::vector<int8_t> weights(numbers.size() * 4, 0);
  const std::vector<float> scale(numbers.size(), -1);
  const PackedProduct product =
      pack_product(isa, {weights.data(), columns, 1, 4, true}, scale.data(), numbers.data());
  ProductEpilogue epilogue;
  epilogue.float_output = true;
  epilogue.activation = activation;
  epilogue.float_low = -std::numeric_limits<float>::infinity();
  epilogue.float_high = std::numeric_limits<float>::infinity();
  std::vector<float> results(numbers.size());
  const uint8_t pixel[4] = {1, 2, 3, 4};
  const uint8_t* const pixels[] = {pixel};
  for (const ProductPanel& panel : product_panels(product)) {
    ProductTile tile;
    tile.product = &product;
    tile.epilogue = &epilogue;
    tile.panel = panel;
    tile.rows = 1;
    tile.pixels = pixels;
    tile.output = results.data() + panel.first;
    tile.output_pitch = columns;
    run_product_tile(tile);
  }
  return results;
}

bool same_bits(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof(a)) == 0;
}

}  // namespace

TEST_CASE("a function has the same bits behind a product as alone, on every processor") {
  const std::vector<float> numbers = all_kinds_of_numbers();
  for (const Function& function : kFunctions) {
    const std::vector<float> alone = computed_alone(numbers, function.alone);
    for (const KernelIsa isa : usable_kernel_isas()) {
      const auto fused = computed_behind_product(numbers, function.fused, isa);
      int wrong = 0;
      for (size_t i = 0; i < numbers.size(); ++i) {
        if (same_bits(fused[i], alone[i])) continue;
        if (++wrong > 1) continue;
        INFO("function " << static_cast<int>(function.fused) << " isa " << static_cast<int>(isa));
        INFO("of " << numbers[i]);
        CHECK(fused[i] == alone[i]);
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("functions are as exact as their header says") {
  const std::vector<float> numbers = all_kinds_of_numbers();
  for (const Function& function : kFunctions) {
    const std::vector<float> alone = computed_alone(numbers, function.alone);
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (!std::isfinite(numbers[i])) continue;
      const double exact = reference_activation(double{numbers[i]}, function.fused);
      const double size = std::max(std::abs(exact), kLeastNormal);
      const double ulp = std::ldexp(1.0, std::ilogb(size) - 23);
      INFO("function " << static_cast<int>(function.fused) << " of " << numbers[i]);
      REQUIRE(std::abs(double{alone[i]} - exact) <=
              std::max({function.ulp * ulp, function.absolute, kLeastNormal}));
    }
  }
}

}  // namespace lathe
