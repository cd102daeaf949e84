// How the columns of a product are divided among panels, and where a column lies in one.
#pragma once

#include <cstdint>

#include "kernels/integer_product.h"

namespace lathe {

/// Panels have at most `most` vectors of `lanes` columns and differ by one vector at most.
constexpr int64_t panel_count(int64_t columns, int64_t lanes, int64_t most) {
  const int64_t vectors = (columns + lanes - 1) / lanes;
  return (vectors + most - 1) / most;
}

/// Panel number `panel` of `columns` columns: `vectors` times `lanes` columns from `first` on.
constexpr ProductPanel panel_at(int64_t columns, int64_t lanes, int64_t most, int64_t panel) {
  const int64_t vectors = (columns + lanes - 1) / lanes;
  const int64_t panels = (vectors + most - 1) / most;
  const int64_t base = vectors / panels;
  const int64_t wider = vectors % panels;  // the first panels have one more
  const int64_t before = panel * base + (panel < wider ? panel : wider);
  return {before * lanes, base + (panel < wider ? 1 : 0), 0};
}

/// Lane `lane` of vector `vector` holds this column of the panel. Narrowing instructions pack
/// 128-bit blocks of four lanes side by side; in this order their bytes come out in sequence.
constexpr int64_t panel_column(bool narrowed, int64_t vectors, int64_t lanes, int64_t vector,
                               int64_t lane) {
  if (!narrowed) return vector * lanes + lane;
  const int64_t block = lane / 4;
  return block * 4 * vectors + vector * 4 + lane % 4;
}

}  // namespace lathe
