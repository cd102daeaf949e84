#include "kernels/byte_panels.h"

#include <doctest/doctest.h>

#include <limits>

#include "kernel_check.h"
#include "kernels/dynamic_range.h"

namespace lathe {
namespace {

struct Product {
  int64_t rows = 1, depth = 1, columns = 1;
  int32_t zero_point = 0;
  std::vector<uint8_t> x;
  std::vector<int8_t> weights;
  std::vector<int32_t> shifts;
  std::vector<const uint8_t*> addresses;
};

Product random_product(SeededRandom& random) {
  Product p;
  p.rows = random_between(random, 1, 20);
  p.depth = random_between(random, 1, random.next() % 8 == 0 ? 3000 : 70);
  p.columns = random_between(random, 1, 200);
  p.zero_point = static_cast<int32_t>(random_between(random, 0, 255));
  const bool extreme = random.next() % 3 == 0;
  for (int64_t i = 0; i < p.rows * p.depth; ++i)
    p.x.push_back(extreme ? 255 : static_cast<uint8_t>(random.next()));
  for (int64_t i = 0; i < p.columns * p.depth; ++i)
    p.weights.push_back(extreme ? static_cast<int8_t>(random.next() % 2 == 0 ? -128 : 127)
                                : static_cast<int8_t>(random.next()));
  if (random.next() % 2 == 0)
    for (int64_t c = 0; c < p.columns; ++c)
      p.shifts.push_back(static_cast<int32_t>(random_between(random, -128, 128)));
  for (int64_t r = 0; r < p.rows; ++r) p.addresses.push_back(p.x.data() + r * p.depth);
  return p;
}

int64_t exact_sum(const Product& p, int64_t r, int64_t c) {
  int64_t sum = 0;
  for (int64_t k = 0; k < p.depth; ++k)
    sum += (p.x[static_cast<size_t>(r * p.depth + k)] - p.zero_point) *
           (p.weights[static_cast<size_t>(c * p.depth + k)] +
            (p.shifts.empty() ? 0 : p.shifts[static_cast<size_t>(c)]));
  return sum;
}

}  // namespace

TEST_CASE("sums of bytes with zero points are exact") {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SeededRandom random(401, seed);
    const Product p = random_product(random);
    INFO("seed " << seed << " rows " << p.rows << " depth " << p.depth << " columns " << p.columns);
    for (const KernelIsa isa : usable_kernel_isas()) {
      const PackedBytes packed = pack_bytes(isa, p.weights.data(), p.columns, p.depth,
                                            p.shifts.empty() ? nullptr : p.shifts.data());
      const int64_t pitch = p.columns + 2;
      Guarded<int32_t> sums(p.rows * pitch);
      ByteRows rows;
      rows.rows = p.addresses.data();
      rows.count = p.rows;
      rows.zero_point = p.zero_point;
      rows.sums = sums.data();
      rows.output_pitch = pitch;
      check_every_division<int32_t>(
          random, byte_panels(packed), sums,
          [&](int64_t begin, int64_t end) { multiply_bytes(packed, rows, begin, end); });
      const std::vector<int32_t> got = sums.values();
      bool right = true;
      for (int64_t r = 0; r < p.rows; ++r)
        for (int64_t c = 0; c < p.columns; ++c)
          right = right && got[static_cast<size_t>(r * pitch + c)] == exact_sum(p, r, c);
      CHECK(right);
    }
  }
}

TEST_CASE("sums of bytes become floats: sum * (scale * factor) + bias") {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    INFO("seed " << seed);
    SeededRandom random(409, seed);
    const Product p = random_product(random);
    std::vector<float> scale, factor, bias;
    for (int64_t c = 0; c < p.columns; ++c) {
      scale.push_back(static_cast<float>(0.01 * random.normal()));
      factor.push_back(static_cast<float>(random.normal()));
    }
    for (int64_t i = 0; i < p.columns * p.rows; ++i)
      bias.push_back(static_cast<float>(random.normal()));
    const bool one_scale = random.next() % 2 == 0;
    const bool with_factor = random.next() % 2 == 0;
    const bool row_bias = random.next() % 2 == 0;
    for (const KernelIsa isa : usable_kernel_isas()) {
      const PackedBytes packed = pack_bytes(isa, p.weights.data(), p.columns, p.depth,
                                            p.shifts.empty() ? nullptr : p.shifts.data());
      Guarded<float> output(p.rows * p.columns);
      ByteRows rows;
      rows.rows = p.addresses.data();
      rows.count = p.rows;
      rows.zero_point = p.zero_point;
      rows.output = output.data();
      rows.output_pitch = p.columns;
      rows.scale = scale.data();
      rows.scale_step = one_scale ? 0 : 1;
      if (with_factor) rows.factor = factor.data();
      rows.bias = bias.data();
      rows.bias_pitch = row_bias ? p.columns : 0;
      multiply_bytes(packed, rows, 0, byte_panels(packed));
      CHECK(output.intact());
      const std::vector<float> got = output.values();
      bool right = true;
      for (int64_t r = 0; r < p.rows; ++r)
        for (int64_t c = 0; c < p.columns; ++c) {
          float s = scale[static_cast<size_t>(one_scale ? 0 : c)];
          if (with_factor) s *= factor[static_cast<size_t>(c)];
          const float scaled = static_cast<float>(static_cast<int32_t>(exact_sum(p, r, c))) * s;
          const float y = scaled + bias[static_cast<size_t>((row_bias ? r * p.columns : 0) + c)];
          right = right && got[static_cast<size_t>(r * p.columns + c)] == y;
        }
      CHECK(right);
    }
  }
}

TEST_CASE("dynamic scales are ONNX's") {
  const auto scale_of = [](std::vector<float> x) {
    return dynamic_scale(range_of(x.data(), static_cast<int64_t>(x.size())));
  };
  // The examples of the operator's definition.
  CHECK(scale_of({0, 2, -3, -2.5f, 1.34f, 0.5f}).scale == 5.0f / 255.0f);
  CHECK(scale_of({0, 2, -3, -2.5f, 1.34f, 0.5f}).zero_point == 153);
  CHECK(scale_of({-1, -2.1f, -1.3f, -2.5f, -3.34f, -4}).zero_point == 255);
  CHECK(scale_of({1, 2.1f, 1.3f, 2.5f, 3.34f, 4}).zero_point == 0);
  CHECK(scale_of({0, 0, 0}).scale == 1);
  CHECK(scale_of({}).scale == 1);
  CHECK(std::isnan(scale_of({1, std::numeric_limits<float>::quiet_NaN()}).scale));
  SeededRandom random(419, 0);
  for (const int64_t count : {1, 2, 31, 32, 33, 64, 1000}) {
    std::vector<float> x(static_cast<size_t>(count));
    for (float& v : x) v = static_cast<float>(random.normal());
    const size_t place = random.next() % x.size();
    for (const float peak : {-50.0f, 60.0f}) {
      x[place] = peak;
      const DynamicRange range = range_of(x.data(), count);
      CHECK((peak < 0 ? range.low : range.high) == peak);
    }
  }
}

}  // namespace lathe
