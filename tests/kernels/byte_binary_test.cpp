#include <doctest/doctest.h>

#include <cmath>

#include "kernel_check.h"
#include "kernels/byte_binary.h"
#include "kernels/byte_binary_variants.h"

namespace lathe {
namespace {

ByteBinary random_binary(SeededRandom& random) {
  ByteBinary binary;
  binary.multiply = random.next() % 2 == 0;
  // Multiples of a power of two, so that results often lie in the middle between two numbers.
  const auto factor = [&] { return static_cast<float>(random_between(random, -40, 40)) / 32; };
  binary.factor_a = binary.multiply ? factor() / 64 : factor();
  binary.factor_b = factor();
  binary.term = factor() * 100;
  binary.zero_a = static_cast<int32_t>(random.next() % 256);
  binary.zero_b = static_cast<int32_t>(random.next() % 256);
  if (random.next() % 2) binary.low = 30;
  if (random.next() % 2) binary.high = 200;
  if (random.next() % 8 == 0) binary.factor_a = 1e30f;
  if (random.next() % 8 == 0) binary.zero_a = 70000;
  return binary;
}

uint8_t exact(const ByteBinary& binary, uint8_t a, uint8_t b) {
  const float y = binary.multiply
                      ? std::fma(static_cast<float>((a - binary.zero_a) * (b - binary.zero_b)),
                                 binary.factor_a, binary.term)
                      : std::fma(static_cast<float>(a), binary.factor_a,
                                 std::fma(static_cast<float>(b), binary.factor_b, binary.term));
  const float low = binary.low;
  const float high = binary.high;
  return static_cast<uint8_t>(std::min(std::max(std::nearbyint(y), low), high));
}

}  // namespace

TEST_CASE("sums and products of bytes equal the formula in every variant") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    INFO("seed " << seed);
    SeededRandom random(seed, 9);
    const ByteBinary binary = random_binary(random);
    const int64_t count = random_between(random, 0, 300);
    std::vector<uint8_t> a(static_cast<size_t>(count));
    std::vector<uint8_t> b(static_cast<size_t>(count));
    for (uint8_t& x : a) x = static_cast<uint8_t>(random.next());
    for (uint8_t& x : b) x = static_cast<uint8_t>(random.next());
    std::vector<uint8_t> expected;
    for (size_t i = 0; i < a.size(); ++i) expected.push_back(exact(binary, a[i], b[i]));
    Guarded<uint8_t> output(count);
    for (const auto run : {run_byte_binary, run_byte_binary_any}) {
      output.clear();
      run(binary, a.data(), b.data(), output.data(), count);
      CHECK(output.values() == expected);
      CHECK(output.intact());
    }
    run_byte_binary(binary, a.data(), b.data(), a.data(), count);
    CHECK(a == expected);
  }
}

}  // namespace lathe
