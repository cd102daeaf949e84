#include "quantize/apply/quantize_blocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "ir/quantization.h"
#include "quantize/plan/weight_params.h"

namespace lathe {
namespace {

constexpr int kCandidates = 24;

// Which scale an element has. Elements lie as [outer, along the axis, inner].
struct ScaleIndex {
  int64_t outer = 1;
  int64_t length = 1;  // of the axis
  int64_t inner = 1;
  int64_t block = 0;
  int64_t blocks = 1;  // along the axis
  Shape shape;         // of the scales

  ScaleIndex(const Shape& weight, const ScaleLayout& layout) {
    if (layout.axis < 0) {
      inner = element_count(weight);
      return;
    }
    const auto axis = static_cast<size_t>(layout.axis);
    for (size_t i = 0; i < axis; ++i) outer *= weight[i];
    length = weight.at(axis);
    for (size_t i = axis + 1; i < weight.size(); ++i) inner *= weight[i];
    block = layout.block_size;
    blocks = block == 0 ? length : (length + block - 1) / block;
    shape = {blocks};
    if (block == 0) return;
    shape = weight;
    shape[axis] = blocks;
  }

  size_t count() const { return static_cast<size_t>(block == 0 ? blocks : outer * blocks * inner); }

  // Calls visit(element, scale) in the order of the elements.
  template <class Visit>
  void for_each(const Visit& visit) const {
    size_t element = 0;
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t a = 0; a < length; ++a)
        for (int64_t i = 0; i < inner; ++i, ++element)
          visit(element, static_cast<size_t>(block == 0 ? (shape.empty() ? 0 : a)
                                                        : (o * blocks + a / block) * inner + i));
  }
};

float rounded(float steps) {
  constexpr float kMagic = 12582912.0F;  // 1.5 * 2^23: to nearest even, without a library call
  return (steps + kMagic) - kMagic;
}

double squared_error(std::span<const float> weights, float scale, float qmin, float qmax) {
  double sum = 0;
  for (const float w : weights) {
    const float q = std::clamp(rounded(w / scale), qmin, qmax);
    const double error = static_cast<double>(w) - static_cast<double>(q) * scale;
    sum += error * error;
  }
  return sum;
}

// The scale of least squared error, from 0.6 to 1.1 of the one that holds the largest magnitude.
float best_scale(std::span<const float> weights, float largest, float qmin, float qmax) {
  const float whole = largest / qmax;
  float best = whole;
  double least = squared_error(weights, whole, qmin, qmax);
  for (int i = 0; i < kCandidates; ++i) {
    const float scale = whole * (0.6F + 0.5F * static_cast<float>(i) / (kCandidates - 1));
    if (!(scale > 0)) continue;
    const double error = squared_error(weights, scale, qmin, qmax);
    if (error >= least) continue;
    least = error;
    best = scale;
  }
  return best;
}

// Elements by scale: those of scale s are order[begin[s]..begin[s + 1]).
struct Grouped {
  std::vector<float> weights;
  std::vector<size_t> begin;
};

Grouped grouped(std::span<const float> weights, const ScaleIndex& index) {
  Grouped result;
  result.begin.assign(index.count() + 1, 0);
  index.for_each([&](size_t, size_t scale) { ++result.begin[scale + 1]; });
  for (size_t s = 0; s < index.count(); ++s) result.begin[s + 1] += result.begin[s];
  std::vector<size_t> next(result.begin.begin(), result.begin.end() - 1);
  result.weights.resize(weights.size());
  index.for_each([&](size_t i, size_t scale) { result.weights[next[scale]++] = weights[i]; });
  return result;
}

// Moves elements of a range one step towards the side on which their errors' sum is, those that
// lose least first, each once at most, as long as the sum shrinks.
void balance_range(std::span<const float> weights, std::span<const float> steps, int32_t qmin,
                   int32_t qmax, std::span<int32_t> integers, std::span<char> moved) {
  struct Candidate {
    double share;  // of a step; what was rounded away from where it shall go
    size_t element;
  };
  std::array<std::vector<Candidate>, 2> lists;  // those that may go down, those that may go up
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double error =
        static_cast<double>(weights[i]) - static_cast<double>(integers[i]) * steps[i];
    sum += error;
    const int32_t next = integers[i] + (error > 0 ? 1 : -1);
    if (moved[i] == 0 && error != 0 && next >= qmin && next <= qmax)
      lists[error > 0 ? 1 : 0].push_back({std::fabs(error) / steps[i], i});
  }
  for (std::vector<Candidate>& list : lists)
    std::sort(list.begin(), list.end(), [](const Candidate& a, const Candidate& b) {
      return a.share != b.share ? a.share > b.share : a.element < b.element;
    });
  // The sum only shrinks, so a step that is too wide for it stays so: nothing is looked at twice.
  std::array<size_t, 2> at = {0, 0};
  for (;;) {
    const size_t up = sum > 0 ? 1 : 0;
    if (at[up] == lists[up].size()) return;
    const size_t i = lists[up][at[up]++].element;
    if (steps[i] >= 2 * std::fabs(sum)) continue;
    const int direction = up == 1 ? 1 : -1;
    integers[i] += direction;
    moved[i] = 1;
    sum -= direction * static_cast<double>(steps[i]);
  }
}

