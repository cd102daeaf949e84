// The depthwise convolution on 512-bit vectors with VNNI. The bytes of up to four kernel rows of a
// column are interleaved, so that one vpdpbusd sums four taps of sixteen channels. An interleaved
// column serves all outputs that read it: four neighbouring outputs are computed together.
#include <immintrin.h>

#include "kernels/integer_depthwise_lines.h"
#include "kernels/integer_depthwise_variants.h"
#include "kernels/integer_epilogue.h"

// GCC 12's own intrinsics start from a variable without a value.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")

#include "kernels/integer_epilogue_avx512.h"

namespace lathe {
namespace {

constexpr int kOutputs = 4;  // neighbours computed together
using Sums = __m512i[kOutputs][4];

// Where a vector has several outputs (`kRuns`), they are kOutputs apart: then all of its lanes go
// through the same steps.
template <int kRuns>
[[gnu::always_inline]] inline __m512i load(const uint8_t* const* pointers, int64_t step,
                                           int64_t channel, __mmask16 mask) {
  if constexpr (kRuns == 1) {
    return _mm512_loadu_si512(pointers[0] + channel);
  } else if constexpr (kRuns == 2) {
    const auto* low = reinterpret_cast<const __m256i*>(pointers[0] + channel);
    const auto* high = reinterpret_cast<const __m256i*>(pointers[step] + channel);
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(low)),
                              _mm256_loadu_si256(high), 1);
  } else {
    __m512i all = _mm512_castsi128_si512(_mm_maskz_loadu_epi8(mask, pointers[0] + channel));
    all = _mm512_inserti32x4(all, _mm_maskz_loadu_epi8(mask, pointers[step] + channel), 1);
    all = _mm512_inserti32x4(all, _mm_maskz_loadu_epi8(mask, pointers[2 * step] + channel), 2);
    return _mm512_inserti32x4(all, _mm_maskz_loadu_epi8(mask, pointers[3 * step] + channel), 3);
  }
}

constexpr int64_t block_weights(const DepthwiseWindow& window) {
  return (window.kernel_height + 3) / 4 * window.kernel_width * 256;
}

// Rows that a group of four does not have repeat one that is there: their weights are zero.
template <int kRows>
[[gnu::always_inline]] inline void interleave(const __m512i (&row)[kRows], __m512i (&quad)[4]) {
  constexpr int kOther = kRows > 2 ? 2 : 0;
  const __m512i low = _mm512_unpacklo_epi8(row[0], row[kRows > 1 ? 1 : 0]);
  const __m512i high = _mm512_unpackhi_epi8(row[0], row[kRows > 1 ? 1 : 0]);
  const __m512i other_low = _mm512_unpacklo_epi8(row[kOther], row[kRows - 1]);
  const __m512i other_high = _mm512_unpackhi_epi8(row[kOther], row[kRows - 1]);
  quad[0] = _mm512_unpacklo_epi16(low, other_low);
  quad[1] = _mm512_unpackhi_epi16(low, other_low);
  quad[2] = _mm512_unpacklo_epi16(high, other_high);
  quad[3] = _mm512_unpackhi_epi16(high, other_high);
}

// Where the kernel lies for the first of the outputs.
struct Place {
  const uint8_t* const* lines;
  int64_t length;   // of a line
  int64_t channel;  // first of the block
  __mmask16 mask;   // of channels, where a block has 16
};

// Rows kGroup * 4 ... of a square kernel.
template <int kKernel, int kStride, int kRuns, int kGroup>
[[gnu::always_inline]] inline void accumulate_group(const int8_t* weights, const Place& place,
                                                    Sums& sums) {
  constexpr int kColumns = (kOutputs - 1) * kStride + kKernel;
  constexpr int kRows = kKernel - 4 * kGroup < 4 ? kKernel - 4 * kGroup : 4;
#pragma GCC unroll 16
  for (int column = 0; column < kColumns; ++column) {
    __m512i row[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
      row[r] = load<kRuns>(place.lines + (kGroup * 4 + r) * place.length + column,
                           kOutputs * kStride, place.channel, place.mask);
    __m512i quad[4];
    interleave<kRows>(row, quad);
#pragma GCC unroll 4
    for (int o = 0; o < kOutputs; ++o) {
      const int tap = column - o * kStride;
      if (tap < 0 || tap >= kKernel) continue;
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v)
        sums[o][v] = _mm512_dpbusd_epi32(
            sums[o][v], quad[v],
            _mm512_loadu_si512(weights + ((kGroup * kKernel + tap) * 4 + v) * 64));
    }
  }
}

template <int kKernel, int kStride, int kRuns>
[[gnu::always_inline]] inline void accumulate_square(const int8_t* weights, const Place& place,
                                                     Sums& sums) {
  accumulate_group<kKernel, kStride, kRuns, 0>(weights, place, sums);
  if constexpr (kKernel > 4) accumulate_group<kKernel, kStride, kRuns, 1>(weights, place, sums);
}

