#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "kernel_check.h"
#include "kernels/convert.h"

namespace lathe {
namespace {

int64_t onnx_quantized(float x, float scale, int32_t zero_point, int64_t least, int64_t greatest) {
  const float y = std::nearbyintf(x / scale);
  if (std::isnan(y)) return zero_point;
  const double q = static_cast<double>(y) + zero_point;
  return static_cast<int64_t>(
      std::min(std::max(q, static_cast<double>(least)), static_cast<double>(greatest)));
}

float random_number(SeededRandom& random, float scale) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float steps = static_cast<float>(random_between(random, -300, 300));
  switch (random.next() % 16) {
    case 0: return (steps + 0.5f) * scale;  // between two steps
    case 1: return static_cast<float>(random.normal()) * 1e30f;
    case 2: return random.next() % 2 ? kInfinity : -kInfinity;
    case 3: return std::numeric_limits<float>::quiet_NaN();
    default: return static_cast<float>(random.normal()) * 80 * scale;
  }
}

ConvertSpec random_spec(SeededRandom& random, const std::vector<int64_t>& shape, ElementType from,
                        ElementType to) {
  ConvertSpec spec;
  spec.from = from;
  spec.to = to;
  if (!shape.empty() && random.next() % 2 == 0)
    spec.dimension = static_cast<int>(random.next() % shape.size());
  const int64_t scales = spec.dimension < 0 ? 1 : shape[static_cast<size_t>(spec.dimension)];
  spec.scale.clear();
  spec.zero_point.clear();
  const bool is_signed = from == ElementType::kInt8 || to == ElementType::kInt8;
  for (int64_t i = 0; i < scales; ++i) {
    spec.scale.push_back(0.001f + static_cast<float>(std::abs(random.normal())));
    spec.zero_point.push_back(from == ElementType::kInt32 ? 0
                              : is_signed ? static_cast<int32_t>(random_between(random, -128, 127))
                                          : static_cast<int32_t>(random_between(random, 0, 255)));
  }
  return spec;
}

size_t scale_index(const ConvertSpec& spec, const std::vector<int64_t>& index) {
  return spec.dimension < 0 ? 0 : static_cast<size_t>(index[static_cast<size_t>(spec.dimension)]);
}

// `filled`: for each element of the output whether it is behind the channels of a pixel.
template <class T>
void check_quantize(SeededRandom& random, const std::vector<int64_t>& shape, const Layout& from,
                    const Layout& to, ConvertSpec spec, const std::vector<bool>& filled = {}) {
  spec.fill_pitch = !filled.empty();
  std::vector<float> input(static_cast<size_t>(from.count));
  for (float& x : input) x = random_number(random, spec.scale[0]);
  const Convert convert = prepare_convert(shape, from.strides, to.strides, spec);
  Guarded<T> output(to.count);
  std::vector<T> expected = output.values();
  for (size_t i = 0; i < filled.size(); ++i)
    if (filled[i]) expected[i] = static_cast<T>(spec.zero_point[0]);
  for_each_index(shape, [&](const std::vector<int64_t>& index) {
    const size_t s = scale_index(spec, index);
    expected[static_cast<size_t>(offset_of(index, to.strides))] = static_cast<T>(onnx_quantized(
        input[static_cast<size_t>(offset_of(index, from.strides))], spec.scale[s],
        spec.zero_point[s], std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  });
  check_every_division(random, convert_count(convert), output, [&](int64_t begin, int64_t end) {
    run_convert(convert, input.data(), output.data(), begin, end);
  });
  CHECK(output.values() == expected);
}

template <class T>
void check_dequantize(SeededRandom& random, const std::vector<int64_t>& shape, const Layout& from,
                      const Layout& to, const ConvertSpec& spec) {
  std::vector<T> input(static_cast<size_t>(from.count));
  for (T& q : input) q = static_cast<T>(random.next());
  const Convert convert = prepare_convert(shape, from.strides, to.strides, spec);
  Guarded<float> output(to.count);
  std::vector<float> expected = output.values();
  for_each_index(shape, [&](const std::vector<int64_t>& index) {
    const size_t s = scale_index(spec, index);
    const int64_t q = input[static_cast<size_t>(offset_of(index, from.strides))];
    expected[static_cast<size_t>(offset_of(index, to.strides))] =
        static_cast<float>(q - spec.zero_point[s]) * spec.scale[s];
  });
  check_every_division(random, convert_count(convert), output, [&](int64_t begin, int64_t end) {
    run_convert(convert, input.data(), output.data(), begin, end);
  });
  CHECK(output.values() == expected);
}

void check_all_types(SeededRandom& random, const std::vector<int64_t>& shape, const Layout& from,
                     const Layout& to) {
  using enum ElementType;
  check_quantize<uint8_t>(random, shape, from, to, random_spec(random, shape, kFloat32, kUInt8));
  check_quantize<int8_t>(random, shape, from, to, random_spec(random, shape, kFloat32, kInt8));
  check_dequantize<uint8_t>(random, shape, from, to, random_spec(random, shape, kUInt8, kFloat32));
  check_dequantize<int8_t>(random, shape, from, to, random_spec(random, shape, kInt8, kFloat32));
  check_dequantize<int32_t>(random, shape, from, to, random_spec(random, shape, kInt32, kFloat32));
}

}  // namespace

TEST_CASE("conversions between layouts of images equal ONNX's formulas bit for bit") {
  constexpr uint64_t kSeed = 21;
  INFO("seed " << kSeed);
  SeededRandom random(kSeed, 0);
  for (const int64_t channels : {1, 3, 4, 15, 16, 33, 64, 70}) {
    for (const int64_t pixels : {1, 3, 16, 65, 1000, 2500}) {
      INFO("channels " << channels << " pixels " << pixels);
      const std::vector<int64_t> shape = {2, channels, pixels};
      const Layout planes = layout_of(shape, {0, 1, 2});
      const Layout interleaved = layout_of(shape, {0, 2, 1});
      const Layout pitched = layout_of(shape, {0, 2, 1}, 1);
      check_all_types(random, shape, planes, planes);
      check_all_types(random, shape, planes, interleaved);
      check_all_types(random, shape, interleaved, planes);
      check_all_types(random, shape, planes, pitched);
      check_all_types(random, shape, pitched, planes);
    }
  }
}

TEST_CASE("conversions between random layouts") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    INFO("seed " << seed);
    SeededRandom random(seed, 3);
    const std::vector<int64_t> shape = random_shape(random, 7, 20000);
    check_all_types(
        random, shape,
        layout_of(shape, random_order(random, shape.size()), random_between(random, 0, 2)),
        layout_of(shape, random_order(random, shape.size()), random_between(random, 0, 2)));
  }
}

