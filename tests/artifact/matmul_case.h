// Float matrix products of a plan of one step, against sums in double precision.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "run_plan.h"
#include "small_plan.h"

namespace lathe::test {

struct Layout {
  Shape shape;
  std::vector<int64_t> strides;
};

struct MatmulCase {
  const char* name;
  Layout a, b;
  Shape output;
  bool bias = false;
  bool constant = false;  // b is
  FloatTail::Function function = FloatTail::Function::kNone;
  bool bfloat16 = false;  // it may be rounded
};

inline int64_t at(const Layout& array, const Shape& output, size_t index, int64_t row,
                  int64_t column) {
  const size_t rank = array.shape.size();
  int64_t offset = row * array.strides[rank - 2] + column * array.strides[rank - 1];
  int64_t rest = static_cast<int64_t>(index);
  for (size_t i = output.size() - 2; i-- > 0;) {
    const size_t missing = output.size() - rank;
    if (i >= missing && array.shape[i - missing] > 1)
      offset += rest % output[i] * array.strides[i - missing];
    rest /= output[i];
  }
  return offset;
}

inline int64_t span_of(const Layout& array) {
  int64_t span = 1;
  for (size_t i = 0; i < array.shape.size(); ++i) span += (array.shape[i] - 1) * array.strides[i];
  return span;
}

/// The largest error against sums in double precision, over the largest value.
inline double error_of(const MatmulCase& one, const std::vector<float>& a,
                       const std::vector<float>& b, const std::vector<float>& bias,
                       const std::vector<float>& got) {
  const size_t rank = one.output.size();
  const int64_t rows = one.output[rank - 2];
  const int64_t columns = one.output[rank - 1];
  double worst = 0;
  double largest = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const auto position = static_cast<int64_t>(i);
    const auto index = static_cast<size_t>(position / (rows * columns));
    const int64_t row = position / columns % rows;
    const int64_t column = position % columns;
    double sum = one.bias ? bias[static_cast<size_t>(column)] : 0;
    for (int64_t k = 0; k < one.a.shape.back(); ++k)
      sum += static_cast<double>(a[static_cast<size_t>(at(one.a, one.output, index, row, k))]) *
             b[static_cast<size_t>(at(one.b, one.output, index, k, column))];
    if (one.function == FloatTail::Function::kRelu) sum = std::max(sum, 0.0);
    worst = std::max(worst, std::abs(sum - static_cast<double>(got[i])));
    largest = std::max(largest, std::abs(sum));
  }
  return worst / largest;
}

/// `implementation` may be any ("").
inline void check_matmul(const MatmulCase& one, std::string_view implementation) {
  CAPTURE(std::string(one.name));
  SmallPlan s;
  const auto seen = [&](ViewId id, const Layout& layout) {
    PlanView view = s.view(id);
    view.shape = layout.shape;
    view.strides = layout.strides;
    return s.add_view(std::move(view));
  };
  const ViewId a = s.input(DType::kFloat32, {span_of(one.a)});
  ViewId b;
  std::vector<float> b_values(static_cast<size_t>(span_of(one.b)));
  for (size_t i = 0; i < b_values.size(); ++i)
    b_values[i] = static_cast<float>(static_cast<int>(i * 7919 % 199) - 99) / 99;
  if (one.constant)
    b = s.constant(Tensor::vector(b_values));
  else
    b = s.input(DType::kFloat32, {span_of(one.b)});
  const ViewId output = s.output(DType::kFloat32, one.output);
  std::vector<float> bias_values(static_cast<size_t>(one.output.back()));
  for (size_t i = 0; i < bias_values.size(); ++i) bias_values[i] = static_cast<float>(i % 13) - 6;
  FloatMatMulStep step{seen(a, one.a), seen(b, one.b), output, {}, 1, {}};
  if (one.bias) step.bias = s.constant(Tensor::vector(bias_values));
  step.tail.function = one.function;
  step.bfloat16 = one.bfloat16;
  s.step(step);
  s.plan.steps.back().choice.implementation = implementation;
  place_blocks(s.plan);
  const Outputs inputs = seeded_inputs(s.plan, 3);
  if (!one.constant) b_values = floats_of(inputs[1]);

  const Outputs alone = check_threads(s.plan, inputs, 0, implementation);
  CHECK(error_of(one, floats_of(inputs[0]), b_values, bias_values, floats_of(alone[0])) <
        (one.bfloat16 ? 1e-2 : 1e-5));
}

inline void check_products(std::string_view implementation) {
  const int64_t heads = 2;
  const int64_t time = 64;
  const int64_t width = 3 * heads * 64;
  // Parts of one array, as attention has them.
  check_matmul({"queries by keys",
                {{1, heads, time, 64}, {time * width, 64, width, 1}},
                {{1, heads, 64, time}, {time * width, 64, 1, width}},
                {1, heads, time, time}},
               implementation);
  check_matmul({"weights",
                {{65, 300}, {300, 1}},
                {{300, 777}, {777, 1}},
                {65, 777},
                true,
                true,
                FloatTail::Function::kRelu},
               implementation);
  check_matmul(
      {"turned weights", {{700, 130}, {130, 1}}, {{130, 96}, {1, 130}}, {700, 96}, true, true},
      implementation);
  check_matmul(
      {"one row", {{1, 4096}, {4096, 1}}, {{4096, 1030}, {1030, 1}}, {1, 1030}, true, true},
      implementation);
  check_matmul({"a row of a turned array",
                {{385, 256}, {1, 385}},
                {{256, 64}, {64, 1}},
                {385, 64},
                false,
                true},
               implementation);
  check_matmul({"one column left", {{96, 512}, {512, 1}}, {{512, 385}, {385, 1}}, {96, 385}},
               implementation);
  check_matmul({"one matrix for all",
                {{3, 80, 128}, {80 * 128, 128, 1}},
                {{128, 200}, {200, 1}},
                {3, 80, 200},
                true},
               implementation);
}

}  // namespace lathe::test