// Any kernel.
template <int kRuns>
[[gnu::always_inline]] inline void accumulate_any(const DepthwiseWindow& window,
                                                  const int8_t* weights, const Place& place,
                                                  Sums& sums) {
  const int64_t stride = window.stride_width;
  for (int64_t y = 0; y < window.kernel_height; y += 4) {
    for (int64_t k = 0; k < window.kernel_width; ++k, weights += 256) {
#pragma GCC unroll 4
      for (int o = 0; o < kOutputs; ++o) {
        __m512i row[4];
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
          const int64_t there = y + r < window.kernel_height ? y + r : y;
          row[r] = load<kRuns>(
              place.lines + there * place.length + o * stride + k * window.dilation_width,
              kOutputs * stride, place.channel, place.mask);
        }
        __m512i quad[4];
        interleave<4>(row, quad);
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v)
          sums[o][v] =
              _mm512_dpbusd_epi32(sums[o][v], quad[v], _mm512_loadu_si512(weights + 64 * v));
      }
    }
  }
}

// The outputs of a vector go to every `step`th byte; `left` columns of the row are left.
template <int kRuns>
[[gnu::always_inline]] inline void store_bytes(uint8_t* output, int64_t step, int64_t left,
                                               __m512i bytes, __mmask16 mask) {
  if constexpr (kRuns == 1) {
    _mm512_storeu_si512(output, bytes);
  } else if constexpr (kRuns == 2) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(output), _mm512_castsi512_si256(bytes));
    if (left > kOutputs)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(output + step),
                          _mm512_extracti64x4_epi64(bytes, 1));
  } else {
    const __m128i parts[4] = {_mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1),
                              _mm512_extracti32x4_epi32(bytes, 2),
                              _mm512_extracti32x4_epi32(bytes, 3)};
#pragma GCC unroll 4
    for (int run = 0; run < kRuns; ++run) {
      if (run * kOutputs >= left) break;
      if (mask == 0xffff)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(output + run * step), parts[run]);
      else
        _mm_mask_storeu_epi8(output + run * step, mask, parts[run]);
    }
  }
}

template <int kRuns>
[[gnu::always_inline]] inline __m512i load_residual(const DepthwiseRows& rows, int64_t pixel,
                                                    int64_t column, int64_t channel,
                                                    __mmask16 mask) {
  if (!rows.epilogue->has_residual) return _mm512_setzero_si512();
  const uint8_t* pointers[kRuns];
  for (int run = 0; run < kRuns; ++run) {
    const bool there = column + run * kOutputs < rows.output_width;
    pointers[run] = rows.residual + (pixel + (there ? run * kOutputs : 0)) * rows.residual_pitch;
  }
  return load<kRuns>(pointers, 1, channel, mask);
}

template <int kRuns>
void store_floats(const DepthwiseRows& rows, const DepthwiseBlock& block, const __m512i (&sums)[4],
                  int64_t pixel, int64_t column) {
  alignas(64) float values[4][16];
  for (int v = 0; v < 4; ++v) {
    const int64_t place = block.index * 64 + 16 * v;
    _mm512_store_ps(values[v],
                    finished_floats(sums[v], rows.depthwise->scale.data() + place,
                                    rows.depthwise->bias.data() + place, *rows.epilogue));
  }
  for (int run = 0; run < kRuns && column + run * kOutputs < rows.output_width; ++run) {
    float* output = static_cast<float*>(rows.output) +
                    (pixel + run * kOutputs) * rows.output_pitch + block.first;
    for (int v = 0; v < 4; ++v) {
      for (int lane = 0; lane < 16 / kRuns; ++lane) {
        const int64_t c = depthwise_channel(block.width, v, lane);
        if (block.first + c < rows.depthwise->channels)
          output[c] = values[v][run * (16 / kRuns) + lane];
      }
    }
  }
}

