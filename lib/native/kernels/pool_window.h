// Windows of pooling: which taps lie inside the image, and loops over blocks of channels.
#pragma once

#include <cstdint>

#include "kernels/pool.h"

namespace lathe {

/// Taps of one output along one axis.
struct PoolTaps {
  int64_t first = 0;    // input position of the first tap inside
  int64_t inside = 0;   // taps inside the image
  int64_t counted = 0;  // taps inside the image and its padding
};

inline PoolTaps pool_taps(const PoolAxis& axis, int64_t output) {
  PoolTaps taps;
  const int64_t begin = output * axis.stride - axis.pad_begin;
  for (int64_t tap = 0; tap < axis.kernel; ++tap) {
    const int64_t position = begin + tap * axis.dilation;
    if (position < axis.in + axis.pad_end) ++taps.counted;
    if (position < 0 || position >= axis.in) continue;
    if (taps.inside++ == 0) taps.first = position;
  }
  return taps;
}

/// A window's taps inside the image at the first channel of a block; steps in elements.
template <class T>
struct PoolWindow {
  const T* from = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t row_step = 0;
  int64_t column_step = 0;
};

/// Calls `body(lane)` for all lanes, in a loop that the compiler makes vectors of: of 16 rounds and
/// fewer it would make so many single operations before.
template <int kLanes, class Body>
[[gnu::always_inline]] inline void for_each_lane(Body&& body) {
  if constexpr (kLanes <= 16) {
#pragma GCC unroll 1
    for (int i = 0; i < kLanes; ++i) body(i);
  } else {
    for (int i = 0; i < kLanes; ++i) body(i);
  }
}

/// Calls `block.template operator()<kLanes>(channel)` for blocks of channels. The last one begins
/// earlier where the number is no multiple, so it repeats some of its neighbour's channels.
template <class Block>
[[gnu::always_inline]] inline void for_each_channel_block(int64_t channels, Block&& block) {
  int64_t channel = 0;
  if (channels >= 64) {
    for (; channel < channels; channel += 64)
      block.template operator()<64>(channel + 64 > channels ? channels - 64 : channel);
  } else if (channels >= 32) {
    for (; channel < channels; channel += 32)
      block.template operator()<32>(channel + 32 > channels ? channels - 32 : channel);
  } else if (channels >= 16) {
    for (; channel < channels; channel += 16)
      block.template operator()<16>(channel + 16 > channels ? channels - 16 : channel);
  } else {
    for (; channel < channels; ++channel) block.template operator()<1>(channel);
  }
}

/// Calls `body(window, row, column, to)` for every output pixel of the units.
template <class T, class Body>
[[gnu::always_inline]] inline void for_each_window(const Pool& pool, const T* from, T* to,
                                                   int64_t begin, int64_t end, Body&& body) {
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t image = unit / pool.rows.out;
    const int64_t y = unit % pool.rows.out;
    const PoolTaps row = pool_taps(pool.rows, y);
    for (int64_t x = 0; x < pool.columns.out; ++x) {
      const PoolTaps column = pool_taps(pool.columns, x);
      PoolWindow<T> window;
      window.from = from + image * pool.from_image + row.first * pool.from_row +
                    column.first * pool.from_pixel;
      window.rows = column.inside > 0 ? row.inside : 0;
      window.columns = column.inside;
      window.row_step = pool.rows.dilation * pool.from_row;
      window.column_step = pool.columns.dilation * pool.from_pixel;
      body(window, row, column, to + image * pool.to_image + y * pool.to_row + x * pool.to_pixel);
    }
  }
}

}  // namespace lathe
