#include "kernels/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "ir/x86_clones.h"
#include "kernels/lane_sums.h"

namespace lathe {
namespace {

constexpr int64_t kSideBySide = 16;  // strided rows of a unit
constexpr int64_t kPart = 256;       // elements whose float sum goes into a double

struct RowStatistics {
  float mean = 0;
  float factor = 1;  // 1 / standard deviation
};

RowStatistics statistics_of(double mean, double squares, const LayerNorm& norm) {
  const double variance = squares / static_cast<double>(norm.length);
  return {static_cast<float>(mean),
          static_cast<float>(1 / std::sqrt(variance + static_cast<double>(norm.epsilon)))};
}

int64_t from_offset(const LayerNorm& norm, int64_t row) {
  return row / norm.inner_rows * norm.from_outer_pitch +
         row % norm.inner_rows * norm.from_inner_pitch;
}

int64_t to_offset(const LayerNorm& norm, int64_t row) {
  return row / norm.inner_rows * norm.to_outer_pitch + row % norm.inner_rows * norm.to_inner_pitch;
}

struct RowFactors {
  const float* scale;  // null: 1
  const float* bias;   // null: 0
};

RowFactors factors_of(const LayerNorm& norm, int64_t row) {
  const int64_t first = row % norm.inner_rows * norm.scale_row;
  return {norm.scale == nullptr ? nullptr : norm.scale + first,
          norm.bias == nullptr ? nullptr : norm.bias + first};
}

// Null factors are 1 and 0; with `constant` the row has one of each.
LATHE_X86_CLONES void write_row(const float* from, float* to, int64_t length, RowStatistics row,
                                RowFactors factors, bool constant) {
  const auto normal = [&](int64_t i) { return (from[i] - row.mean) * row.factor; };
  if (constant) {
    const float scale = factors.scale == nullptr ? 1 : *factors.scale;
    const float bias = factors.bias == nullptr ? 0 : *factors.bias;
#pragma GCC ivdep
    for (int64_t i = 0; i < length; ++i) to[i] = normal(i) * scale + bias;
  } else if (factors.bias != nullptr) {
#pragma GCC ivdep
    for (int64_t i = 0; i < length; ++i) to[i] = normal(i) * factors.scale[i] + factors.bias[i];
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < length; ++i) to[i] = normal(i) * factors.scale[i];
  }
}

void write_strided(const LayerNorm& norm, int64_t row, RowStatistics statistics) {
  const float* from = norm.from + from_offset(norm, row);
  float* to = norm.to + to_offset(norm, row);
  const RowFactors factors = factors_of(norm, row);
  for (int64_t i = 0; i < norm.length; ++i) {
    const float y = (from[i * norm.from_step] - statistics.mean) * statistics.factor;
    const float scale = factors.scale == nullptr ? 1 : factors.scale[i * norm.scale_step];
    const float bias = factors.bias == nullptr ? 0 : factors.bias[i * norm.scale_step];
    to[i * norm.to_step] = y * scale + bias;
  }
}

void run_contiguous(const LayerNorm& norm, int64_t row) {
  const float* from = norm.from + from_offset(norm, row);
  const double mean =
      norm.keep_mean ? 0 : lane_sum(from, norm.length) / static_cast<double>(norm.length);
  const RowStatistics statistics =
      statistics_of(mean, lane_sum_squares(from, norm.length, static_cast<float>(mean)), norm);
  const RowFactors factors = factors_of(norm, row);
  const bool constant =
      norm.scale_step == 0 || (factors.scale == nullptr && factors.bias == nullptr);
  if (norm.to_step == 1 && (constant || (norm.scale_step == 1 && factors.scale != nullptr)))
    write_row(from, norm.to + to_offset(norm, row), norm.length, statistics, factors, constant);
  else
    write_strided(norm, row, statistics);
}

bool are_neighbours(const int64_t* offsets, int64_t rows) {
  for (int64_t k = 0; k < rows; ++k)
    if (offsets[k] != offsets[0] + k) return false;
  return rows == kSideBySide;
}

// Sums (or, with centers, sums of squared differences) of rows whose elements lie side by side or
// anywhere.
template <class Term>
void sum_rows(const LayerNorm& norm, const int64_t* base, int64_t rows, double* sums, Term&& term) {
  std::fill_n(sums, rows, 0.0);
  const bool adjacent = are_neighbours(base, rows);
  for (int64_t first = 0; first < norm.length; first += kPart) {
    const int64_t last = std::min(first + kPart, norm.length);
    float part[kSideBySide] = {};
    if (adjacent) {
      for (int64_t i = first; i < last; ++i)
        for (int64_t k = 0; k < kSideBySide; ++k)
          part[k] += term(k, norm.from[base[0] + i * norm.from_step + k]);
    } else {
      for (int64_t i = first; i < last; ++i)
        for (int64_t k = 0; k < rows; ++k)
          part[k] += term(k, norm.from[base[k] + i * norm.from_step]);
    }
    for (int64_t k = 0; k < rows; ++k) sums[k] += static_cast<double>(part[k]);
  }
}

// Rows side by side on both sides, each with one factor.
void write_side_by_side(const LayerNorm& norm, int64_t first, const RowStatistics* statistics) {
  const float* from = norm.from + from_offset(norm, first);
  float* to = norm.to + to_offset(norm, first);
  float mean[kSideBySide];
  float factor[kSideBySide];
  float scale[kSideBySide];
  float bias[kSideBySide];
  for (int64_t k = 0; k < kSideBySide; ++k) {
    const RowFactors factors = factors_of(norm, first + k);
    mean[k] = statistics[k].mean;
    factor[k] = statistics[k].factor;
    scale[k] = factors.scale == nullptr ? 1 : *factors.scale;
    bias[k] = factors.bias == nullptr ? 0 : *factors.bias;
  }
  for (int64_t i = 0; i < norm.length; ++i)
#pragma GCC ivdep
    for (int64_t k = 0; k < kSideBySide; ++k)
      to[i * norm.to_step + k] =
          (from[i * norm.from_step + k] - mean[k]) * factor[k] * scale[k] + bias[k];
}

void run_side_by_side(const LayerNorm& norm, int64_t first, int64_t rows) {
  int64_t base[kSideBySide] = {};
  double sums[kSideBySide] = {};
  double means[kSideBySide] = {};
  float centers[kSideBySide] = {};
  for (int64_t k = 0; k < rows; ++k) base[k] = from_offset(norm, first + k);
  if (!norm.keep_mean) {
    sum_rows(norm, base, rows, sums, [](int64_t, float x) { return x; });
    for (int64_t k = 0; k < rows; ++k) {
      means[k] = sums[k] / static_cast<double>(norm.length);
      centers[k] = static_cast<float>(means[k]);
    }
  }
  sum_rows(norm, base, rows, sums, [&](int64_t k, float x) {
    const float difference = x - centers[k];
    return difference * difference;
  });
  RowStatistics statistics[kSideBySide];
  int64_t target[kSideBySide] = {};
  for (int64_t k = 0; k < rows; ++k) {
    statistics[k] = statistics_of(means[k], sums[k], norm);
    target[k] = to_offset(norm, first + k);
  }
  if (norm.scale_step == 0 && are_neighbours(base, rows) && are_neighbours(target, rows))
    return write_side_by_side(norm, first, statistics);
  for (int64_t k = 0; k < rows; ++k) write_strided(norm, first + k, statistics[k]);
}

int64_t rows_of_unit(const LayerNorm& norm) { return norm.from_step == 1 ? 1 : kSideBySide; }

}  // namespace

int64_t layer_norm_count(const LayerNorm& norm) {
  if (norm.length == 0) return 0;
  return (norm.rows + rows_of_unit(norm) - 1) / rows_of_unit(norm);
}

void run_layer_norm(const LayerNorm& norm, int64_t begin, int64_t end) {
  const int64_t step = rows_of_unit(norm);
  for (int64_t unit = begin; unit < end; ++unit) {
    if (step == 1)
      run_contiguous(norm, unit);
    else
      run_side_by_side(norm, unit * step, std::min(step, norm.rows - unit * step));
  }
}

}  // namespace lathe