TEST_CASE("pixels with a pitch get zero points behind their channels") {
  constexpr uint64_t kSeed = 23;
  INFO("seed " << kSeed);
  SeededRandom random(kSeed, 0);
  for (const int64_t channels : {1, 2, 3, 5, 18, 100, 5000}) {
    for (const int64_t pixels : {1, 2, 50, 1500}) {
      if (channels * pixels > 300000) continue;
      for (const int64_t gap : {1, 3, 13}) {
        INFO("channels " << channels << " pixels " << pixels << " gap " << gap);
        const std::vector<int64_t> shape = {2, channels, 1, pixels};
        const int64_t pitch = channels + gap;
        const Layout to{{pitch * pixels, 1, pitch * pixels, pitch}, 2 * pitch * pixels};
        std::vector<bool> filled(static_cast<size_t>(to.count));
        for (size_t i = 0; i < filled.size(); ++i)
          filled[i] = static_cast<int64_t>(i) % pitch >= channels;
        for (const Layout& from :
             {layout_of(shape, {0, 1, 2, 3}), layout_of(shape, {0, 2, 3, 1})}) {
          check_quantize<uint8_t>(
              random, shape, from, to,
              random_spec(random, shape, ElementType::kFloat32, ElementType::kUInt8), filled);
          check_quantize<int8_t>(
              random, shape, from, to,
              random_spec(random, shape, ElementType::kFloat32, ElementType::kInt8), filled);
        }
      }
    }
  }
}

TEST_CASE("other pairs of types and other numbers of scales are refused") {
  ConvertSpec spec;
  spec.to = ElementType::kInt32;
  CHECK_THROWS(prepare_convert({2}, {1}, {1}, spec));
  spec.to = ElementType::kUInt8;
  spec.dimension = 0;
  CHECK_THROWS(prepare_convert({2}, {1}, {1}, spec));
  spec.dimension = 1;
  CHECK_THROWS(prepare_convert({1}, {1}, {1}, spec));
}

}  // namespace lathe
