// Max and average pooling over windows of pixels (NHWC), and the average over all pixels.
//
// Averages of uint8 are exact sums in int32 and one fused multiply-add, so all processors give the
// same bytes; float sums go through the window row by row.
#pragma once

#include <cstdint>
#include <vector>

namespace lathe {

/// One spatial axis. Taps of output o lie at o * stride - pad_begin + tap * dilation; those outside
/// 0..in-1 are padding.
struct PoolAxis {
  int64_t in = 1;
  int64_t out = 1;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t pad_begin = 0;
  int64_t pad_end = 0;
};

/// Pitches are in elements; channels are neighbours.
struct Pool {
  PoolAxis rows;
  PoolAxis columns;
  int64_t images = 1;
  int64_t channels = 1;
  int64_t from_pixel = 1;
  int64_t from_row = 1;
  int64_t from_image = 1;
  int64_t to_pixel = 1;
  int64_t to_row = 1;
  int64_t to_image = 1;
  /// Averages: taps in the padding count (as ONNX: those behind pad_end never do).
  bool count_padding = false;
};

/// Average of uint8, half to even:
///   windows: q = clamp(round(fma(sum - taps * zero_in, scale_in / scale_out / counted taps,
///   zero_out)), 0, 255)
///   all pixels, as ONNX Runtime's QLinearGlobalAveragePool: q = clamp(round((sum - pixels *
///   zero_in) * (scale_in / (scale_out * pixels))) + zero_out, 0, 255)
struct PoolQuantization {
  float scale_in = 1;
  float scale_out = 1;
  int32_t zero_in = 0;
  int32_t zero_out = 0;
};

/// One unit is one row of output pixels.
int64_t pool_count(const Pool& pool);
/// A window without any tap gives the lowest number.
void run_max_pool(const Pool& pool, const float* from, float* to, int64_t begin, int64_t end);
void run_max_pool(const Pool& pool, const uint8_t* from, uint8_t* to, int64_t begin, int64_t end);
void run_max_pool(const Pool& pool, const int8_t* from, int8_t* to, int64_t begin, int64_t end);
/// A window without any tap gives 0 (uint8: zero_out). uint8 windows have at most 65,536 taps.
void run_average_pool(const Pool& pool, const float* from, float* to, int64_t begin, int64_t end);
void run_average_pool(const Pool& pool, const PoolQuantization& quantization, const uint8_t* from,
                      uint8_t* to, int64_t begin, int64_t end);

/// The average over all pixels: images x pixels x channels to images x channels.
struct GlobalPool {
  int64_t images = 1;
  int64_t pixels = 1;
  int64_t channels = 1;
  int64_t from_pixel = 1;
  int64_t from_image = 1;
  int64_t to_image = 1;
};

/// One unit is up to 64 channels of one image.
int64_t global_pool_count(const GlobalPool& pool);
void run_global_pool(const GlobalPool& pool, const float* from, float* to, int64_t begin,
                     int64_t end);
/// At most 2^23 pixels.
void run_global_pool(const GlobalPool& pool, const PoolQuantization& quantization,
                     const uint8_t* from, uint8_t* to, int64_t begin, int64_t end);

}  // namespace lathe
