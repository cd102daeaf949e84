#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/integer_product.h"
#include "kernels/integer_reference.h"

namespace lathe {
namespace {

constexpr int64_t kRowGap = 7;  // elements behind each row that nobody may touch

struct ProductProblem {
  int64_t columns = 0;
  int64_t taps = 1;
  int64_t depth = 4;
  int64_t rows = 1;
  std::vector<int8_t> weights;
  // Each pixel is alone, so that a sanitizer sees a byte too many.
  std::vector<std::vector<uint8_t>> pixels;  // rows x taps
  std::vector<uint8_t> residual;             // rows x columns
  ColumnFactors factors;
  ProductEpilogue epilogue;
};

ProductProblem random_product(int64_t columns, int64_t taps, int64_t depth, int64_t rows,
                              const ProductEpilogue& epilogue, std::mt19937& random) {
  ProductProblem problem;
  problem.columns = columns;
  problem.taps = taps;
  problem.depth = depth;
  problem.rows = rows;
  problem.epilogue = epilogue;
  problem.weights = random_weights(columns * taps * depth, random() % 2 == 0 ? 63 : 127, random);
  for (int64_t i = 0; i < rows * taps; ++i) problem.pixels.push_back(random_bytes(depth, random));
  problem.residual = random_bytes(rows * columns, random);
  problem.factors = random_factors(columns, taps * depth, epilogue, random);
  return problem;
}

/// rows x (columns + kRowGap) elements of the output as bytes.
std::vector<uint8_t> product_output(const ProductProblem& problem, KernelIsa isa) {
  const ProductEpilogue& epilogue = problem.epilogue;
  const int64_t pitch = problem.columns + kRowGap;
  const int64_t size = epilogue.float_output ? 4 : 1;
  std::vector<uint8_t> output(static_cast<size_t>(problem.rows * pitch * size), kCanary);
  const PackedProduct product = pack_product(
      isa,
      {problem.weights.data(), problem.columns, problem.taps, problem.depth, epilogue.float_output},
      problem.factors.scale.data(), problem.factors.bias.data());
  for (const ProductPanel& panel : product_panels(product)) {
    const int64_t most = panel.rows;
    const int64_t column = panel.first;
    REQUIRE(most >= 1);
    REQUIRE(most <= kMaxProductRows);
    // The first tile has what is left of the rows, so that all counts come.
    for (int64_t begin = 0, rows = 0; begin < problem.rows; begin += rows) {
      rows = begin == 0 && problem.rows % most != 0 ? problem.rows % most : most;
      std::vector<const uint8_t*> pixels;
      for (int64_t tap = 0; tap < problem.taps; ++tap)
        for (int64_t r = begin; r < begin + rows; ++r)
          pixels.push_back(problem.pixels[static_cast<size_t>(r * problem.taps + tap)].data());
      // What is all zeros may be skipped.
      for (int64_t tap = 0; tap < problem.taps; ++tap) {
        bool zero = true;
        for (int64_t r = 0; r < rows; ++r) {
          const uint8_t* pixel = pixels[static_cast<size_t>(tap * rows + r)];
          zero = zero && std::count(pixel, pixel + problem.depth, 0) == problem.depth;
        }
        if (zero) pixels[static_cast<size_t>(tap * rows)] = nullptr;
      }
      ProductTile tile;
      tile.product = &product;
      tile.epilogue = &epilogue;
      tile.panel = panel;
      tile.rows = rows;
      tile.pixels = pixels.data();
      tile.output = output.data() + (begin * pitch + column) * size;
      tile.output_pitch = pitch;
      tile.residual = problem.residual.data() + begin * problem.columns + column;
      tile.residual_pitch = problem.columns;
      run_product_tile(tile);
    }
  }
  return output;
}

double real_result(const ProductProblem& problem, int64_t row, int64_t column) {
  int64_t sum = 0;
  for (int64_t tap = 0; tap < problem.taps; ++tap) {
    const auto& pixel = problem.pixels[static_cast<size_t>(row * problem.taps + tap)];
    const int8_t* w = problem.weights.data() + (column * problem.taps + tap) * problem.depth;
    for (int64_t k = 0; k < problem.depth; ++k)
      sum += int64_t{pixel[static_cast<size_t>(k)]} * w[k];
  }
  const auto c = static_cast<size_t>(column);
  return static_cast<double>(sum) * problem.factors.scale[c] + problem.factors.bias[c];
}

int wrong_elements(const ProductProblem& problem, const std::vector<uint8_t>& output) {
  int wrong = 0;
  const int64_t pitch = problem.columns + kRowGap;
  for (int64_t r = 0; r < problem.rows; ++r) {
    for (int64_t c = 0; c < pitch; ++c) {
      const auto place = static_cast<size_t>(r * pitch + c);
      if (problem.epilogue.float_output) {
        float value = 0;
        std::memcpy(&value, output.data() + place * 4, 4);
        if (c >= problem.columns) {
          for (size_t i = 0; i < 4; ++i) wrong += output[place * 4 + i] != kCanary;
          continue;
        }
        const double expected = expected_float(real_result(problem, r, c), problem.epilogue);
        wrong += !(std::abs(value - expected) <= 2e-6 * (1 + std::abs(expected)));
      } else if (c >= problem.columns) {
        wrong += output[place] != kCanary;
      } else {
        wrong += !acceptable_bytes(real_result(problem, r, c),
                                   problem.residual[static_cast<size_t>(r * problem.columns + c)],
                                   problem.epilogue)
                      .contains(output[place]);
      }
    }
  }
  return wrong;
}

/// Every variant is right, and all give the same bytes.
void check_product(const ProductProblem& problem) {
  const std::vector<uint8_t> scalar = product_output(problem, KernelIsa::kScalar);
  CHECK(wrong_elements(problem, scalar) == 0);
  for (const KernelIsa isa : usable_kernel_isas()) {
    CAPTURE(static_cast<int>(isa));
    CHECK((product_output(problem, isa) == scalar));
  }
}

TEST_CASE("integer products of many shapes") {
  const unsigned seed = 20240611;
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  const auto table = shuffled_table(random);
  for (int64_t columns = 1; columns <= 200; ++columns) {
    const int64_t taps = random() % 4 == 0 ? 9 : 1;
    const int64_t depth = 4 * (1 + static_cast<int64_t>(random() % (taps == 9 ? 12 : 130)));
    const auto rows = 1 + static_cast<int64_t>(random() % 20);
    const auto number = static_cast<int>(random() % kEpilogues);
    CAPTURE(columns);
    CAPTURE(taps);
    CAPTURE(depth);
    CAPTURE(rows);
    CAPTURE(number);
    check_product(random_product(columns, taps, depth, rows,
                                 numbered_epilogue(number, table.data()), random));
  }
}

TEST_CASE("integer products with every epilogue") {
  const unsigned seed = 77;
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  const auto table = shuffled_table(random);
  for (int number = 0; number < kEpilogues; ++number) {
    for (const int64_t columns : {5, 16, 32, 41, 64, 72}) {
      CAPTURE(number);
      CAPTURE(columns);
      check_product(
          random_product(columns, 1, 24, 5, numbered_epilogue(number, table.data()), random));
    }
  }
}

TEST_CASE("integer products with every count of rows") {
  const unsigned seed = 3;
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  for (const int64_t columns : {8, 16, 23, 32, 48, 64, 100}) {
    for (int64_t rows = 1; rows <= 2 * kMaxProductRows; ++rows) {
      for (const int number : {0, 1, 48}) {
        CAPTURE(columns);
        CAPTURE(rows);
        CAPTURE(number);
        check_product(
            random_product(columns, 2, 12, rows, numbered_epilogue(number, nullptr), random));
      }
    }
  }
}

TEST_CASE("integer products skip taps without pixels") {
  const unsigned seed = 8;
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  for (const int64_t columns : {7, 24, 64, 90}) {
    for (int64_t skipped = 0; skipped < 9; ++skipped) {
      CAPTURE(columns);
      CAPTURE(skipped);
      ProductProblem problem = random_product(columns, 9, 20, 11, {}, random);
      for (int64_t r = 0; r < 11; ++r)
        for (const int64_t tap : {skipped, (skipped + 3) % 9})
          problem.pixels[static_cast<size_t>(r * 9 + tap)].assign(20, 0);
      check_product(problem);
    }
  }
}

TEST_CASE("sums are exact at the ends of the range") {
  for (const int weight : {-128, 127, 64}) {
    std::mt19937 random(1);
    ProductProblem problem = random_product(20, 1, 520, 3, {}, random);
    problem.weights.assign(problem.weights.size(), static_cast<int8_t>(weight));
    for (auto& pixel : problem.pixels) pixel.assign(pixel.size(), 255);
    problem.factors.scale.assign(20, weight < 0 ? -1.0f : 1.0f);
    problem.factors.bias.assign(20, static_cast<float>(100 - 255 * 520 * std::abs(weight)));
    for (const KernelIsa isa : usable_kernel_isas()) {
      CAPTURE(static_cast<int>(isa));
      const auto output = product_output(problem, isa);
      for (size_t r = 0; r < 3; ++r) CHECK(int{output[r * (20 + kRowGap)]} == 100);
    }
  }
}

TEST_CASE("halves are rounded to even") {
  std::mt19937 random(1);
  ProductProblem problem = random_product(12, 1, 4, 1, {}, random);
  problem.pixels[0] = {1, 0, 0, 0};
  problem.factors.scale.assign(12, 0.5f);
  problem.factors.bias.assign(12, 8.0f);
  for (size_t c = 0; c < 12; ++c) problem.weights[c * 4] = static_cast<int8_t>(c);
  for (const KernelIsa isa : usable_kernel_isas()) {
    CAPTURE(static_cast<int>(isa));
    const auto output = product_output(problem, isa);
    const std::vector<int> even = {8, 8, 9, 10, 10, 10, 11, 12, 12, 12, 13, 14};
    for (size_t c = 0; c < 12; ++c) CHECK(int{output[c]} == even[c]);
  }
}

TEST_CASE("results beyond int32 saturate") {
  std::mt19937 random(1);
  for (const int number : {0, 1, 12, 24}) {
    const auto table = shuffled_table(random);
    ProductProblem problem =
        random_product(70, 1, 8, 4, numbered_epilogue(number, table.data()), random);
    for (auto& pixel : problem.pixels) pixel.assign(pixel.size(), 200);
    for (size_t c = 0; c < 70; ++c) {
      const int8_t weight = c % 2 == 0 ? 3 : -3;
      for (size_t k = 0; k < 8; ++k) problem.weights[c * 8 + k] = weight;
      problem.factors.scale[c] = 1e12f;
    }
    CAPTURE(number);
    check_product(problem);
  }
  // One column alone makes the product one that may overflow.
  ProductProblem problem = random_product(70, 1, 8, 4, {}, random);
  problem.factors.bias[69] = std::numeric_limits<float>::infinity();
  for (const KernelIsa isa : usable_kernel_isas()) {
    CAPTURE(static_cast<int>(isa));
    CHECK(int{product_output(problem, isa)[69]} == 255);
  }
}

}  // namespace
}  // namespace lathe
