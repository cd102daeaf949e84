// The variants of the float product, one for each set of instructions.
#pragma once

#include "kernels/float_panels.h"

namespace lathe {

constexpr int64_t kMostPanelLines = 4;

/// One panel of `lines` times 16 columns for all rows; `weights` are the panel's, `first` is its
/// first column.
struct FloatPanel {
  const float* weights = nullptr;
  int64_t depth = 0;
  int64_t first = 0;
  int64_t lines = 0;
};

void multiply_panel_avx512(const FloatPanel& panel, const MatrixRows& rows);
void multiply_panel_neon(const FloatPanel& panel, const MatrixRows& rows);
void multiply_panel_scalar(const FloatPanel& panel, const MatrixRows& rows);
void multiply_panel_avx2(const FloatPanel& panel, const MatrixRows& rows);

}  // namespace lathe
