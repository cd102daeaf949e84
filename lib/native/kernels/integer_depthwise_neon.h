// The depthwise convolution on 128-bit vectors of 64-bit Arm, for the file that names its
// instructions: sixteen channels of four neighbouring outputs at a time. A column of the input, as
// Taps prepares it, serves all outputs that read it.
#pragma once

#include "kernels/integer_depthwise_lines.h"
#include "kernels/integer_depthwise_variants.h"
#include "kernels/integer_epilogue_neon.h"

namespace lathe {
namespace {

constexpr int kOutputs = 4;  // neighbours computed together
using Sums = int32x4_t[kOutputs][4];

// Where the kernel lies for the first of the outputs.
struct Place {
  const uint8_t* const* lines;
  int64_t length;   // of a line
  int64_t channel;  // first of the block
  int64_t count;    // of channels
};

// Kernel rows that Taps takes together, from `row` on. Those that there are not repeat the last
// one: their weights are zero.
template <class Taps>
struct Lines {
  const uint8_t* const* of[Taps::kRows];

  [[gnu::always_inline]] Lines(const Place& place, int64_t row, int64_t height) {
#pragma GCC unroll 4
    for (int r = 0; r < Taps::kRows; ++r)
      of[r] = place.lines + (row + r < height ? row + r : height - 1) * place.length;
  }

  [[gnu::always_inline]] Taps column(int64_t column, const Place& place) const {
    uint8x16_t bytes[Taps::kRows];
#pragma GCC unroll 4
    for (int r = 0; r < Taps::kRows; ++r)
      bytes[r] = load_bytes(of[r][column] + place.channel, place.count);
    return Taps(bytes);
  }
};

// kWidth 0: any window; else the kernel's width and stride, without dilation.
template <class Taps, int kWidth, int kStride>
[[gnu::always_inline]] inline void accumulate(const DepthwiseWindow& window, const int8_t* weights,
                                              const Place& place, Sums& sums) {
  for (int64_t row = 0; row < window.kernel_height; row += Taps::kRows) {
    const Lines<Taps> lines(place, row, window.kernel_height);
    if constexpr (kWidth > 0) {
#pragma GCC unroll 16
      for (int column = 0; column < (kOutputs - 1) * kStride + kWidth; ++column) {
        const Taps taps = lines.column(column, place);
#pragma GCC unroll 4
        for (int o = 0; o < kOutputs; ++o) {
          const int tap = column - o * kStride;
          if (tap >= 0 && tap < kWidth) taps.add(sums[o], weights + tap * Taps::kBytes);
        }
      }
      weights += kWidth * Taps::kBytes;
    } else {
      for (int64_t tap = 0; tap < window.kernel_width; ++tap, weights += Taps::kBytes)
#pragma GCC unroll 4
        for (int o = 0; o < kOutputs; ++o)
          lines.column(o * window.stride_width + tap * window.dilation_width, place)
              .add(sums[o], weights);
    }
  }
}

// One block of kCount channels (0: any number up to 16) of the outputs of a row.
template <class Taps, int kWidth, int kStride, int kCount>
[[gnu::noinline]] void run_block(const DepthwiseRows& rows, int64_t row, int64_t channel,
                                 const uint8_t* const* lines, int64_t length) {
  const PackedDepthwise& packed = *rows.depthwise;
  const DepthwiseWindow& window = packed.window;
  const int64_t count = kCount > 0 ? kCount : packed.channels - channel;
  const int64_t groups = (window.kernel_height + Taps::kRows - 1) / Taps::kRows;
  const int8_t* weights =
      packed.weights.data() + channel / 16 * groups * window.kernel_width * Taps::kBytes;
  const int64_t element = rows.epilogue->float_output ? 4 : 1;
  for (int64_t column = 0; column < rows.output_width; column += kOutputs) {
    Sums sums;
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const int32x4_t start = vld1q_s32(packed.start.data() + channel + 4 * v);
#pragma GCC unroll 4
      for (int o = 0; o < kOutputs; ++o) sums[o][v] = start;
    }
    accumulate<Taps, kWidth, kStride>(
        window, weights, {lines + column * window.stride_width, length, channel, count}, sums);
    const int64_t pixel = row * rows.output_width + column;
    const int64_t left = rows.output_width - column;
    store_rows(
        sums, packed.may_overflow,
        {left < kOutputs ? left : kOutputs,
         count,
         packed.scale.data() + channel,
         packed.bias.data() + channel,
         rows.epilogue,
         {static_cast<uint8_t*>(rows.output) + (pixel * rows.output_pitch + channel) * element,
          rows.output_pitch,
          rows.epilogue->has_residual ? rows.residual + pixel * rows.residual_pitch + channel
                                      : nullptr,
          rows.residual_pitch}});
  }
}

template <class Taps, int kWidth, int kStride>
void run_all(const DepthwiseRows& rows, const uint8_t** lines) {
  const int64_t channels = rows.depthwise->channels;
  const int64_t length = line_length(rows);
  for (int64_t row = rows.row_begin; row < rows.row_end; ++row) {
    point_at_row(rows, row, length, lines);
    int64_t channel = 0;
    for (; channel + 16 <= channels; channel += 16)
      run_block<Taps, kWidth, kStride, 16>(rows, row, channel, lines, length);
    if (channels - channel == 8)
      run_block<Taps, kWidth, kStride, 8>(rows, row, channel, lines, length);
    else if (channel < channels)
      run_block<Taps, 0, 0, 0>(rows, row, channel, lines, length);
  }
}

template <class Taps>
void run_depthwise_neon(const DepthwiseRows& rows, const uint8_t** lines) {
  const DepthwiseWindow& window = rows.depthwise->window;
  const int64_t kind =
      window.dilation_width == 1 ? 10 * window.kernel_width + window.stride_width : 0;
  switch (kind) {
    case 31: return run_all<Taps, 3, 1>(rows, lines);
    case 32: return run_all<Taps, 3, 2>(rows, lines);
    case 51: return run_all<Taps, 5, 1>(rows, lines);
    case 52: return run_all<Taps, 5, 2>(rows, lines);
    default: return run_all<Taps, 0, 0>(rows, lines);
  }
}

}  // namespace
}  // namespace lathe
