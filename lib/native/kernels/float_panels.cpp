#include "kernels/float_panels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/float_panels_variants.h"
#include "kernels/integer_product_panels.h"

namespace lathe {
namespace {

struct FloatVariant {
  std::string_view name;
  void (*multiply)(const FloatPanel&, const MatrixRows&);
};

FloatVariant float_variant(KernelIsa isa) {
  switch (isa) {
    case KernelIsa::kAvx512Vnni: return {":avx512", multiply_panel_avx512};
    case KernelIsa::kAvx2: return {":avx2", multiply_panel_avx2};
    case KernelIsa::kNeon:
    case KernelIsa::kNeonDot:
    case KernelIsa::kNeonI8mm: return {":neon", multiply_panel_neon};
    case KernelIsa::kScalar: break;
  }
  return {"", multiply_panel_scalar};
}

}  // namespace

std::string_view float_instructions(KernelIsa isa) { return float_variant(isa).name; }

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

void pack_lines(const MatrixSource& matrix, FloatLine* to) {
  const int64_t padded = padded_columns(matrix.columns);
  const int64_t panels = panel_count(padded, kFloatLanes, kMostPanelLines);
  float* at = to->x;
  for (int64_t p = 0; p < panels; ++p) {
    const ProductPanel panel = panel_at(padded, kFloatLanes, kMostPanelLines, p);
    const float* from = matrix.values + panel.first * matrix.column_pitch;
    const int64_t width = panel.vectors * kFloatLanes;
    const int64_t columns = std::clamp<int64_t>(matrix.columns - panel.first, 0, width);
    for (int64_t k = 0; k < matrix.depth; ++k, from += matrix.depth_pitch, at += width) {
      for (int64_t c = 0; c < columns; ++c) at[c] = from[c * matrix.column_pitch];
      std::fill(at + columns, at + width, 0.0F);
    }
  }
}

PackedMatrix pack_matrix(KernelIsa isa, const float* weights, int64_t columns, int64_t depth) {
  const std::shared_ptr<FloatLine[]> lines(
      new FloatLine[static_cast<size_t>(matrix_lines(columns, depth))]);
  pack_lines({weights, columns, depth, depth}, lines.get());
  return {isa, depth, columns, lines.get(), lines};
}

void multiply_rows(const PackedMatrix& matrix, const MatrixRows& rows, bool backwards) {
  const int64_t panels = panel_count(matrix.columns, kFloatLanes, kMostPanelLines);
  const FloatVariant variant = float_variant(matrix.isa);
  for (int64_t i = 0; i < panels; ++i) {
    const ProductPanel panel =
        panel_at(matrix.columns, kFloatLanes, kMostPanelLines, backwards ? panels - 1 - i : i);
    variant.multiply(
        {matrix.lines->x + panel.first * matrix.depth, matrix.depth, panel.first, panel.vectors},
        rows);
  }
}

}  // namespace lathe
