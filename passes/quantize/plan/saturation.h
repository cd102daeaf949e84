// What VPMADDUBSW does to a layer: the instruction multiplies unsigned 8-bit inputs with signed
// 8-bit weights and adds the products of two neighbours in saturating 16 bits (Intel 64 and IA-32
// Architectures Software Developer's Manual, PMADDUBSW). Processors with AVX2 or AVX-512 but
// without VNNI compute their int8 products with it.
//
// The model is ONNX Runtime's MLAS on such a processor:
// - Neighbours are elements 2i and 2i+1 of the reduction axis. A convolution's is ordered (kernel
//   position, input channel), channels fastest (QLinearConv's ReorderFilter and its NHWC im2col);
//   padding holds the zero point. A matrix product's is the inner dimension.
// - Zero points are settled outside of the sums; int8 inputs are shifted by 128 to be unsigned.
// - Exact are depthwise convolutions (one input and output channel a group: 32-bit sums), uint8
//   weights (16-bit by 16-bit products), and ConvTranspose (no integer kernel).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/graph.h"

namespace at {
class Tensor;
}

namespace lathe {

/// The constant int8 weights of a layer as rows of the reduction axis.
struct PairLayer {
  int64_t groups = 1;
  int64_t outputs = 0;            // of a group
  int64_t inputs = 0;             // length of a row
  int64_t channels = 0;           // of a group, of a convolution
  std::vector<int64_t> kernel;    // of a convolution; empty: a matrix product
  bool transposed_input = false;  // Gemm with transA
  std::vector<int8_t> rows;       // [groups * outputs, inputs], neighbours beside each other
  /// False: a stack of matrices; only its bound is known.
  bool countable = true;

  bool is_conv() const { return !kernel.empty(); }
};

/// The layer that `node` (Conv, ConvInteger, QLinearConv, Gemm, QGemm, MatMul, MatMulInteger, …)
/// computes with the integers `weight`; nullopt when its sums are exact or it has no such form.
std::optional<PairLayer> pair_layer(const Node& node, const Tensor& weight);

/// How far a pair sum can go with any inputs, whichever two weights of a row are neighbours.
struct SaturationBound {
  int64_t largest = 0;  // |x_a w_a + x_b w_b| with x of 0..255
  int64_t rows = 0;     // output channels whose pairs can leave 16 bits
  bool possible() const { return rows > 0; }
};
SaturationBound saturation_bound(const PairLayer& layer);

/// By how much the scale of each channel's weights must grow so that no two of its integers leave
/// 16 bits, an integer more or less from rounding included: 1 where they cannot now, below 2.1
/// elsewhere. `scales`: 1 gives the largest factor alone.
std::vector<float> widening_factors(const PairLayer& layer, size_t scales);

struct SaturationCount {
  int64_t pairs = 0;       // sums that were formed
  int64_t saturating = 0;  // of them beyond 16 bits
  int64_t near = 0;        // of them beyond kNearShare of 16 bits, the former included
  /// Squared error of every output channel, in the units of `scales`; empty: none.
  std::vector<double> lost;

  void merge(const SaturationCount& next);
  double share() const {
    return pairs == 0 ? 0.0 : static_cast<double>(saturating) / static_cast<double>(pairs);
  }
};

/// Sums beyond this share of 16 bits are counted as near: other data may go further.
constexpr double kNearShare = 0.9;

/// Counts the pairs of one execution. `input`: the layer's input as unsigned integers 0..255 in
/// float32; `padding`: the integer in a convolution's padding. `scales`: what one step of an output
/// channel is worth, one for all or one a channel. `correction`, when given, becomes what
/// saturation adds to the exact integer sums, in the shape of the node's output, float32; it stays
/// undefined when nothing saturates. `node` gives the geometry.
SaturationCount count_pairs(const PairLayer& layer, const Node& node, const at::Tensor& input,
                            float padding, const std::vector<float>& scales,
                            at::Tensor* correction = nullptr);

}  // namespace lathe