// `shape`: [outputs, inputs, taps…].
void balance(const Shape& shape, std::span<const float> weights, std::span<const float> steps,
             int32_t qmin, int32_t qmax, std::span<int32_t> integers) {
  if (shape.size() < 3 || weights.empty()) return;
  const auto outputs = static_cast<size_t>(shape[0]);
  const size_t output = weights.size() / outputs;
  const size_t kernel = output / static_cast<size_t>(shape[1]);
  std::vector<char> moved(weights.size(), 0);
  for (const size_t length : {kernel, output})
    for (size_t at = 0; at < weights.size(); at += length)
      balance_range(weights.subspan(at, length), steps.subspan(at, length), qmin, qmax,
                    integers.subspan(at, length), std::span(moved).subspan(at, length));
}

// Integers to nearest, balanced if asked for, and what they lose.
ScaledIntegers round_blocks(const Tensor& weight, DType dtype, const ScaleIndex& index,
                            std::span<const float> scales, WeightRounding rounding) {
  const std::span<const float> values = weight.values<float>();
  const int32_t qmin = stored_qmin(dtype);
  const int32_t qmax = weight_qmax(dtype, false);
  ScaledIntegers result;
  std::vector<int32_t> integers(values.size());
  index.for_each(
      [&](size_t i, size_t s) { integers[i] = quantize(values[i], scales[s], 0, qmin, qmax); });
  if (rounding == WeightRounding::kBalanced) {
    std::vector<float> steps(values.size());
    index.for_each([&](size_t i, size_t s) { steps[i] = scales[s]; });
    balance(weight.shape(), values, steps, qmin, qmax, integers);
  }
  index.for_each([&](size_t i, size_t s) {
    const double error = static_cast<double>(values[i]) -
                         static_cast<double>(integers[i]) * static_cast<double>(scales[s]);
    result.noise += error * error;
    result.signal += static_cast<double>(values[i]) * values[i];
  });
  result.integers = integer_tensor(dtype, weight.shape(), integers);
  result.scales = Tensor::of<float>(index.shape, {scales.begin(), scales.end()});
  return result;
}

}  // namespace

int32_t stored_qmin(DType dtype) {
  const int32_t qmax = weight_qmax(dtype, false);
  return dtype_bits(dtype) < 8 ? -qmax - 1 : -qmax;
}

ScaledIntegers quantize_blocks(const Tensor& weight, DType dtype, const ScaleLayout& layout,
                               WeightRounding rounding) {
  const ScaleIndex index(weight.shape(), layout);
  const std::span<const float> values = weight.values<float>();
  const Grouped groups = grouped(values, index);
  const int32_t qmax = weight_qmax(dtype, false);
  const bool narrow = dtype_bits(dtype) < 8;
  float overall = 0;
  for (const float value : values) overall = std::max(overall, std::fabs(value));
  std::vector<float> scales(index.count());
  for (size_t s = 0; s < scales.size(); ++s) {
    const std::span<const float> group(groups.weights.data() + groups.begin[s],
                                       groups.begin[s + 1] - groups.begin[s]);
    float largest = 0;
    for (const float value : group) largest = std::max(largest, std::fabs(value));
    // Of zeros any scale will do, a small one best: runtimes that round activations, too, correct
    // for their zero point in float and leave noise of the scale's size.
    const float zeros = overall > 0 ? overall * 1e-4F : 1e-4F;
    scales[s] = choose_symmetric(largest > 0 ? largest : zeros, qmax).scale;
    if (narrow && largest > 0)
      scales[s] = std::max(std::numeric_limits<float>::min(),
                           best_scale(group, largest, static_cast<float>(stored_qmin(dtype)),
                                      static_cast<float>(qmax)));
  }
  return round_blocks(weight, dtype, index, scales, rounding);
}

ScaledIntegers quantize_with_scales(const Tensor& weight, DType dtype, const ScaleLayout& layout,
                                    const Tensor& scales) {
  return round_blocks(weight, dtype, ScaleIndex(weight.shape(), layout), scales.values<float>(),
                      WeightRounding::kNearest);
}

Tensor spread_scales(const Shape& shape, const ScaleLayout& layout, const Tensor& scales) {
  const std::span<const float> given = scales.values<float>();
  std::vector<float> spread(static_cast<size_t>(element_count(shape)));
  ScaleIndex(shape, layout).for_each([&](size_t i, size_t s) { spread[i] = given[s]; });
  return Tensor::of<float>(shape, spread);
}

}  // namespace lathe
