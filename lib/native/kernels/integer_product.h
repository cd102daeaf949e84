// Products of uint8 rows with int8 columns, summed exactly in int32, and what becomes of the sums:
// convolutions, Gemm and MatMul with constant weights all end here.
//
// A convolution is a product whose rows are gathered: for each tap of the kernel one pointer to the
// channels of a pixel. Padding is a pointer to a row of zero points, so that zero points cost
// nothing but a bias. (The indirection of Dukhan, "The Indirect Convolution Algorithm",
// arXiv 1907.02129.)
//
// The sums are integers, the conversion to the output uses one fused multiply-add an element in
// every variant and activations the same operations in the same order, so all processors give the
// same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace lathe {

/// Which instructions a variant uses.
enum class KernelIsa : uint8_t {
  kScalar,
  kAvx2,        // vpmaddubsw where the weights cannot saturate it, vpmaddwd elsewhere
  kAvx512Vnni,  // vpdpbusd on 512 bits
  kNeon,        // 64-bit Arm: products of 8 bits added in pairs
  kNeonDot,     // sdot
  kNeonI8mm,    // usmmla
};

/// Those that instructions() allows, the best one last.
std::vector<KernelIsa> usable_kernel_isas();
KernelIsa best_kernel_isa();

/// Elementwise function between the sum and its quantization, on real numbers.
enum class ProductActivation : uint8_t { kNone, kSilu, kHardSwish, kSigmoid, kGelu, kTanh };
constexpr int kProductActivations = static_cast<int>(ProductActivation::kTanh) + 1;

struct ProductTile;

/// int8 weights in the order that a variant reads, with the factors and terms of each column.
struct PackedProduct {
  KernelIsa isa = KernelIsa::kScalar;
  std::string_view name;  // of its instructions: "product:neon_dot"
  void (*run)(const ProductTile& tile) = nullptr;
  int64_t taps = 1;     // pixels that make a row
  int64_t depth = 0;    // channels of each, up to a multiple of 4; taps * depth: at most 65 793
  int64_t columns = 0;  // output channels
  /// Two neighbouring products never leave 16 bits: vpmaddubsw is exact.
  bool narrow = false;
  /// A result before clamping may exceed what converts to int32.
  bool may_overflow = false;
  std::shared_ptr<const int8_t[]> weights;  // packed_product_bytes of them
  std::vector<float> scale;                 // by packed column
  std::vector<float> bias;
  /// Of variants that take bytes as signed, 128 less: 128 times the sum of a column's weights.
  std::vector<int32_t> start;
};

/// What the sums become: y = sum * scale[c] + bias[c], and then
///   float output: activation(y);
///   uint8 output: q = clamp(round(y), low, high) where scale and bias lead into output units and
///   the zero point is part of the bias, too; with an activation y is real and q =
///   round(activation(y) * inverse_scale + zero_point).
/// Then, where asked, q2 = clamp(round(q * own_factor + residual * residual_factor + offset),
/// sum_low, sum_high) and table[q]. Rounding is half to even.
struct ProductEpilogue {
  bool float_output = false;
  ProductActivation activation = ProductActivation::kNone;
  float inverse_scale = 1;
  float zero_point = 0;
  uint8_t low = 0;
  uint8_t high = 255;
  bool has_residual = false;
  float own_factor = 1;
  float residual_factor = 1;
  float offset = 0;
  uint8_t sum_low = 0;
  uint8_t sum_high = 255;
  float float_low = -3.4028234663852886e38f;  // float output: bounds behind the activation
  float float_high = 3.4028234663852886e38f;
  const uint8_t* table = nullptr;  // 256 entries
};

/// int8 weights: columns x taps x depth, whatever the depth. `float_output` decides the order of
/// the columns inside.
struct ProductWeights {
  const int8_t* values = nullptr;
  int64_t columns = 0;
  int64_t taps = 1;
  int64_t depth = 0;
  bool float_output = false;
};

/// Bytes of packed weights, and the packing; the order depends on `isa` and kPackingVersion.
size_t packed_product_bytes(KernelIsa isa, const ProductWeights& weights);
void pack_product_weights(KernelIsa isa, const ProductWeights& weights, int8_t* to);
/// Another number when packed weights lie in another order than before.
constexpr uint32_t kPackingVersion = 1;

/// `scale` and `bias`: one per column. `packed`: what pack_product_weights wrote before; null: it
/// is called here.
PackedProduct pack_product(KernelIsa isa, const ProductWeights& weights, const float* scale,
                           const float* bias, std::shared_ptr<const int8_t[]> packed = nullptr);

/// Output channels that are computed together.
struct ProductPanel {
  int64_t first = 0;    // column
  int64_t vectors = 0;  // of the variant's lanes
  int64_t rows = 0;     // that it computes at a time, at most
};

/// Work is divided in these.
std::vector<ProductPanel> product_panels(const PackedProduct& product);
constexpr int64_t kMaxProductRows = 16;

/// One tile: `rows` (at most panel.rows) x one panel.
struct ProductTile {
  const PackedProduct* product = nullptr;
  const ProductEpilogue* epilogue = nullptr;
  ProductPanel panel;
  int64_t rows = 0;
  /// pixels[tap * rows + row] points to `depth` readable bytes. Where the first row of a tap is
  /// null, the tap is skipped: all rows of the tile have zeros there (padding with zero point 0).
  const uint8_t* const* pixels = nullptr;
  /// First column of the panel at the first row; pitches from row to row are
  /// in elements.
  void* output = nullptr;
  int64_t output_pitch = 0;
  const uint8_t* residual = nullptr;  // the panel's first column too
  int64_t residual_pitch = 0;
};

inline void run_product_tile(const ProductTile& tile) { tile.product->run(tile); }

}  // namespace lathe
