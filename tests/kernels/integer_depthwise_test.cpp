#include <doctest/doctest.h>

#include <cstring>

#include "kernels/integer_depthwise.h"
#include "kernels/integer_reference.h"

namespace lathe {
namespace {

constexpr int64_t kPixelGap = 5;  // elements behind each pixel that nobody may touch

struct DepthwiseProblem {
  int64_t channels = 0;
  int64_t height = 0;
  int64_t width = 0;
  int64_t output_height = 0;
  int64_t output_width = 0;
  int64_t input_gap = 0;
  DepthwiseWindow window;
  uint8_t zero_point = 0;
  std::vector<int8_t> weights;
  std::vector<uint8_t> input;
  std::vector<uint8_t> residual;  // output pixels x channels
  ColumnFactors factors;
  ProductEpilogue epilogue;
};

DepthwiseWindow square_window(int64_t kernel, int64_t stride, int64_t dilation = 1) {
  const int64_t pad = (kernel - 1) * dilation / 2;
  return {kernel, kernel, stride, stride, dilation, dilation, pad, pad};
}

int64_t extent(int64_t input, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
  return (input + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
}

DepthwiseProblem random_depthwise(int64_t channels, int64_t height, int64_t width,
                                  const DepthwiseWindow& window, const ProductEpilogue& epilogue,
                                  std::mt19937& random) {
  DepthwiseProblem problem;
  problem.channels = channels;
  problem.height = height;
  problem.width = width;
  problem.window = window;
  problem.epilogue = epilogue;
  problem.output_height = extent(height, window.kernel_height, window.stride_height,
                                 window.dilation_height, window.pad_top);
  problem.output_width = extent(width, window.kernel_width, window.stride_width,
                                window.dilation_width, window.pad_left);
  problem.input_gap = static_cast<int64_t>(random() % 3);
  problem.zero_point = static_cast<uint8_t>(random() % 256);
  const int64_t taps = window.kernel_height * window.kernel_width;
  problem.weights = random_weights(channels * taps, 127, random);
  // Nothing lies behind the last channel of the last pixel: a sanitizer sees a byte too many.
  problem.input =
      random_bytes(height * width * (channels + problem.input_gap) - problem.input_gap, random);
  problem.residual = random_bytes(problem.output_height * problem.output_width * channels, random);
  problem.factors = random_factors(channels, taps, epilogue, random);
  return problem;
}

/// Output pixels x (channels + kPixelGap) elements as bytes. `in_place`: the residual is the
/// output.
std::vector<uint8_t> depthwise_output(const DepthwiseProblem& problem, KernelIsa isa,
                                      bool in_place = false) {
  const int64_t pitch = problem.channels + kPixelGap;
  const int64_t pixels = problem.output_height * problem.output_width;
  const int64_t size = problem.epilogue.float_output ? 4 : 1;
  std::vector<uint8_t> output(static_cast<size_t>(pixels * pitch * size), kCanary);
  if (in_place)
    for (int64_t p = 0; p < pixels; ++p)
      std::memcpy(output.data() + p * pitch, problem.residual.data() + p * problem.channels,
                  static_cast<size_t>(problem.channels));
  const PackedDepthwise packed =
      pack_depthwise(isa, problem.weights.data(), problem.channels, problem.window,
                     problem.factors.scale.data(), problem.factors.bias.data(), problem.zero_point);
  DepthwiseRows rows;
  rows.depthwise = &packed;
  rows.epilogue = &problem.epilogue;
  rows.input = problem.input.data();
  rows.height = problem.height;
  rows.width = problem.width;
  rows.input_pitch = problem.channels + problem.input_gap;
  rows.output = output.data();
  rows.output_width = problem.output_width;
  rows.output_pitch = pitch;
  rows.residual = in_place ? output.data() : problem.residual.data();
  rows.residual_pitch = in_place ? pitch : problem.channels;
  // Parts, as threads would take them.
  const int64_t middle = problem.output_height / 3;
  rows.row_end = middle;
  std::vector<const uint8_t*> lines(depthwise_lines(rows));
  run_depthwise(rows, lines.data());
  rows.row_begin = middle;
  rows.row_end = problem.output_height;
  run_depthwise(rows, lines.data());
  return output;
}

double real_result(const DepthwiseProblem& problem, int64_t row, int64_t column, int64_t channel) {
  const DepthwiseWindow& window = problem.window;
  int64_t sum = 0;
  for (int64_t ky = 0; ky < window.kernel_height; ++ky) {
    for (int64_t kx = 0; kx < window.kernel_width; ++kx) {
      const int64_t y = row * window.stride_height - window.pad_top + ky * window.dilation_height;
      const int64_t x = column * window.stride_width - window.pad_left + kx * window.dilation_width;
      const bool inside = y >= 0 && y < problem.height && x >= 0 && x < problem.width;
      const auto place = static_cast<size_t>(
          (y * problem.width + x) * (problem.channels + problem.input_gap) + channel);
      const auto weight =
          static_cast<size_t>((channel * window.kernel_height + ky) * window.kernel_width + kx);
      sum += int64_t{inside ? problem.input[place] : problem.zero_point} * problem.weights[weight];
    }
  }
  const auto c = static_cast<size_t>(channel);
  return static_cast<double>(sum) * problem.factors.scale[c] + problem.factors.bias[c];
}

int wrong_elements(const DepthwiseProblem& problem, const std::vector<uint8_t>& output) {
  const int64_t pitch = problem.channels + kPixelGap;
  const size_t size = problem.epilogue.float_output ? 4 : 1;
  int wrong = 0;
  for (int64_t p = 0; p < problem.output_height * problem.output_width; ++p) {
    for (int64_t c = 0; c < pitch; ++c) {
      const uint8_t* element = output.data() + static_cast<size_t>(p * pitch + c) * size;
      if (c >= problem.channels) {
        for (size_t i = 0; i < size; ++i) wrong += element[i] != kCanary;
        continue;
      }
      const double y = real_result(problem, p / problem.output_width, p % problem.output_width, c);
      if (problem.epilogue.float_output) {
        float value = 0;
        std::memcpy(&value, element, 4);
        const double expected = expected_float(y, problem.epilogue);
        wrong += !(std::abs(value - expected) <= 2e-6 * (1 + std::abs(expected)));
      } else {
        const uint8_t residual = problem.residual[static_cast<size_t>(p * problem.channels + c)];
        wrong += !acceptable_bytes(y, residual, problem.epilogue).contains(*element);
      }
    }
  }
  return wrong;
}

/// Every variant is right, and all give the same bytes.
void check_depthwise(const DepthwiseProblem& problem) {
  const std::vector<uint8_t> scalar = depthwise_output(problem, KernelIsa::kScalar);
  CHECK(wrong_elements(problem, scalar) == 0);
  for (const KernelIsa isa : usable_kernel_isas()) {
    CAPTURE(static_cast<int>(isa));
    CHECK((depthwise_output(problem, isa) == scalar));
    if (problem.epilogue.has_residual) CHECK((depthwise_output(problem, isa, true) == scalar));
  }
}

TEST_CASE("depthwise convolutions with every count of channels") {
  const unsigned seed = 4711;
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  const auto table = shuffled_table(random);
  const DepthwiseWindow windows[] = {
      square_window(3, 1), square_window(3, 2), square_window(5, 1),   square_window(5, 2),
      square_window(7, 1), square_window(7, 2), square_window(3, 1, 2)};
  for (int64_t channels = 1; channels <= 150; ++channels) {
    const auto window = random() % std::size(windows);
    const auto height = 5 + static_cast<int64_t>(random() % 6);
    const auto width = 5 + static_cast<int64_t>(random() % 30);
    const auto number = static_cast<int>(random() % kEpilogues);
    CAPTURE(channels);
    CAPTURE(window);
    CAPTURE(height);
    CAPTURE(width);
    CAPTURE(number);
    check_depthwise(random_depthwise(channels, height, width, windows[window],
                                     numbered_epilogue(number, table.data()), random));
  }
}

TEST_CASE("depthwise convolutions with any window") {
  const unsigned seed = 12;
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 200; ++i) {
    DepthwiseWindow window;
    window.kernel_height = 1 + static_cast<int64_t>(random() % 9);
    window.kernel_width =
        random() % 2 == 0 ? window.kernel_height : 1 + static_cast<int64_t>(random() % 9);
    window.stride_height = 1 + static_cast<int64_t>(random() % 3);
    window.stride_width = 1 + static_cast<int64_t>(random() % 3);
    window.dilation_height = 1 + static_cast<int64_t>(random() % 2);
    window.dilation_width = 1 + static_cast<int64_t>(random() % 4 / 3);
    window.pad_top = static_cast<int64_t>(random() % 5);
    window.pad_left = static_cast<int64_t>(random() % 5);
    const auto channels = 1 + static_cast<int64_t>(random() % 120);
    const auto height = (window.kernel_height - 1) * window.dilation_height + 1 +
                        static_cast<int64_t>(random() % 4);
    const auto width =
        (window.kernel_width - 1) * window.dilation_width + 1 + static_cast<int64_t>(random() % 20);
    CAPTURE(i);
    CAPTURE(channels);
    CAPTURE(height);
    CAPTURE(width);
    check_depthwise(random_depthwise(channels, height, width, window, {}, random));
  }
}

TEST_CASE("depthwise convolutions with every epilogue") {
  const unsigned seed = 99;
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  const auto table = shuffled_table(random);
  for (int number = 0; number < kEpilogues; ++number) {
    for (const int64_t channels : {24, 48, 64}) {
      CAPTURE(number);
      CAPTURE(channels);
      check_depthwise(random_depthwise(channels, 6, 21, square_window(3, 1),
                                       numbered_epilogue(number, table.data()), random));
    }
  }
}

TEST_CASE("depthwise results beyond int32 saturate") {
  std::mt19937 random(5);
  DepthwiseProblem problem = random_depthwise(80, 6, 9, square_window(3, 1), {}, random);
  for (size_t i = 0; i < problem.weights.size(); ++i)
    problem.weights[i] = i / 9 % 2 == 0 ? int8_t{7} : int8_t{-7};
  for (uint8_t& byte : problem.input) byte = 100;
  problem.zero_point = 100;
  problem.factors.scale[78] = 1e10f;
  problem.factors.scale[79] = 1e10f;
  check_depthwise(problem);
  for (const KernelIsa isa : usable_kernel_isas()) {
    CAPTURE(static_cast<int>(isa));
    const std::vector<uint8_t> output = depthwise_output(problem, isa);
    CHECK(int{output[78]} == 255);
    CHECK(int{output[79]} == 0);
  }
}

}  // namespace
}  // namespace lathe
