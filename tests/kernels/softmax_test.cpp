#include <doctest/doctest.h>

#include <cmath>

#include "kernel_check.h"
#include "kernels/softmax.h"

namespace lathe {

TEST_CASE("softmax and its logarithm of rows of any length") {
  for (const int64_t length : {1, 2, 3, 15, 16, 17, 31, 32, 49, 128, 197, 511, 513, 5000}) {
    for (const bool logarithm : {false, true}) {
      INFO("length " << length << " logarithm " << logarithm);
      SeededRandom random(61, static_cast<uint64_t>(length));
      const int64_t rows = length < 32 ? 150 : 5;  // short ones are computed side by side
      const int64_t pitch = length + 3;
      std::vector<float> input(static_cast<size_t>(rows * pitch));
      for (float& x : input) x = static_cast<float>(10 * random.normal());
      Guarded<float> output(rows * pitch);
      const Softmax softmax{input.data(), pitch,  output.data(), pitch,
                            rows,         length, logarithm,     0.25f};
      check_every_division(random, softmax_count(softmax), output,
                           [&](int64_t begin, int64_t end) { run_softmax(softmax, begin, end); });
      const std::vector<float> got = output.values();
      double worst = 0;
      for (int64_t r = 0; r < rows; ++r) {
        const auto at = [&](int64_t i) { return static_cast<size_t>(r * pitch + i); };
        double sum = 0;
        for (int64_t i = 0; i < length; ++i)
          sum += std::exp(0.25 * static_cast<double>(input[at(i)]));
        for (int64_t i = 0; i < length; ++i) {
          const double y = 0.25 * static_cast<double>(input[at(i)]) - std::log(sum);
          const double error = logarithm ? (static_cast<double>(got[at(i)]) - y) / (1 + std::abs(y))
                                         : static_cast<double>(got[at(i)]) / std::exp(y) - 1;
          worst = worse(worst, std::abs(error));
        }
      }
      CHECK(worst < 3e-6);
      const Softmax in_place{input.data(), pitch,  input.data(), pitch,
                             rows,         length, logarithm,    0.25f};
      run_softmax(in_place, 0, rows);
      for (int64_t r = 0; r < rows; ++r)
        CHECK(std::memcmp(&input[static_cast<size_t>(r * pitch)],
                          &got[static_cast<size_t>(r * pitch)],
                          static_cast<size_t>(length) * sizeof(float)) == 0);
    }
  }
}

TEST_CASE("numbers whose exponentials are out of range") {
  const std::vector<float> input = {1e30f, 1e30f, -1e30f, 0};
  std::vector<float> output(4);
  run_softmax({input.data(), 4, output.data(), 4, 1, 4, false, 1}, 0, 1);
  CHECK(output == std::vector<float>{0.5f, 0.5f, 0, 0});
}

}  // namespace lathe