// kOutputs x kRuns outputs of one block of channels from (row, column) on.
template <int kRuns>
[[gnu::always_inline]] inline void store_outputs(const DepthwiseRows& rows,
                                                 const DepthwiseBlock& block, Sums& sums,
                                                 int64_t row, int64_t column, __mmask16 mask) {
  const ProductEpilogue& epilogue = *rows.epilogue;
  const float* scale = rows.depthwise->scale.data() + block.index * 64;
  const float* bias = rows.depthwise->bias.data() + block.index * 64;
  const int64_t pixel = row * rows.output_width + column;
  if (is_plain(epilogue, rows.depthwise->may_overflow)) {
    const ByteBounds bounds(epilogue.low, epilogue.high);
    auto* output = static_cast<uint8_t*>(rows.output) + pixel * rows.output_pitch + block.first;
    const int64_t pitch = rows.output_pitch;
    const int64_t left = rows.output_width - column;
    quantize_plain(sums, scale, bias);
#pragma GCC unroll 4
    for (int o = 0; o < kOutputs; ++o)
      if (o < left)
        store_bytes<kRuns>(output + o * pitch, kOutputs * pitch, left - o,
                           bounded_bytes(narrowed<4>(sums[o]), bounds), mask);
    if (epilogue.table == nullptr) return;
    constexpr int64_t kPixels = kOutputs * kRuns;
    const __mmask64 channels = kRuns == 1 ? ~__mmask64{0} : kRuns == 2 ? 0xffffffff : mask;
    through_table({output, left < kPixels ? left : kPixels, pitch, channels}, epilogue.table);
    return;
  }
  // A copy, so that the sums themselves need no address and stay in registers.
  Sums kept;
#pragma GCC unroll 4
  for (int o = 0; o < kOutputs; ++o)
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) kept[o][v] = sums[o][v];
  for (int o = 0; o < kOutputs && column + o < rows.output_width; ++o) {
    if (epilogue.float_output) {
      store_floats<kRuns>(rows, block, kept[o], pixel + o, column + o);
      continue;
    }
    const __m512i residual = load_residual<kRuns>(rows, pixel + o, column + o, block.first, mask);
    const __m512i bytes = epilogue.activation == ProductActivation::kNone
                              ? finished_bytes<false>(kept[o], scale, bias, residual, epilogue)
                              : finished_bytes<true>(kept[o], scale, bias, residual, epilogue);
    store_bytes<kRuns>(
        static_cast<uint8_t*>(rows.output) + (pixel + o) * rows.output_pitch + block.first,
        kOutputs * rows.output_pitch, rows.output_width - column - o, bytes, mask);
  }
  if (epilogue.table == nullptr || epilogue.float_output) return;
  constexpr int64_t kAll = kOutputs * kRuns;
  const int64_t left = rows.output_width - column;
  const __mmask64 channels = kRuns == 1 ? ~__mmask64{0} : kRuns == 2 ? 0xffffffff : mask;
  through_table({static_cast<uint8_t*>(rows.output) + pixel * rows.output_pitch + block.first,
                 left < kAll ? left : kAll, rows.output_pitch, channels},
                epilogue.table);
}

// One block of channels of the outputs `begin` to `end` of a row. Inlined, GCC would compute the
// addresses of all three kinds of blocks together and run out of registers.
template <int kKernel, int kStride, int kRuns>
[[gnu::noinline]] void run_block(const DepthwiseRows& rows, const DepthwiseBlock& block,
                                 int64_t row, int64_t begin, int64_t end,
                                 const uint8_t* const* lines, int64_t length) {
  const PackedDepthwise& packed = *rows.depthwise;
  const DepthwiseWindow& window = packed.window;
  const int64_t left = packed.channels - block.first;
  const auto mask = static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
  const int8_t* weights = packed.weights.data() + block.index * block_weights(window);
  for (int64_t column = begin; column < end; column += kRuns * kOutputs) {
    const Place place = {lines + column * window.stride_width, length, block.first, mask};
    Sums sums;
#pragma GCC unroll 4
    for (int o = 0; o < kOutputs; ++o)
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) sums[o][v] = _mm512_setzero_si512();
    if constexpr (kKernel > 0)
      accumulate_square<kKernel, kStride, kRuns>(weights, place, sums);
    else
      accumulate_any<kRuns>(window, weights, place, sums);
    store_outputs<kRuns>(rows, block, sums, row, column, mask);
  }
}

// All channels of a few columns before the next ones, while the input is in the nearest cache.
// kKernel 0: any kernel.
template <int kKernel, int kStride>
void run_all(const DepthwiseRows& rows, const uint8_t** lines) {
  const int64_t channels = rows.depthwise->channels;
  const int64_t width = rows.output_width;
  const int64_t length = line_length(rows);
  for (int64_t row = rows.row_begin; row < rows.row_end; ++row) {
    point_at_row(rows, row, length, lines);
    for (int64_t begin = 0; begin < width; begin += kOutputsTogether) {
      const int64_t end = begin + kOutputsTogether < width ? begin + kOutputsTogether : width;
      for (DepthwiseBlock block = depthwise_block(channels, 0, 0); block.first < channels;
           block = next_block(channels, block)) {
        const auto run = block.width == 64   ? run_block<kKernel, kStride, 1>
                         : block.width == 32 ? run_block<kKernel, kStride, 2>
                                             : run_block<kKernel, kStride, 4>;
        run(rows, block, row, begin, end, lines, length);
      }
    }
  }
}

void run(const DepthwiseRows& rows, const uint8_t** lines) {
  const DepthwiseWindow& window = rows.depthwise->window;
  const bool square = window.kernel_height == window.kernel_width && window.dilation_width == 1;
  const int64_t kind = square ? 10 * window.kernel_width + window.stride_width : 0;
  switch (kind) {
    case 31: return run_all<3, 1>(rows, lines);
    case 32: return run_all<3, 2>(rows, lines);
    case 51: return run_all<5, 1>(rows, lines);
    case 52: return run_all<5, 2>(rows, lines);
    case 71: return run_all<7, 1>(rows, lines);
    case 72: return run_all<7, 2>(rows, lines);
    default: return run_all<0, 0>(rows, lines);
  }
}

}  // namespace

const DepthwiseVariant& depthwise_avx512() {
  static constexpr DepthwiseVariant kVariant = {"depthwise:avx512_vnni", pack_depthwise_avx512,
                                                run};
  return kVariant;
}

}  // namespace lathe
