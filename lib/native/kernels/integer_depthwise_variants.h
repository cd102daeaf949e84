// The variants of the depthwise convolution, one for each set of instructions.
#pragma once

#include "kernels/integer_depthwise.h"

namespace lathe {

struct DepthwiseVariant {
  std::string_view name;
  /// Fills weights, scale and bias, and start where the variant wants it.
  void (*pack)(PackedDepthwise& to, const int8_t* weights, const float* scale,
               const float* bias) = nullptr;
  /// `lines`: room for kernel_height * line_length pointers.
  void (*run)(const DepthwiseRows& rows, const uint8_t** lines) = nullptr;
};

// Packing is apart from the variants, whose files are compiled for their processors only.
void pack_depthwise_avx512(PackedDepthwise& to, const int8_t* weights, const float* scale,
                           const float* bias);
void pack_depthwise_avx2(PackedDepthwise& to, const int8_t* weights, const float* scale,
                         const float* bias);
void pack_depthwise_scalar(PackedDepthwise& to, const int8_t* weights, const float* scale,
                           const float* bias);
void pack_depthwise_neon(PackedDepthwise& to, const int8_t* weights, const float* scale,
                         const float* bias);
void pack_depthwise_neon_dot(PackedDepthwise& to, const int8_t* weights, const float* scale,
                             const float* bias);

constexpr int64_t kDepthwiseChannelsAvx2 = 16;  // of one block

/// Block of channels of the AVX-512 variant. A vector of 64 bytes holds `width` channels (64, 32 or
/// 16) of 64 / width outputs, so that few channels fill it too.
struct DepthwiseBlock {
  int64_t index = 0;
  int64_t first = 0;
  int64_t width = 64;
};

constexpr DepthwiseBlock depthwise_block(int64_t channels, int64_t first, int64_t index) {
  const int64_t left = channels - first;
  return {index, first, left >= 64 ? 64 : left >= 32 ? 32 : 16};
}

/// The next block; there is none when its `first` is `channels` or more.
constexpr DepthwiseBlock next_block(int64_t channels, DepthwiseBlock block) {
  return depthwise_block(channels, block.first + block.width, block.index + 1);
}

/// Channel of the block in lane `lane` of vector `vector` of 4: unpacking bytes to 32-bit lanes
/// makes this order, and narrowing undoes it.
constexpr int64_t depthwise_channel(int64_t width, int64_t vector, int64_t lane) {
  return lane / 4 * 16 % width + vector * 4 + lane % 4;
}

const DepthwiseVariant& depthwise_avx512();
const DepthwiseVariant& depthwise_avx2();
const DepthwiseVariant& depthwise_neon();
const DepthwiseVariant& depthwise_neon_dot();
const DepthwiseVariant& depthwise_scalar();

}  // namespace lathe
