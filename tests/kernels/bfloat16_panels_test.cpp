#include "kernels/bfloat16_panels.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "kernel_check.h"
#include "kernels/float_rows.h"

namespace lathe {
namespace {

float rounded(float value) {
  uint16_t bits[4];
  round_to_bfloat16(&value, 1, bits);
  return std::bit_cast<float>(uint32_t{bits[0]} << 16);
}

std::vector<float> random_floats(SeededRandom& random, int64_t count) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<float>(static_cast<int>(random.next() % 2001) - 1000) / 777);
  return values;
}

}  // namespace

TEST_CASE("floats are rounded to bfloat16 half to even") {
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(rounded(1.0F) == 1.0F);
  CHECK(rounded(1.00390625F) == 1.0F);       // between 1 and 1 + 2^-7
  CHECK(rounded(1.01171875F) == 1.015625F);  // between 1 + 2^-7 and 1 + 2^-6
  CHECK(rounded(1.003907F) == 1.0078125F);
  CHECK(rounded(-1.003907F) == -1.0078125F);
  CHECK(rounded(3.4e38F) == infinity);
  CHECK(rounded(-infinity) == -infinity);
  CHECK(std::isnan(rounded(std::numeric_limits<float>::quiet_NaN())));
  CHECK(std::isnan(rounded(std::bit_cast<float>(0x7F800001U))));
}

TEST_CASE("products of bfloat16 are those of rounded factors, within float's rounding") {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SeededRandom random(911, seed);
    const int64_t count = random_between(random, 1, kRowsTogether);
    const int64_t depth = random_between(random, 1, random.next() % 4 == 0 ? 700 : 60);
    const int64_t columns = random_between(random, 1, 90);
    INFO("seed " << seed << " rows " << count << " depth " << depth << " columns " << columns);
    const std::vector<float> x = random_floats(random, count * depth);
    const std::vector<float> weights = random_floats(random, columns * depth);
    std::vector<float> bias = random_floats(random, padded_columns(columns));
    std::vector<FloatLine> lines(static_cast<size_t>(packed_lines(columns, depth, true)));
    pack_parts({weights.data(), columns, depth, depth}, true, lines.data());
    std::vector<const float*> rows;
    for (int64_t r = 0; r < count; ++r) rows.push_back(x.data() + r * depth);
    std::vector<float> sums(static_cast<size_t>(sums_of_rows(columns)));
    sum_rows({KernelIsa::kScalar, columns, depth, lines.data(), bias.data(), true}, rows.data(),
             count, sums.data());
    double worst = 0;
    for (int64_t r = 0; r < count; ++r)
      for (int64_t c = 0; c < columns; ++c) {
        double sum = bias[static_cast<size_t>(c)];
        double size = std::abs(sum);
        for (int64_t k = 0; k < depth; ++k) {
          const double product =
              static_cast<double>(rounded(x[static_cast<size_t>(r * depth + k)])) *
              rounded(weights[static_cast<size_t>(c * depth + k)]);
          sum += product;
          size += std::abs(product);
        }
        const float got = sums[static_cast<size_t>(r * padded_columns(columns) + c)];
        worst = std::max(worst, std::abs(got - sum) / size);
      }
    CHECK(worst < 2e-6);
  }
}

TEST_CASE("a row of bfloat16 does not depend on its neighbours") {
  SeededRandom random(912, 0);
  constexpr int64_t kRows = 13;
  constexpr int64_t kDepth = 36;
  const std::vector<float> x = random_floats(random, kRows * kDepth);
  const std::vector<float> weights = random_floats(random, 16 * kDepth);
  std::vector<BFloat16Line> lines(static_cast<size_t>(bfloat16_lines(16, kDepth)));
  pack_bfloat16({weights.data(), 16, kDepth, kDepth}, lines.data());
  std::vector<uint16_t> bytes(x.size());
  round_to_bfloat16(x.data(), kRows * kDepth, bytes.data());
  std::vector<const uint16_t*> rows;
  for (int64_t r = 0; r < kRows; ++r) rows.push_back(bytes.data() + r * kDepth);
  const std::vector<float> zeros(16);
  std::vector<float> together(static_cast<size_t>(kRows * 16));
  multiply_bfloat16({lines.data(), kDepth, 16},
                    {rows.data(), kRows, zeros.data(), 0, together.data(), 16});
  for (int64_t r = 0; r < kRows; ++r) {
    std::vector<float> alone(16);
    multiply_bfloat16({lines.data(), kDepth, 16},
                      {&rows[static_cast<size_t>(r)], 1, zeros.data(), 0, alone.data(), 16});
    CHECK(std::equal(alone.begin(), alone.end(), together.begin() + r * 16));
  }
}

}  // namespace lathe
