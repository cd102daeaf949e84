// What integer kernels must give, in double and with the standard library's functions.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "kernels/integer_product.h"

namespace lathe {

/// What stands where nobody may write.
constexpr uint8_t kCanary = 0xA5;

inline double reference_activation(double x, ProductActivation activation) {
  switch (activation) {
    case ProductActivation::kNone: return x;
    case ProductActivation::kSilu: return x / (1 + std::exp(-x));
    case ProductActivation::kHardSwish: return x * std::clamp(x / 6 + 0.5, 0.0, 1.0);
    case ProductActivation::kSigmoid: return 1 / (1 + std::exp(-x));
    case ProductActivation::kGelu: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case ProductActivation::kTanh: return std::tanh(x);
  }
  return x;
}

/// Both roundings where y is so near to the middle of two integers that float32 may take either.
inline std::set<int> roundings(double y, double tolerance, int low, int high) {
  std::set<int> all;
  for (const double near : {y - tolerance, y, y + tolerance})
    all.insert(static_cast<int>(
        std::nearbyint(std::clamp(near, static_cast<double>(low), static_cast<double>(high)))));
  return all;
}

/// The bytes that an epilogue may make of sum * scale + bias = y.
inline std::set<int> acceptable_bytes(double y, uint8_t residual, const ProductEpilogue& epilogue) {
  double tolerance = 1e-6 * std::abs(y) + 1e-9;
  if (epilogue.activation != ProductActivation::kNone) {
    tolerance = 1e-6 * (std::abs(y) + 1) * std::abs(double{epilogue.inverse_scale}) + 1e-5;
    y = reference_activation(y, epilogue.activation) * epilogue.inverse_scale + epilogue.zero_point;
  }
  std::set<int> bytes = roundings(y, tolerance, epilogue.low, epilogue.high);
  if (epilogue.has_residual) {
    std::set<int> sums;
    for (const int own : bytes)
      sums.merge(roundings(double{epilogue.own_factor} * own +
                               double{epilogue.residual_factor} * residual + epilogue.offset,
                           1e-4, epilogue.sum_low, epilogue.sum_high));
    bytes = sums;
  }
  if (epilogue.table == nullptr) return bytes;
  std::set<int> entries;
  for (const int byte : bytes) entries.insert(epilogue.table[byte]);
  return entries;
}

inline double expected_float(double y, const ProductEpilogue& epilogue) {
  return std::clamp(reference_activation(y, epilogue.activation), double{epilogue.float_low},
                    double{epilogue.float_high});
}

/// A table without order, so that a wrong index shows.
inline std::array<uint8_t, 256> shuffled_table(std::mt19937& random) {
  std::array<uint8_t, 256> table;
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<uint8_t>(i);
  std::shuffle(table.begin(), table.end(), random);
  return table;
}

/// Every kind of epilogue by number: activation, residual, table, bounds and float output.
inline ProductEpilogue numbered_epilogue(int number, const uint8_t* table) {
  ProductEpilogue epilogue;
  epilogue.activation = static_cast<ProductActivation>(number % 6);
  number /= 6;
  if (epilogue.activation != ProductActivation::kNone) {
    epilogue.inverse_scale = 37.5f;
    epilogue.zero_point = 21.0f;
  }
  if (number % 2 == 1) {
    epilogue.low = 9;
    epilogue.high = 201;
    epilogue.float_low = -0.25f;
    epilogue.float_high = 1.5f;
  }
  number /= 2;
  if (number == 0) return epilogue;
  if (number == 4) {
    epilogue.float_output = true;
    return epilogue;
  }
  if (number != 2) {
    epilogue.has_residual = true;
    epilogue.own_factor = 0.71f;
    epilogue.residual_factor = 0.43f;
    epilogue.offset = -11.3f;
    epilogue.sum_low = 3;
    epilogue.sum_high = 240;
  }
  if (number != 1) epilogue.table = table;
  return epilogue;
}
constexpr int kEpilogues = 6 * 2 * 5;

/// Factors with which sums of `terms` products spread over the range of the output.
struct ColumnFactors {
  std::vector<float> scale;
  std::vector<float> bias;
};

inline ColumnFactors random_factors(int64_t columns, int64_t terms, const ProductEpilogue& epilogue,
                                    std::mt19937& random) {
  const bool real = epilogue.float_output || epilogue.activation != ProductActivation::kNone;
  const double spread = 255.0 * 74 / 2 * std::sqrt(static_cast<double>(terms));
  std::uniform_real_distribution<double> factor(0.5, 1.5);
  ColumnFactors factors;
  for (int64_t c = 0; c < columns; ++c) {
    factors.scale.push_back(static_cast<float>(factor(random) * (real ? 2.0 : 90.0) / spread));
    factors.bias.push_back(static_cast<float>(factor(random) * (real ? 0.5 : 120.0)));
  }
  return factors;
}

inline std::vector<int8_t> random_weights(int64_t count, int most, std::mt19937& random) {
  std::uniform_int_distribution<int> weight(-most - 1, most);
  std::vector<int8_t> weights;
  for (int64_t i = 0; i < count; ++i) weights.push_back(static_cast<int8_t>(weight(random)));
  return weights;
}

inline std::vector<uint8_t> random_bytes(int64_t count, std::mt19937& random) {
  std::uniform_int_distribution<int> byte(0, 255);
  std::vector<uint8_t> bytes;
  for (int64_t i = 0; i < count; ++i) bytes.push_back(static_cast<uint8_t>(byte(random)));
  return bytes;
}

}  // namespace lathe
