#include "kernels/resize.h"

#include <cstring>

#include "ir/x86_clones.h"
#include "kernels/rounding.h"

namespace lathe {
namespace {

// A constant size lets the compiler copy without a call.
template <int kBytes>
void copy_pixels(const char* from, int64_t from_pixel, char* to, int64_t to_pixel,
                 const int32_t* columns, int64_t count) {
  for (int64_t x = 0; x < count; ++x)
    std::memcpy(to + x * to_pixel, from + columns[x] * from_pixel, kBytes);
}

[[gnu::always_inline]] inline float between_two(float a, float b, float weight) {
  return a + weight * (b - a);
}

[[gnu::always_inline]] inline void store(float value, float* to) { *to = value; }
[[gnu::always_inline]] inline void store(float value, uint8_t* to) {
  *to = static_cast<uint8_t>(rounded_number(between(value, 0.0f, 255.0f)));
}

template <class T>
[[gnu::always_inline]] inline void resize_linear(const Resize& resize, const LinearTables& tables,
                                                 const T* from, T* to, int64_t begin, int64_t end) {
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t image = unit / resize.out_rows;
    const int64_t y = unit % resize.out_rows;
    const T* first_row = from + image * resize.from_image + tables.first_row[y] * resize.from_row;
    const T* second_row = from + image * resize.from_image + tables.second_row[y] * resize.from_row;
    const float row_weight = tables.row_weight[y];
    T* pixel = to + image * resize.to_image + y * resize.to_row;
    for (int64_t x = 0; x < resize.out_columns; ++x, pixel += resize.to_pixel) {
      const int64_t first = tables.first_column[x] * resize.from_pixel;
      const int64_t second = tables.second_column[x] * resize.from_pixel;
      const T* a = first_row + first;
      const T* b = first_row + second;
      const T* c = second_row + first;
      const T* d = second_row + second;
      const float weight = tables.column_weight[x];
#pragma GCC ivdep
      for (int64_t k = 0; k < resize.channels; ++k) {
        const float upper = between_two(a[k], b[k], weight);
        const float lower = between_two(c[k], d[k], weight);
        store(between_two(upper, lower, row_weight), pixel + k);
      }
    }
  }
}

}  // namespace

int64_t resize_count(const Resize& resize) { return resize.images * resize.out_rows; }

void run_resize_nearest(const Resize& resize, const NearestTables& tables, int element_size,
                        const void* from, void* to, int64_t begin, int64_t end) {
  const int64_t size = element_size;
  const int64_t bytes = resize.channels * size;
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t image = unit / resize.out_rows;
    const int64_t y = unit % resize.out_rows;
    const char* read = static_cast<const char*>(from) +
                       (image * resize.from_image + tables.rows[y] * resize.from_row) * size;
    char* write = static_cast<char*>(to) + (image * resize.to_image + y * resize.to_row) * size;
    const int64_t from_pixel = resize.from_pixel * size;
    const int64_t to_pixel = resize.to_pixel * size;
    const int64_t count = resize.out_columns;
    switch (bytes) {
      case 1: copy_pixels<1>(read, from_pixel, write, to_pixel, tables.columns, count); continue;
      case 4: copy_pixels<4>(read, from_pixel, write, to_pixel, tables.columns, count); continue;
      case 32: copy_pixels<32>(read, from_pixel, write, to_pixel, tables.columns, count); continue;
      case 64: copy_pixels<64>(read, from_pixel, write, to_pixel, tables.columns, count); continue;
      case 128:
        copy_pixels<128>(read, from_pixel, write, to_pixel, tables.columns, count);
        continue;
      default: break;
    }
    for (int64_t x = 0; x < count; ++x)
      std::memcpy(write + x * to_pixel, read + tables.columns[x] * from_pixel,
                  static_cast<size_t>(bytes));
  }
}

LATHE_X86_CLONES void run_resize_linear(const Resize& resize, const LinearTables& tables,
                                        const float* from, float* to, int64_t begin, int64_t end) {
  resize_linear(resize, tables, from, to, begin, end);
}

LATHE_X86_CLONES void run_resize_linear(const Resize& resize, const LinearTables& tables,
                                        const uint8_t* from, uint8_t* to, int64_t begin,
                                        int64_t end) {
  resize_linear(resize, tables, from, to, begin, end);
}

}  // namespace lathe
