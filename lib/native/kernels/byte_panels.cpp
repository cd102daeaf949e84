#include "kernels/byte_panels.h"

#include <algorithm>
#include <cstring>

#include "ir/x86_clones.h"
#include "kernels/byte_panels_variants.h"
#include "kernels/integer_product_panels.h"

namespace lathe {
namespace {

constexpr int64_t kLineColumns = 16;
constexpr int64_t kMostLines = kMostPanelColumns / kLineColumns;

struct ByteVariant {
  std::string_view name;
  void (*sum)(const BytePanel&, const uint8_t* const*, int64_t, int32_t*);
  int32_t zero = 0;  // what it takes from each byte of a row
};

ByteVariant byte_variant(KernelIsa isa) {
  switch (isa) {
    case KernelIsa::kAvx512Vnni: return {":avx512_vnni", sum_bytes_avx512};
    case KernelIsa::kAvx2: return {":avx2", sum_bytes_avx2};
    case KernelIsa::kNeon: return {":neon", sum_bytes_neon, 128};
    case KernelIsa::kNeonDot:
    case KernelIsa::kNeonI8mm: return {":neon_dot", sum_bytes_neon_dot, 128};
    case KernelIsa::kScalar: break;
  }
  return {"", sum_bytes_scalar};
}

LATHE_X86_CLONES void remove_zero_point(int32_t* sums, const int32_t* column_sums,
                                        int32_t zero_point, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    sums[i] = static_cast<int32_t>(static_cast<uint32_t>(sums[i]) -
                                   static_cast<uint32_t>(zero_point) *
                                       static_cast<uint32_t>(column_sums[i]));
}

LATHE_X86_CLONES void add_shifts(int32_t* sums, const int32_t* shifts, uint32_t row_sum,
                                 int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    sums[i] = static_cast<int32_t>(static_cast<uint32_t>(sums[i]) +
                                   static_cast<uint32_t>(shifts[i]) * row_sum);
}

/// `scales`: one a column, already multiplied.
LATHE_X86_CLONES void scaled(const int32_t* sums, const float* scales, const float* bias, float* to,
                             int64_t count) {
  if (bias == nullptr) {
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(sums[i]) * scales[i];
  } else {
    // `to` may be `bias`.
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(sums[i]) * scales[i] + bias[i];
  }
}

uint32_t shifted_sum(const uint8_t* row, int64_t depth, int32_t zero_point) {
  uint32_t sum = 0;
  for (int64_t k = 0; k < depth; ++k) sum += row[k];
  return sum - static_cast<uint32_t>(depth) * static_cast<uint32_t>(zero_point);
}

/// Numbers of one panel that are the same for all rows.
struct PanelScales {
  int64_t first = 0;
  int64_t count = 0;
  int32_t zero = 0;  // that the sums have taken already
  float scales[kMostPanelColumns];
};

void finish_row(const PackedBytes& matrix, const ByteRows& rows, const PanelScales& panel,
                int64_t row, int32_t* sums) {
  remove_zero_point(sums, matrix.sums.data() + panel.first, rows.zero_point - panel.zero,
                    panel.count);
  if (!matrix.shifts.empty())
    add_shifts(sums, matrix.shifts.data() + panel.first,
               shifted_sum(rows.rows[row], matrix.depth, rows.zero_point), panel.count);
  const int64_t place = row * rows.output_pitch + panel.first;
  if (rows.sums != nullptr) {
    std::memcpy(rows.sums + place, sums, static_cast<size_t>(panel.count) * sizeof(int32_t));
    return;
  }
  const float* bias =
      rows.bias != nullptr ? rows.bias + row * rows.bias_pitch + panel.first : nullptr;
  scaled(sums, panel.scales, bias, rows.output + place, panel.count);
}

}  // namespace

std::string_view byte_instructions(KernelIsa isa) { return byte_variant(isa).name; }

void sum_bytes_scalar(const BytePanel& panel, const uint8_t* const* rows, int64_t count,
                      int32_t* sums) {
  const int64_t width = panel.lines * kLineColumns;
  for (int64_t r = 0; r < count; ++r) {
    int32_t* to = sums + r * kMostPanelColumns;
    std::fill_n(to, width, 0);
    const int64_t depth = panel.words * 4 + panel.tail;
    for (int64_t k = 0; k < depth; ++k) {
      const int32_t x = rows[r][k];
      const int8_t* weights = panel.weights + k / 4 * width * 4 + k % 4;
      for (int64_t c = 0; c < width; ++c) to[c] += x * weights[c * 4];
    }
  }
}

PackedBytes pack_bytes(KernelIsa isa, const int8_t* weights, int64_t columns, int64_t depth,
                       const int32_t* shifts) {
  PackedBytes matrix;
  matrix.isa = isa;
  matrix.depth = depth;
  matrix.columns = columns;
  matrix.padded = (columns + kLineColumns - 1) / kLineColumns * kLineColumns;
  const int64_t words = (depth + 3) / 4;
  matrix.values.resize(static_cast<size_t>(matrix.padded / kLineColumns * words));
  std::memset(matrix.values.data()->x, 0, matrix.values.size() * sizeof(ByteLine));
  matrix.sums.assign(static_cast<size_t>(matrix.padded), 0);
  if (shifts != nullptr) matrix.shifts.assign(shifts, shifts + columns);
  for (int64_t p = 0; p < byte_panels(matrix); ++p) {
    const ProductPanel panel = panel_at(matrix.padded, kLineColumns, kMostLines, p);
    const int64_t width = panel.vectors * kLineColumns;
    int8_t* to = matrix.values.data()->x + panel.first * words * 4;
    for (int64_t c = 0; c < width && panel.first + c < columns; ++c) {
      const int8_t* from = weights + (panel.first + c) * depth;
      int32_t sum = 0;
      for (int64_t k = 0; k < depth; ++k) {
        to[k / 4 * width * 4 + c * 4 + k % 4] = from[k];
        sum += from[k];
      }
      matrix.sums[static_cast<size_t>(panel.first + c)] = sum;
    }
  }
  return matrix;
}

int64_t byte_panels(const PackedBytes& matrix) {
  return panel_count(matrix.padded, kLineColumns, kMostLines);
}

void multiply_bytes(const PackedBytes& matrix, const ByteRows& rows, int64_t begin, int64_t end) {
  const ByteVariant variant = byte_variant(matrix.isa);
  const int64_t words = (matrix.depth + 3) / 4;
  for (int64_t p = begin; p < end; ++p) {
    const ProductPanel at = panel_at(matrix.padded, kLineColumns, kMostLines, p);
    PanelScales panel;
    panel.first = at.first;
    panel.zero = variant.zero;
    panel.count = std::min(at.vectors * kLineColumns, matrix.columns - at.first);
    for (int64_t c = 0; rows.output != nullptr && c < panel.count; ++c) {
      const float scale = rows.scale[(at.first + c) * rows.scale_step];
      panel.scales[c] = rows.factor != nullptr ? scale * rows.factor[at.first + c] : scale;
    }
    const BytePanel weights{matrix.values.data()->x + at.first * words * 4, matrix.depth / 4,
                            matrix.depth % 4, at.vectors};
    const int64_t tiles = (rows.count + kMostByteRows - 1) / kMostByteRows;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t row = rows.count * t / tiles;
      const int64_t next = rows.count * (t + 1) / tiles;
      alignas(64) int32_t sums[kMostByteRows * kMostPanelColumns];
      variant.sum(weights, rows.rows + row, next - row, sums);
      for (int64_t r = row; r < next; ++r)
        finish_row(matrix, rows, panel, r, sums + (r - row) * kMostPanelColumns);
    }
  }
}

}  // namespace lathe
