// The product in plain C++: the fallback, and what the other variants are tested against.
#include <cmath>

#include "kernels/integer_epilogue_scalar.h"
#include "kernels/integer_product_panels.h"
#include "kernels/integer_product_variants.h"

namespace lathe {
namespace {

constexpr int64_t kScalarLanes = 8;
constexpr int64_t kMostVectors = 2;

void run_tile(const ProductTile& tile) {
  const PackedProduct& product = *tile.product;
  const ProductPanel& panel = tile.panel;
  const int8_t* weights = product.weights.get() + panel.first * product.taps * product.depth;
  for (int64_t r = 0; r < tile.rows; ++r) {
    for (int64_t v = 0; v < panel.vectors; ++v) {
      for (int64_t lane = 0; lane < kScalarLanes; ++lane) {
        const int64_t column =
            panel_column(!tile.epilogue->float_output, panel.vectors, kScalarLanes, v, lane);
        if (panel.first + column >= product.columns) continue;
        int32_t sum = 0;
        const int8_t* w = weights + v * kScalarLanes * 4 + lane * 4;
        for (int64_t tap = 0; tap < product.taps; ++tap) {
          if (tile.pixels[tap * tile.rows] == nullptr) {
            w += product.depth * panel.vectors * kScalarLanes;
            continue;
          }
          const uint8_t* pixel = tile.pixels[tap * tile.rows + r];
          for (int64_t k = 0; k < product.depth; k += 4, w += panel.vectors * kScalarLanes * 4)
            for (int i = 0; i < 4; ++i) sum += int32_t{pixel[k + i]} * w[i];
        }
        const auto place = static_cast<size_t>(panel.first + v * kScalarLanes + lane);
        store_finished(std::fma(static_cast<float>(sum), product.scale[place], product.bias[place]),
                       *tile.epilogue, tile.residual, r * tile.residual_pitch + column, tile.output,
                       r * tile.output_pitch + column);
      }
    }
  }
}

}  // namespace

const ProductVariant& product_scalar() {
  static constexpr ProductVariant kVariant = {"product:scalar", kScalarLanes, kMostVectors,
                                              [](int64_t) -> int64_t { return 4; }, run_tile};
  return kVariant;
}

}  // namespace lathe
