#include <doctest/doctest.h>

#include <cmath>

#include "kernel_check.h"
#include "kernels/layer_norm.h"

namespace lathe {
namespace {

std::vector<float> random_floats(SeededRandom& random, int64_t count) {
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& x : numbers) x = static_cast<float>(3 + random.normal());
  return numbers;
}

// `norm` lacks only the addresses of the arrays.
void check_norm(SeededRandom& random, LayerNorm norm, int64_t from_count, int64_t to_count) {
  const std::vector<float> input = random_floats(random, from_count);
  Guarded<float> output(to_count);
  norm.from = input.data();
  norm.to = output.data();
  check_every_division(random, layer_norm_count(norm), output,
                       [&](int64_t begin, int64_t end) { run_layer_norm(norm, begin, end); });
  std::vector<float> got = output.values();
  double worst = 0;
  for (int64_t r = 0; r < norm.rows; ++r) {
    const int64_t outer = r / norm.inner_rows;
    const int64_t inner = r % norm.inner_rows;
    const auto x = [&](int64_t i) {
      return static_cast<double>(input[static_cast<size_t>(
          outer * norm.from_outer_pitch + inner * norm.from_inner_pitch + i * norm.from_step)]);
    };
    const double length = static_cast<double>(norm.length);
    double mean = 0;
    for (int64_t i = 0; i < norm.length; ++i) mean += x(i) / length;
    if (norm.keep_mean) mean = 0;
    double variance = 0;
    for (int64_t i = 0; i < norm.length; ++i) variance += (x(i) - mean) * (x(i) - mean) / length;
    for (int64_t i = 0; i < norm.length; ++i) {
      const int64_t factor = inner * norm.scale_row + i * norm.scale_step;
      double y = (x(i) - mean) / std::sqrt(variance + static_cast<double>(norm.epsilon));
      if (norm.scale != nullptr) y *= static_cast<double>(norm.scale[factor]);
      if (norm.bias != nullptr) y += static_cast<double>(norm.bias[factor]);
      float& result = got[static_cast<size_t>(outer * norm.to_outer_pitch +
                                              inner * norm.to_inner_pitch + i * norm.to_step)];
      worst = worse(worst, std::abs(static_cast<double>(result) - y) / (1 + std::abs(y)));
      std::memset(&result, 0xa5, sizeof(float));
    }
  }
  CHECK(worst < 1e-5);
  output.clear();  // what was not written is as before
  const std::vector<float> untouched = output.values();
  CHECK(std::memcmp(got.data(), untouched.data(), got.size() * sizeof(float)) == 0);
}

}  // namespace

TEST_CASE("layer norm of contiguous rows, with and without scale, bias and mean") {
  for (const int64_t length : {1, 5, 16, 31, 768, 4097, 9000}) {
    for (int choice = 0; choice < 8; ++choice) {
      INFO("length " << length << " choice " << choice);
      SeededRandom random(71, static_cast<uint64_t>(length));
      const std::vector<float> scale = random_floats(random, length);
      const std::vector<float> bias = random_floats(random, length);
      LayerNorm norm;
      norm.rows = 7;
      norm.length = length;
      norm.from_outer_pitch = length + 1;
      norm.to_outer_pitch = length + 2;
      if (choice & 1) norm.scale = scale.data();
      if (choice & 2) norm.bias = bias.data();
      norm.keep_mean = (choice & 4) != 0;
      check_norm(random, norm, 7 * (length + 1), 7 * (length + 2));
    }
  }
}

TEST_CASE("instance norm in both layouts and from one to the other") {
  for (const int64_t channels : {1, 3, 16, 17, 40}) {
    for (const int64_t pixels : {1, 10, 300, 1000}) {
      for (int choice = 0; choice < 4; ++choice) {
        INFO("channels " << channels << " pixels " << pixels << " choice " << choice);
        SeededRandom random(72, static_cast<uint64_t>(channels * pixels));
        const std::vector<float> scale = random_floats(random, channels);
        const std::vector<float> bias = random_floats(random, channels);
        LayerNorm norm;
        norm.rows = 2 * channels;
        norm.length = pixels;
        norm.inner_rows = channels;
        norm.from_outer_pitch = norm.to_outer_pitch = channels * pixels;
        norm.from_inner_pitch = choice & 1 ? 1 : pixels;
        norm.from_step = choice & 1 ? channels : 1;
        norm.to_inner_pitch = choice & 2 ? 1 : pixels;
        norm.to_step = choice & 2 ? channels : 1;
        norm.scale = scale.data();
        norm.bias = bias.data();
        norm.scale_row = 1;
        norm.scale_step = 0;
        check_norm(random, norm, 2 * channels * pixels, 2 * channels * pixels);
      }
    }
  }
}

}  // namespace lathe
