#include "calibration/resize_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;

// For each output position: the first input position, and `taps` weights from there.
template <class W>
struct Weights {
  struct Window {
    int64_t first;
    int64_t count;
  };
  std::vector<Window> windows;
  std::vector<W> values;  // windows.size() x taps
  int64_t taps = 0;
};

Weights<double> triangle_weights(int64_t in_size, int64_t out_size) {
  const double scale = static_cast<double>(in_size) / static_cast<double>(out_size);
  const double filter_scale = std::max(scale, 1.0);
  const double support = filter_scale;
  Weights<double> weights;
  weights.taps = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  weights.values.resize(static_cast<size_t>(out_size * weights.taps), 0.0);
  weights.windows.reserve(static_cast<size_t>(out_size));
  const double step = 1.0 / filter_scale;
  for (int64_t out = 0; out < out_size; ++out) {
    const double center = (static_cast<double>(out) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
    const int64_t end = std::min(in_size, static_cast<int64_t>(center + support + 0.5));
    const int64_t count = end - first;
    double* row = weights.values.data() + out * weights.taps;
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) {
      const double x = std::abs((static_cast<double>(i + first) - center + 0.5) * step);
      row[i] = x < 1.0 ? 1.0 - x : 0.0;
      sum += row[i];
    }
    for (int64_t i = 0; i < count; ++i)
      if (sum != 0.0) row[i] /= sum;
    weights.windows.push_back({first, count});
  }
  return weights;
}

template <class T>
auto weights_for(int64_t in_size, int64_t out_size) {
  Weights<double> real = triangle_weights(in_size, out_size);
  if constexpr (std::is_same_v<T, uint8_t>) {
    Weights<int32_t> fixed{{}, {}, real.taps};
    for (const auto& window : real.windows) fixed.windows.push_back({window.first, window.count});
    fixed.values.reserve(real.values.size());
    for (const double value : real.values)
      fixed.values.push_back(static_cast<int32_t>(0.5 + value * (1 << kPrecisionBits)));
    return fixed;
  } else {
    return real;
  }
}

template <class T>
struct Sum;
template <>
struct Sum<uint8_t> {
  int32_t total = 1 << (kPrecisionBits - 1);
  void add(uint8_t value, int32_t weight) { total += value * weight; }
  uint8_t result() const {
    return static_cast<uint8_t>(std::clamp(total >> kPrecisionBits, 0, 255));
  }
};
template <>
struct Sum<float> {
  double total = 0;
  void add(float value, double weight) { total += static_cast<double>(value) * weight; }
  float result() const { return static_cast<float>(total); }
};

template <class T>
Pixels<T> resize_width(const Pixels<T>& in, int64_t width) {
  const auto weights = weights_for<T>(in.width, width);
  Pixels<T> out{in.height, width, in.channels, {}};
  out.values.resize(static_cast<size_t>(in.height * width * in.channels));
  T* to = out.values.data();
  for (int64_t y = 0; y < in.height; ++y) {
    const T* row = in.values.data() + y * in.width * in.channels;
    for (int64_t x = 0; x < width; ++x) {
      const auto [first, count] = weights.windows[static_cast<size_t>(x)];
      const auto* weight = weights.values.data() + x * weights.taps;
      for (int64_t c = 0; c < in.channels; ++c) {
        Sum<T> sum;
        for (int64_t i = 0; i < count; ++i) sum.add(row[(first + i) * in.channels + c], weight[i]);
        *to++ = sum.result();
      }
    }
  }
  return out;
}

template <class T>
Pixels<T> resize_height(const Pixels<T>& in, int64_t height) {
  const auto weights = weights_for<T>(in.height, height);
  const int64_t row = in.width * in.channels;
  Pixels<T> out{height, in.width, in.channels, {}};
  out.values.resize(static_cast<size_t>(height * row));
  std::vector<Sum<T>> sums(static_cast<size_t>(row));
  for (int64_t y = 0; y < height; ++y) {
    const auto [first, count] = weights.windows[static_cast<size_t>(y)];
    const auto* weight = weights.values.data() + y * weights.taps;
    std::fill(sums.begin(), sums.end(), Sum<T>{});
    for (int64_t i = 0; i < count; ++i) {
      const T* from = in.values.data() + (first + i) * row;
      for (int64_t x = 0; x < row; ++x) sums[static_cast<size_t>(x)].add(from[x], weight[i]);
    }
    for (int64_t x = 0; x < row; ++x)
      out.values[static_cast<size_t>(y * row + x)] = sums[static_cast<size_t>(x)].result();
  }
  return out;
}

// Pillow's order, by its 13.0: rounding between the passes makes it visible.
bool is_height_first(int64_t height, int64_t width, int64_t to_height, int64_t to_width) {
  return to_height < height && height - to_height > 2 * (width - to_width);
}

}  // namespace

void check_pixels(int64_t height, int64_t width) {
  int64_t pixels = 0;
  if (height < 1 || width < 1)
    throw bad_input("data.picture_size", fmt::format("a picture of {}x{} pixels", height, width));
  if (__builtin_mul_overflow(height, width, &pixels) || pixels > kMaxPixels)
    throw over_limit("data.picture_size",
                     fmt::format("a picture of {}x{} pixels, the limit is {} pixels", height, width,
                                 kMaxPixels));
}

template <class T>
Pixels<T> resize_bilinear(const Pixels<T>& picture, int64_t height, int64_t width) {
  check_pixels(height, width);
  if (picture.width == width && picture.height == height) return picture;
  if (picture.width == width) return resize_height(picture, height);
  if (picture.height == height) return resize_width(picture, width);
  if (is_height_first(picture.height, picture.width, height, width)) {
    check_pixels(height, picture.width);
    return resize_width(resize_height(picture, height), width);
  }
  check_pixels(picture.height, width);
  return resize_height(resize_width(picture, width), height);
}

template Pixels<uint8_t> resize_bilinear(const Pixels<uint8_t>&, int64_t, int64_t);
template Pixels<float> resize_bilinear(const Pixels<float>&, int64_t, int64_t);

}  // namespace lathe
