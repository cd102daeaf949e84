#include <limits>

#include "ir/x86_clones.h"
#include "kernels/pool.h"
#include "kernels/pool_window.h"

namespace lathe {
namespace {

template <class T>
constexpr T kLowest = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                           : std::numeric_limits<T>::lowest();

template <int kLanes, class T>
[[gnu::always_inline]] inline void greatest(const PoolWindow<T>& window, int64_t channel, T* to) {
  T best[kLanes];
  for_each_lane<kLanes>([&](int i) __attribute__((always_inline)) { best[i] = kLowest<T>; });
  for (int64_t y = 0; y < window.rows; ++y) {
    const T* pixel = window.from + channel + y * window.row_step;
    for (int64_t x = 0; x < window.columns; ++x, pixel += window.column_step)
      for_each_lane<kLanes>([&](int i) __attribute__((always_inline)) {
        best[i] = pixel[i] > best[i] ? pixel[i] : best[i];
      });
  }
  for_each_lane<kLanes>([&](int i) __attribute__((always_inline)) { to[channel + i] = best[i]; });
}

template <class T>
[[gnu::always_inline]] inline void max_pool(const Pool& pool, const T* from, T* to, int64_t begin,
                                            int64_t end) {
  for_each_window(
      pool, from, to, begin, end,
      [&](const PoolWindow<T>& window, const PoolTaps&, const PoolTaps&, T* pixel)
          __attribute__((always_inline)) {
            for_each_channel_block(
                pool.channels, [&]<int kLanes>(int64_t channel) __attribute__((always_inline)) {
                  greatest<kLanes>(window, channel, pixel);
                });
          });
}

}  // namespace

LATHE_X86_CLONES void run_max_pool(const Pool& pool, const float* from, float* to, int64_t begin,
                                   int64_t end) {
  max_pool(pool, from, to, begin, end);
}

LATHE_X86_CLONES void run_max_pool(const Pool& pool, const uint8_t* from, uint8_t* to,
                                   int64_t begin, int64_t end) {
  max_pool(pool, from, to, begin, end);
}

LATHE_X86_CLONES void run_max_pool(const Pool& pool, const int8_t* from, int8_t* to, int64_t begin,
                                   int64_t end) {
  max_pool(pool, from, to, begin, end);
}

}  // namespace lathe
