// Weights of depthwise convolutions in the orders that the variants read.
#include <cstddef>
#include <cstring>

#include "kernels/integer_depthwise_variants.h"
#include "kernels/integer_product_panels.h"

namespace lathe {

// Tap after tap, all channels.
void pack_depthwise_scalar(PackedDepthwise& to, const int8_t* weights, const float* scale,
                           const float* bias) {
  const int64_t taps = to.window.kernel_height * to.window.kernel_width;
  to.weights.resize(static_cast<size_t>(taps * to.channels));
  for (int64_t c = 0; c < to.channels; ++c)
    for (int64_t tap = 0; tap < taps; ++tap)
      to.weights[static_cast<size_t>(tap * to.channels + c)] = weights[c * taps + tap];
  to.scale.assign(scale, scale + to.channels);
  to.bias.assign(bias, bias + to.channels);
}

// By sixteen channels, by pair of taps: channel after channel in the order of the sums, both taps.
void pack_depthwise_avx2(PackedDepthwise& to, const int8_t* weights, const float* scale,
                         const float* bias) {
  constexpr int64_t kChannels = kDepthwiseChannelsAvx2;
  const int64_t taps = to.window.kernel_height * to.window.kernel_width;
  const int64_t pairs = (taps + 1) / 2;
  const int64_t padded = (to.channels + kChannels - 1) / kChannels * kChannels;
  to.weights.assign(static_cast<size_t>(padded * pairs * 2), 0);
  to.scale.assign(static_cast<size_t>(padded), 0.0f);
  to.bias.assign(static_cast<size_t>(padded), 0.0f);
  for (int64_t place = 0; place < padded; ++place) {
    const int64_t within = place % kChannels;
    const int64_t first = place - within;
    const int64_t channel = first + panel_column(true, 2, 8, within / 8, within % 8);
    if (channel >= to.channels) continue;
    to.scale[static_cast<size_t>(place)] = scale[channel];
    to.bias[static_cast<size_t>(place)] = bias[channel];
    int8_t* column = to.weights.data() + first * pairs * 2 + within * 2;
    for (int64_t tap = 0; tap < taps; ++tap)
      column[tap / 2 * kChannels * 2 + tap % 2] = weights[channel * taps + tap];
  }
}

// By block, by four kernel rows, by kernel column: four vectors of sixteen lanes with a byte of
// each row.
void pack_depthwise_avx512(PackedDepthwise& to, const int8_t* weights, const float* scale,
                           const float* bias) {
  const int64_t height = to.window.kernel_height;
  const int64_t width = to.window.kernel_width;
  const int64_t groups = (height + 3) / 4;
  int64_t blocks = 0;
  for (DepthwiseBlock b = depthwise_block(to.channels, 0, 0); b.first < to.channels;
       b = next_block(to.channels, b))
    ++blocks;
  to.weights.assign(static_cast<size_t>(blocks * groups * width * 256), 0);
  to.scale.assign(static_cast<size_t>(blocks * 64), 0.0f);
  to.bias.assign(static_cast<size_t>(blocks * 64), 0.0f);
  for (DepthwiseBlock b = depthwise_block(to.channels, 0, 0); b.first < to.channels;
       b = next_block(to.channels, b)) {
    for (int64_t place = 0; place < 64; ++place) {
      const int64_t channel = b.first + depthwise_channel(b.width, place / 16, place % 16);
      if (channel >= to.channels) continue;
      to.scale[static_cast<size_t>(b.index * 64 + place)] = scale[channel];
      to.bias[static_cast<size_t>(b.index * 64 + place)] = bias[channel];
      for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x)
          to.weights[static_cast<size_t>(((b.index * groups + y / 4) * width + x) * 256 +
                                         place * 4 + y % 4)] =
              weights[(channel * height + y) * width + x];
    }
  }
}

namespace {

// By sixteen channels; `start` is zero where bytes stay unsigned.
void pad_factors(PackedDepthwise& to, const float* scale, const float* bias) {
  const auto padded = static_cast<size_t>((to.channels + 15) / 16 * 16);
  to.scale.assign(scale, scale + to.channels);
  to.bias.assign(bias, bias + to.channels);
  to.scale.resize(padded);
  to.bias.resize(padded);
  to.start.assign(padded, 0);
}

}  // namespace

// By sixteen channels, tap after tap: 16 bits of each channel.
void pack_depthwise_neon(PackedDepthwise& to, const int8_t* weights, const float* scale,
                         const float* bias) {
  const int64_t taps = to.window.kernel_height * to.window.kernel_width;
  pad_factors(to, scale, bias);
  to.weights.assign(to.scale.size() * static_cast<size_t>(taps) * 2, 0);
  for (int64_t c = 0; c < to.channels; ++c)
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int16_t weight = weights[c * taps + tap];
      std::memcpy(to.weights.data() + ((c / 16 * taps + tap) * 16 + c % 16) * 2, &weight, 2);
    }
}

// By sixteen channels, by four kernel rows, by kernel column: a byte of each row for each channel.
void pack_depthwise_neon_dot(PackedDepthwise& to, const int8_t* weights, const float* scale,
                             const float* bias) {
  const int64_t height = to.window.kernel_height;
  const int64_t width = to.window.kernel_width;
  const int64_t groups = (height + 3) / 4;
  pad_factors(to, scale, bias);
  to.weights.assign(to.scale.size() * static_cast<size_t>(groups * width * 4), 0);
  for (int64_t c = 0; c < to.channels; ++c) {
    int32_t sum = 0;
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x) {
        const int8_t weight = weights[(c * height + y) * width + x];
        sum += weight;
        to.weights[static_cast<size_t>((((c / 16 * groups + y / 4) * width + x) * 16 + c % 16) * 4 +
                                       y % 4)] = weight;
      }
    to.start[static_cast<size_t>(c)] = 128 * sum;
  }
}

}  // namespace lathe
