// Float convolutions of a plan of a few steps, against sums in double precision.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "run_plan.h"
#include "small_plan.h"

namespace lathe::test {

struct ConvolutionCase {
  const char* name;
  Shape image;                                    // n, channels, height, width
  Shape weights;                                  // ONNX's
  std::vector<int64_t> strides, dilations, pads;  // pads: top, left, bottom, right
  int64_t groups = 1;
  bool transposed = false;
  bool adds = false;      // to an array that is there
  bool bfloat16 = false;  // it may be rounded
};

inline Shape output_of(const ConvolutionCase& one) {
  Shape shape{one.image[0], one.transposed ? one.weights[1] * one.groups : one.weights[0]};
  for (size_t i = 0; i < 2; ++i) {
    const int64_t reach = (one.weights[i + 2] - 1) * one.dilations[i] + 1;
    const int64_t pads = one.pads[i] + one.pads[i + 2];
    shape.push_back(one.transposed ? (one.image[i + 2] - 1) * one.strides[i] + reach - pads
                                   : (one.image[i + 2] + pads - reach) / one.strides[i] + 1);
  }
  return shape;
}

/// In double precision, channels last, of an image and weights in ONNX's order.
inline std::vector<double> reference(const ConvolutionCase& one, const std::vector<float>& image,
                                     const std::vector<float>& weights,
                                     const std::vector<float>& bias) {
  const Shape to = output_of(one);
  const int64_t channels = one.image[1] / one.groups;
  const int64_t outputs = to[1] / one.groups;
  std::vector<double> sums(static_cast<size_t>(element_count(to)));
  for (size_t i = 0; i < sums.size(); ++i)
    sums[i] = bias[i / static_cast<size_t>(to[2] * to[3]) % static_cast<size_t>(to[1])];
  const auto at = [](const Shape& shape, int64_t a, int64_t b, int64_t c, int64_t d) {
    return static_cast<size_t>(((a * shape[1] + b) * shape[2] + c) * shape[3] + d);
  };
  // All pairs of a position of the (conceptual) larger side and one of the smaller.
  const Shape& small = one.transposed ? one.image : to;
  const Shape& large = one.transposed ? to : one.image;
  for (int64_t n = 0; n < to[0]; ++n)
    for (int64_t g = 0; g < one.groups; ++g)
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t o = 0; o < outputs; ++o)
          for (int64_t y = 0; y < small[2]; ++y)
            for (int64_t x = 0; x < small[3]; ++x)
              for (int64_t ky = 0; ky < one.weights[2]; ++ky)
                for (int64_t kx = 0; kx < one.weights[3]; ++kx) {
                  const int64_t row = y * one.strides[0] + ky * one.dilations[0] - one.pads[0];
                  const int64_t column = x * one.strides[1] + kx * one.dilations[1] - one.pads[1];
                  if (row < 0 || row >= large[2] || column < 0 || column >= large[3]) continue;
                  const int64_t in = g * channels + c;
                  const int64_t out = g * outputs + o;
                  if (one.transposed)
                    sums[at(to, n, out, row, column)] +=
                        static_cast<double>(image[at(one.image, n, in, y, x)]) *
                        weights[at(one.weights, in, o, ky, kx)];
                  else
                    sums[at(to, n, out, y, x)] +=
                        static_cast<double>(image[at(one.image, n, in, row, column)]) *
                        weights[at(one.weights, out, c, ky, kx)];
                }
  return sums;
}

inline std::vector<float> some_values(size_t count, size_t step, int range) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] =
        static_cast<float>(static_cast<int>(i * step % 199) - 99) * static_cast<float>(range) / 99;
  return values;
}

/// `implementation` is asked for (any: ""), `computed_by` takes it, if not the same.
inline void check_convolution(const ConvolutionCase& one, std::string_view implementation,
                              std::optional<std::string_view> computed_by = {}) {
  CAPTURE(std::string(one.name));
  const Shape to = output_of(one);
  SmallPlan s;
  const std::vector<float> weights =
      some_values(static_cast<size_t>(element_count(one.weights)), 7919, 1);
  const std::vector<float> bias = some_values(static_cast<size_t>(to[1]), 31, 3);
  const ViewId x = s.input(DType::kFloat32, one.image);
  const ViewId image = s.floats(one.image, true);
  s.step(CopyStep{x, image});
  const ViewId made = s.floats(to, true);
  if (one.adds) s.step(CopyStep{s.input(DType::kFloat32, to), made});
  FloatConvStep step{image,
                     made,
                     s.constant(Tensor::of(one.weights, weights)),
                     s.constant(Tensor::vector(bias)),
                     one.strides,
                     one.dilations,
                     {one.pads[0], one.pads[1]},
                     {one.pads[2], one.pads[3]},
                     one.groups,
                     one.transposed,
                     {}};
  if (one.adds) step.tail.sum = made;
  step.bfloat16 = one.bfloat16;
  s.step(step);
  s.plan.steps.back().choice.implementation = implementation;
  s.step(CopyStep{made, s.output(DType::kFloat32, to)});
  place_blocks(s.plan);
  const Outputs inputs = seeded_inputs(s.plan, 3);
  const Outputs alone =
      check_threads(s.plan, inputs, one.adds ? 2 : 1, computed_by.value_or(implementation));
  const std::vector<float> got = floats_of(alone[0]);
  std::vector<double> wanted = reference(one, floats_of(inputs[0]), weights, bias);
  if (one.adds) {
    const std::vector<float> there = floats_of(inputs[1]);
    for (size_t i = 0; i < wanted.size(); ++i) wanted[i] += static_cast<double>(there[i]);
  }
  double worst = 0;
  double largest = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    worst = std::max(worst, std::abs(wanted[i] - static_cast<double>(got[i])));
    largest = std::max(largest, std::abs(wanted[i]));
  }
  CHECK(worst < (one.bfloat16 ? 1e-2 : 1e-5) * largest);
}

}  // namespace lathe::test
