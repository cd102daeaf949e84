#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "kernel_check.h"
#include "kernels/pool.h"

namespace lathe {
namespace {

PoolAxis random_axis(SeededRandom& random) {
  PoolAxis axis;
  axis.in = random_between(random, 1, 12);
  axis.kernel = random_between(random, 1, 5);
  axis.stride = random_between(random, 1, 3);
  axis.dilation = random_between(random, 1, 2);
  axis.pad_begin = random_between(random, 0, axis.kernel - 1);
  axis.pad_end = random_between(random, 0, axis.kernel - 1);
  const int64_t reach = (axis.kernel - 1) * axis.dilation + 1;
  const int64_t room = std::max<int64_t>(axis.in + axis.pad_begin + axis.pad_end - reach, 0);
  // Rounded up now and then, as with ceil_mode.
  axis.out = (room + (random.next() % 2 ? axis.stride - 1 : 0)) / axis.stride + 1;
  return axis;
}

Pool random_pool(SeededRandom& random, int64_t channels) {
  Pool pool;
  pool.rows = random_axis(random);
  pool.columns = random_axis(random);
  pool.images = random_between(random, 1, 2);
  pool.channels = channels;
  pool.from_pixel = channels + random_between(random, 0, 3);
  pool.from_row = pool.columns.in * pool.from_pixel + random_between(random, 0, 3);
  pool.from_image = pool.rows.in * pool.from_row;
  pool.to_pixel = channels + random_between(random, 0, 3);
  pool.to_row = pool.columns.out * pool.to_pixel + random_between(random, 0, 3);
  pool.to_image = pool.rows.out * pool.to_row;
  pool.count_padding = random.next() % 2 == 0;
  return pool;
}

template <class T>
struct Taps {
  std::vector<T> inside;
  int64_t counted = 0;  // with the padding
};

template <class T>
Taps<T> taps_of(const Pool& pool, const std::vector<T>& input, int64_t image, int64_t y, int64_t x,
                int64_t channel) {
  Taps<T> taps;
  for (int64_t ky = 0; ky < pool.rows.kernel; ++ky) {
    for (int64_t kx = 0; kx < pool.columns.kernel; ++kx) {
      const int64_t row = y * pool.rows.stride - pool.rows.pad_begin + ky * pool.rows.dilation;
      const int64_t column =
          x * pool.columns.stride - pool.columns.pad_begin + kx * pool.columns.dilation;
      if (row >= pool.rows.in + pool.rows.pad_end ||
          column >= pool.columns.in + pool.columns.pad_end)
        continue;
      ++taps.counted;
      if (row < 0 || row >= pool.rows.in || column < 0 || column >= pool.columns.in) continue;
      taps.inside.push_back(input[static_cast<size_t>(
          image * pool.from_image + row * pool.from_row + column * pool.from_pixel + channel)]);
    }
  }
  return taps;
}

// Calls `check(position in the output, taps)`.
template <class T>
void for_each_output(const Pool& pool, const std::vector<T>& input,
                     const std::function<void(size_t, const Taps<T>&)>& check) {
  for_each_index(
      {pool.images, pool.rows.out, pool.columns.out, pool.channels},
      [&](const std::vector<int64_t>& i) {
        check(static_cast<size_t>(offset_of(i, {pool.to_image, pool.to_row, pool.to_pixel, 1})),
              taps_of(pool, input, i[0], i[1], i[2], i[3]));
      });
}

template <class T>
std::vector<T> random_pixels(SeededRandom& random, int64_t count) {
  std::vector<T> input(static_cast<size_t>(count));
  for (T& x : input) {
    if constexpr (std::is_same_v<T, float>)
      x = static_cast<float>(random.normal());
    else
      x = static_cast<T>(random.next());
  }
  return input;
}

template <class T>
void check_max(SeededRandom& random, int64_t channels) {
  const Pool pool = random_pool(random, channels);
  const std::vector<T> input = random_pixels<T>(random, pool.images * pool.from_image);
  Guarded<T> output(pool.images * pool.to_image);
  std::vector<T> expected = output.values();
  for_each_output<T>(pool, input, [&](size_t at, const Taps<T>& taps) {
    T best = std::is_same_v<T, float> ? -std::numeric_limits<T>::infinity()
                                      : std::numeric_limits<T>::lowest();
    for (const T x : taps.inside) best = std::max(best, x);
    expected[at] = best;
  });
  check_every_division(random, pool_count(pool), output, [&](int64_t begin, int64_t end) {
    run_max_pool(pool, input.data(), output.data(), begin, end);
  });
  const std::vector<T> got = output.values();
  CHECK(std::memcmp(got.data(), expected.data(), got.size() * sizeof(T)) == 0);
}

int64_t divisor_of(const Pool& pool, int64_t inside, int64_t counted) {
  return std::max<int64_t>(pool.count_padding ? counted : inside, 1);
}

uint8_t quantized(const PoolQuantization& quantization, int64_t sum, int64_t taps,
                  int64_t divisor) {
  const float q = std::fma(static_cast<float>(sum - taps * quantization.zero_in),
                           quantization.scale_in / quantization.scale_out / static_cast<float>(divisor),
                           static_cast<float>(quantization.zero_out));
  return static_cast<uint8_t>(std::min(std::max(std::nearbyint(q), 0.0f), 255.0f));
}

// As ONNX Runtime's QLinearGlobalAveragePool: the zero point is added to what is rounded.
uint8_t quantized_whole(const PoolQuantization& quantization, int64_t sum, int64_t pixels) {
  const float factor =
      quantization.scale_in / (quantization.scale_out * static_cast<float>(pixels));
  const float q =
      std::nearbyint(static_cast<float>(sum - pixels * quantization.zero_in) * factor) +
      static_cast<float>(quantization.zero_out);
  return static_cast<uint8_t>(std::min(std::max(q, 0.0f), 255.0f));
}

void check_average(SeededRandom& random, int64_t channels) {
  const Pool pool = random_pool(random, channels);
  const std::vector<float> input = random_pixels<float>(random, pool.images * pool.from_image);
  Guarded<float> output(pool.images * pool.to_image);
  check_every_division(random, pool_count(pool), output, [&](int64_t begin, int64_t end) {
    run_average_pool(pool, input.data(), output.data(), begin, end);
  });
  std::vector<float> got = output.values();
  double worst = 0;
  for_each_output<float>(pool, input, [&](size_t at, const Taps<float>& taps) {
    double sum = 0;
    for (const float x : taps.inside) sum += static_cast<double>(x);
    const double expected =
        sum / static_cast<double>(
                  divisor_of(pool, static_cast<int64_t>(taps.inside.size()), taps.counted));
    worst = worse(worst, std::abs(static_cast<double>(got[at]) - expected));
    std::memset(&got[at], 0xa5, sizeof(float));
  });
  CHECK(worst < 1e-6);
  output.clear();  // what was not written is as before
  const std::vector<float> untouched = output.values();
  CHECK(std::memcmp(got.data(), untouched.data(), got.size() * sizeof(float)) == 0);
}

void check_quantized_average(SeededRandom& random, int64_t channels) {
  const Pool pool = random_pool(random, channels);
  const PoolQuantization quantization{0.3f + static_cast<float>(std::abs(random.normal())), 0.7f,
                                      static_cast<int32_t>(random_between(random, 0, 255)),
                                      static_cast<int32_t>(random_between(random, 0, 255))};
  const std::vector<uint8_t> input = random_pixels<uint8_t>(random, pool.images * pool.from_image);
  Guarded<uint8_t> output(pool.images * pool.to_image);
  std::vector<uint8_t> expected = output.values();
  for_each_output<uint8_t>(pool, input, [&](size_t at, const Taps<uint8_t>& taps) {
    int64_t sum = 0;
    for (const uint8_t x : taps.inside) sum += x;
    const int64_t inside = static_cast<int64_t>(taps.inside.size());
    expected[at] = quantized(quantization, sum, inside, divisor_of(pool, inside, taps.counted));
  });
  check_every_division(random, pool_count(pool), output, [&](int64_t begin, int64_t end) {
    run_average_pool(pool, quantization, input.data(), output.data(), begin, end);
  });
  CHECK(output.values() == expected);
}

constexpr int64_t kChannels[] = {1, 3, 15, 16, 17, 31, 32, 45, 63, 64, 65, 130};

}  // namespace

TEST_CASE("max and average pooling of random windows") {
  for (const int64_t channels : kChannels) {
    for (uint64_t seed = 0; seed < 12; ++seed) {
      INFO("channels " << channels << " seed " << seed);
      SeededRandom random(seed, 4);
      check_max<float>(random, channels);
      check_max<uint8_t>(random, channels);
      check_max<int8_t>(random, channels);
      check_average(random, channels);
      check_quantized_average(random, channels);
    }
  }
}

TEST_CASE("the average over all pixels") {
  for (const int64_t channels : kChannels) {
    for (const int64_t pixels : {1, 49, 64, 65, 1000}) {
      constexpr uint64_t kSeed = 42;
      INFO("channels " << channels << " pixels " << pixels << " seed " << kSeed);
      SeededRandom random(kSeed, static_cast<uint64_t>(channels * pixels));
      const int64_t pitch = channels + 1;
      const GlobalPool pool{2, pixels, channels, pitch, pitch * pixels, channels};
      const auto input = random_pixels<float>(random, 2 * pitch * pixels);
      const auto bytes = random_pixels<uint8_t>(random, 2 * pitch * pixels);
      // Of one scale: halves, which an odd zero point rounds the other way.
      const PoolQuantization quantization{1.7f, channels % 2 == 0 ? 1.1f : 1.7f, 100, 3};
      Guarded<float> output(2 * channels);
      Guarded<uint8_t> byte_output(2 * channels);
      check_every_division(random, global_pool_count(pool), output,
                           [&](int64_t begin, int64_t end) {
                             run_global_pool(pool, input.data(), output.data(), begin, end);
                           });
      check_every_division(
          random, global_pool_count(pool), byte_output, [&](int64_t begin, int64_t end) {
            run_global_pool(pool, quantization, bytes.data(), byte_output.data(), begin, end);
          });
      std::vector<uint8_t> expected;
      double worst = 0;
      for (int64_t i = 0; i < 2 * channels; ++i) {
        double sum = 0;
        int64_t byte_sum = 0;
        for (int64_t p = 0; p < pixels; ++p) {
          const size_t at = static_cast<size_t>((i / channels * pixels + p) * pitch + i % channels);
          sum += static_cast<double>(input[at]);
          byte_sum += bytes[at];
        }
        const double got = static_cast<double>(output.values()[static_cast<size_t>(i)]);
        worst = worse(worst, std::abs(got - sum / static_cast<double>(pixels)));
        expected.push_back(quantized_whole(quantization, byte_sum, pixels));
      }
      CHECK(worst < 1e-6);
      CHECK(byte_output.values() == expected);
    }
  }
}

}  // namespace lathe
