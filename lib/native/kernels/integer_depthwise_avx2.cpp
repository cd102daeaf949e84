// The depthwise convolution on 256-bit vectors: sixteen channels of four outputs at a time, two
// taps side by side in 16 bits for vpmaddwd.
#include <immintrin.h>

#include "kernels/integer_depthwise_lines.h"
#include "kernels/integer_depthwise_variants.h"
#include "kernels/integer_epilogue.h"
#include "kernels/integer_product_panels.h"

#pragma GCC target("avx2,fma")

#include "kernels/integer_epilogue_avx2.h"

namespace lathe {
namespace {

constexpr int64_t kChannels = kDepthwiseChannelsAvx2;
constexpr int64_t kOutputs = 4;

template <bool kWhole>
[[gnu::always_inline]] inline __m256i load_words(const uint8_t* from, int64_t count) {
  return _mm256_cvtepu8_epi16(load_bytes(from, kWhole ? kChannels : count));
}

// Taps come in pairs; an odd one has a partner with zero weights. `lines`: of the first output.
template <bool kWhole>
[[gnu::always_inline]] inline void accumulate(const PackedDepthwise& packed,
                                              const uint8_t* const* lines, int64_t length,
                                              int64_t channel, __m256i (&sums)[kOutputs][2]) {
  const DepthwiseWindow& window = packed.window;
  const int64_t taps = window.kernel_height * window.kernel_width;
  const int64_t count = packed.channels - channel;
  const int64_t stride = window.stride_width;
  const int8_t* weights = packed.weights.data() + channel * ((taps + 1) / 2 * 2);
#pragma GCC unroll 4
  for (int o = 0; o < kOutputs; ++o) sums[o][0] = sums[o][1] = _mm256_setzero_si256();
  int64_t k = 0;
  for (int64_t tap = 0; tap < taps; tap += 2, weights += 2 * kChannels) {
    const auto* both = reinterpret_cast<const __m128i*>(weights);
    const __m256i low = _mm256_cvtepi8_epi16(_mm_loadu_si128(both));
    const __m256i high = _mm256_cvtepi8_epi16(_mm_loadu_si128(both + 1));
    const uint8_t* const* one = lines + k * window.dilation_width;
    const uint8_t* const* other = one;
    if (tap + 1 < taps) {
      if (++k == window.kernel_width) k = 0, lines += length;
      other = lines + k * window.dilation_width;
      if (++k == window.kernel_width) k = 0, lines += length;
    }
#pragma GCC unroll 4
    for (int o = 0; o < kOutputs; ++o) {
      const __m256i a = load_words<kWhole>(one[o * stride] + channel, count);
      const __m256i b = load_words<kWhole>(other[o * stride] + channel, count);
      sums[o][0] =
          _mm256_add_epi32(sums[o][0], _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), low));
      sums[o][1] =
          _mm256_add_epi32(sums[o][1], _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), high));
    }
  }
}

void store_floats(const DepthwiseRows& rows, const __m256i (&sums)[2], int64_t pixel,
                  int64_t channel, int64_t count) {
  alignas(32) float values[2][8];
  for (int v = 0; v < 2; ++v)
    _mm256_store_ps(values[v],
                    finished_floats(sums[v], rows.depthwise->scale.data() + channel + 8 * v,
                                    rows.depthwise->bias.data() + channel + 8 * v, *rows.epilogue));
  float* output = static_cast<float*>(rows.output) + pixel * rows.output_pitch + channel;
  for (int v = 0; v < 2; ++v) {
    for (int lane = 0; lane < 8; ++lane) {
      const int64_t column = panel_column(true, 2, 8, v, lane);
      if (column < count) output[column] = values[v][lane];
    }
  }
}

void store(const DepthwiseRows& rows, const __m256i (&sums)[2], int64_t pixel, int64_t channel,
           int64_t count) {
  if (rows.epilogue->float_output) return store_floats(rows, sums, pixel, channel, count);
  const __m128i residual =
      rows.epilogue->has_residual
          ? load_bytes(rows.residual + pixel * rows.residual_pitch + channel, count)
          : _mm_setzero_si128();
  store_bytes(static_cast<uint8_t*>(rows.output) + pixel * rows.output_pitch + channel,
              finished_bytes<2>(sums, rows.depthwise->scale.data() + channel,
                                rows.depthwise->bias.data() + channel, residual, *rows.epilogue),
              count);
}

// One block of channels of kOutputs outputs from (row, column) on.
template <bool kWhole>
void run_block(const DepthwiseRows& rows, int64_t row, int64_t column, int64_t channel,
               const uint8_t* const* lines, int64_t length) {
  const PackedDepthwise& packed = *rows.depthwise;
  const ProductEpilogue& epilogue = *rows.epilogue;
  const int64_t count = kWhole ? kChannels : packed.channels - channel;
  const int64_t pixel = row * rows.output_width + column;
  const int64_t left = rows.output_width - column;
  __m256i sums[kOutputs][2];
  accumulate<kWhole>(packed, lines + column * packed.window.stride_width, length, channel, sums);
  if (is_plain(epilogue, packed.may_overflow) && epilogue.table == nullptr) {
    const int64_t pitch = rows.output_pitch;
    auto* output = static_cast<uint8_t*>(rows.output) + pixel * pitch + channel;
    const uint8_t low = epilogue.low;
    const uint8_t high = epilogue.high;
    quantize_plain(sums, packed.scale.data() + channel, packed.bias.data() + channel);
#pragma GCC unroll 4
    for (int o = 0; o < kOutputs; ++o)
      if (o < left)
        store_bytes(output + o * pitch, bounded_bytes(narrowed<2>(sums[o]), low, high), count);
    return;
  }
  // A copy, so that the sums themselves need no address and stay in registers above.
  __m256i kept[kOutputs][2];
#pragma GCC unroll 4
  for (int o = 0; o < kOutputs; ++o) {
    kept[o][0] = sums[o][0];
    kept[o][1] = sums[o][1];
  }
  for (int64_t o = 0; o < kOutputs && o < left; ++o)
    store(rows, kept[o], pixel + o, channel, count);
}

void run(const DepthwiseRows& rows, const uint8_t** lines) {
  const int64_t channels = rows.depthwise->channels;
  const int64_t whole = channels / kChannels * kChannels;
  const int64_t length = line_length(rows);
  for (int64_t y = rows.row_begin; y < rows.row_end; ++y) {
    point_at_row(rows, y, length, lines);
    for (int64_t x = 0; x < rows.output_width; x += kOutputs) {
      for (int64_t channel = 0; channel < whole; channel += kChannels)
        run_block<true>(rows, y, x, channel, lines, length);
      if (whole < channels) run_block<false>(rows, y, x, whole, lines, length);
    }
  }
}

}  // namespace

const DepthwiseVariant& depthwise_avx2() {
  static constexpr DepthwiseVariant kVariant = {"depthwise:avx2", pack_depthwise_avx2, run};
  return kVariant;
}

}  // namespace lathe
