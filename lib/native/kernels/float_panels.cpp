#include "kernels/float_panels.h"

#include <cmath>
#include <cstring>

#include "kernels/float_panels_variants.h"
#include "kernels/integer_product_panels.h"

namespace lathe {
namespace {

void multiply_panel_scalar(const FloatPanel& panel, const MatrixRows& rows) {
  const int64_t width = panel.lines * kFloatLanes;
  for (int64_t r = 0; r < rows.count; ++r) {
    const float* row = rows.rows[r];
    float sums[kMostPanelLines * kFloatLanes];
    std::memcpy(sums, rows.initial + r * rows.initial_pitch + panel.first,
                static_cast<size_t>(width) * sizeof(float));
    for (int64_t k = 0; k < panel.depth; ++k)
      for (int64_t c = 0; c < width; ++c)
        sums[c] = std::fma(row[k], panel.weights[k * width + c], sums[c]);
    std::memcpy(rows.output + r * rows.output_pitch + panel.first, sums,
                static_cast<size_t>(width) * sizeof(float));
  }
}

using MultiplyPanel = void (*)(const FloatPanel&, const MatrixRows&);

MultiplyPanel multiply_variant_of(KernelIsa isa) {
  switch (isa) {
    case KernelIsa::kAvx512Vnni: return multiply_panel_avx512;
    case KernelIsa::kAvx2: return multiply_panel_avx2;
    case KernelIsa::kScalar: break;
  }
  return multiply_panel_scalar;
}

}  // namespace

PackedMatrix pack_matrix(KernelIsa isa, const float* weights, int64_t columns, int64_t depth) {
  PackedMatrix matrix;
  matrix.isa = isa;
  matrix.depth = depth;
  matrix.columns = columns;
  matrix.values.resize(static_cast<size_t>(columns / kFloatLanes * depth));
  const int64_t panels = panel_count(columns, kFloatLanes, kMostPanelLines);
  float* to = matrix.values.data()->x;
  for (int64_t p = 0; p < panels; ++p) {
    const ProductPanel panel = panel_at(columns, kFloatLanes, kMostPanelLines, p);
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t c = 0; c < panel.vectors * kFloatLanes; ++c)
        *to++ = weights[(panel.first + c) * depth + k];
  }
  return matrix;
}

void multiply_rows(const PackedMatrix& matrix, const MatrixRows& rows, bool backwards) {
  const int64_t panels = panel_count(matrix.columns, kFloatLanes, kMostPanelLines);
  const MultiplyPanel multiply = multiply_variant_of(matrix.isa);
  for (int64_t i = 0; i < panels; ++i) {
    const ProductPanel panel =
        panel_at(matrix.columns, kFloatLanes, kMostPanelLines, backwards ? panels - 1 - i : i);
    multiply({matrix.values.data()->x + panel.first * matrix.depth, matrix.depth, panel.first,
              panel.vectors},
             rows);
  }
}

}  // namespace lathe
