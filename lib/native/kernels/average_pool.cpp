#include <algorithm>
#include <type_traits>

#include "ir/x86_clones.h"
#include "kernels/pool.h"
#include "kernels/pool_window.h"
#include "kernels/rounding.h"

namespace lathe {
namespace {

constexpr int64_t kUnitChannels = 64;
constexpr int64_t kPartPixels = 64;  // of a global average, which are summed on their own

template <int kLanes, class T, class Sum>
[[gnu::always_inline]] inline void add_pixels(const T* pixel, int64_t count, int64_t step,
                                              Sum (&total)[kLanes]) {
  for (int64_t x = 0; x < count; ++x, pixel += step)
    for_each_lane<kLanes>([&](int i) __attribute__((always_inline)) { total[i] += Sum{pixel[i]}; });
}

// Floats are summed by rows, which keeps the error small.
template <int kLanes, class T, class Sum>
[[gnu::always_inline]] inline void add_window(const PoolWindow<T>& window, int64_t channel,
                                              Sum (&total)[kLanes]) {
  for (int64_t y = 0; y < window.rows; ++y) {
    const T* pixel = window.from + channel + y * window.row_step;
    if constexpr (std::is_same_v<Sum, float>) {
      Sum row[kLanes];
      for_each_lane<kLanes>([&](int i) __attribute__((always_inline)) { row[i] = 0; });
      add_pixels<kLanes>(pixel, window.columns, window.column_step, row);
      for_each_lane<kLanes>([&](int i) __attribute__((always_inline)) { total[i] += row[i]; });
    } else {
      add_pixels<kLanes>(pixel, window.columns, window.column_step, total);
    }
  }
}

template <int kLanes>
[[gnu::always_inline]] inline void store_average(const float (&sum)[kLanes], float divisor,
                                                 float* to) {
  for_each_lane<kLanes>([&](int i) __attribute__((always_inline)) { to[i] = sum[i] / divisor; });
}

template <int kLanes>
[[gnu::always_inline]] inline void store_average(const int32_t (&sum)[kLanes], int32_t zero_sum,
                                                 float factor, float zero_out, uint8_t* to) {
  for_each_lane<kLanes>([&](int i) __attribute__((always_inline)) {
    const float q = __builtin_fmaf(static_cast<float>(sum[i] - zero_sum), factor, zero_out);
    to[i] = static_cast<uint8_t>(rounded_number(between(q, 0.0f, 255.0f)));
  });
}

int64_t divisor_of(const Pool& pool, const PoolTaps& row, const PoolTaps& column) {
  const int64_t counted =
      pool.count_padding ? row.counted * column.counted : row.inside * column.inside;
  return std::max<int64_t>(counted, 1);
}

// All pixels of an image as windows of kPartPixels, and one of the rest.
template <int kLanes, class T, class Sum>
[[gnu::always_inline]] inline void add_all_pixels(const GlobalPool& pool, const T* from,
                                                  Sum (&total)[kLanes]) {
  const int64_t parts = pool.pixels / kPartPixels;
  PoolWindow<T> window{from, parts, kPartPixels, kPartPixels * pool.from_pixel, pool.from_pixel};
  add_window<kLanes>(window, 0, total);
  window.from += parts * window.row_step;
  window.rows = 1;
  window.columns = pool.pixels % kPartPixels;
  add_window<kLanes>(window, 0, total);
}

template <class T, class Body>
[[gnu::always_inline]] inline void for_each_channel_unit(const GlobalPool& pool, const T* from,
                                                         T* to, int64_t begin, int64_t end,
                                                         Body&& body) {
  const int64_t units = (pool.channels + kUnitChannels - 1) / kUnitChannels;
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t image = unit / units;
    const int64_t first = unit % units * kUnitChannels;
    const T* read = from + image * pool.from_image + first;
    T* write = to + image * pool.to_image + first;
    for_each_channel_block(
        std::min(kUnitChannels, pool.channels - first), [&]<int kLanes>(int64_t channel)
                                                            __attribute__((always_inline)) {
                                                              body.template operator()<kLanes>(
                                                                  read + channel, write + channel);
                                                            });
  }
}

}  // namespace

int64_t pool_count(const Pool& pool) { return pool.images * pool.rows.out; }

int64_t global_pool_count(const GlobalPool& pool) {
  return pool.images * ((pool.channels + kUnitChannels - 1) / kUnitChannels);
}

LATHE_X86_CLONES void run_average_pool(const Pool& pool, const float* from, float* to,
                                       int64_t begin, int64_t end) {
  for_each_window(
      pool, from, to, begin, end,
      [&](const PoolWindow<float>& window, const PoolTaps& row, const PoolTaps& column,
          float* pixel) __attribute__((always_inline)) {
        const float divisor = static_cast<float>(divisor_of(pool, row, column));
        for_each_channel_block(
            pool.channels, [&]<int kLanes>(int64_t channel) __attribute__((always_inline)) {
              float total[kLanes] = {};
              add_window<kLanes>(window, channel, total);
              store_average<kLanes>(total, divisor, pixel + channel);
            });
      });
}

LATHE_X86_CLONES void run_average_pool(const Pool& pool, const PoolQuantization& quantization,
                                       const uint8_t* from, uint8_t* to, int64_t begin,
                                       int64_t end) {
  for_each_window(
      pool, from, to, begin, end,
      [&](const PoolWindow<uint8_t>& window, const PoolTaps& row, const PoolTaps& column,
          uint8_t* pixel) __attribute__((always_inline)) {
        const float factor = quantization.scale_in / quantization.scale_out /
                             static_cast<float>(divisor_of(pool, row, column));
        const int32_t zero_sum =
            static_cast<int32_t>(window.rows * window.columns) * quantization.zero_in;
        for_each_channel_block(
            pool.channels, [&]<int kLanes>(int64_t channel) __attribute__((always_inline)) {
              int32_t total[kLanes] = {};
              add_window<kLanes>(window, channel, total);
              store_average<kLanes>(total, zero_sum, factor,
                                    static_cast<float>(quantization.zero_out), pixel + channel);
            });
      });
}

LATHE_X86_CLONES void run_global_pool(const GlobalPool& pool, const float* from, float* to,
                                      int64_t begin, int64_t end) {
  for_each_channel_unit(
      pool, from, to, begin,
      end, [&]<int kLanes>(const float* read, float* write) __attribute__((always_inline)) {
        float total[kLanes] = {};
        add_all_pixels<kLanes>(pool, read, total);
        store_average<kLanes>(total, static_cast<float>(pool.pixels), write);
      });
}

LATHE_X86_CLONES void run_global_pool(const GlobalPool& pool, const PoolQuantization& quantization,
                                      const uint8_t* from, uint8_t* to, int64_t begin,
                                      int64_t end) {
  const float factor =
      quantization.scale_in / (quantization.scale_out * static_cast<float>(pool.pixels));
  const auto least = static_cast<float>(-quantization.zero_out);
  const int32_t zero_sum = static_cast<int32_t>(pool.pixels) * quantization.zero_in;
  for_each_channel_unit(
      pool, from, to, begin,
      end, [&]<int kLanes>(const uint8_t* read, uint8_t* write) __attribute__((always_inline)) {
        int32_t total[kLanes] = {};
        add_all_pixels<kLanes>(pool, read, total);
        for_each_lane<kLanes>([&](int i) __attribute__((always_inline)) {
          const float q = static_cast<float>(total[i] - zero_sum) * factor;
          write[i] = static_cast<uint8_t>(rounded_number(between(q, least, least + 255.0f)) +
                                          quantization.zero_out);
        });
      });
}

}  // namespace lathe
