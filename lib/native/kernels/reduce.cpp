#include "kernels/reduce.h"

#include <algorithm>
#include <limits>

#include "ir/error.h"
#include "ir/x86_clones.h"
#include "kernels/lane_sums.h"

namespace lathe {
namespace {

constexpr int64_t kTileOutputs = 64;    // outputs of a tile
constexpr int64_t kPartElements = 512;  // elements whose float sum goes into a double

double beginning(ReduceKind kind) {
  switch (kind) {
    case ReduceKind::kProd: return 1;
    case ReduceKind::kMax: return -std::numeric_limits<double>::infinity();
    case ReduceKind::kMin: return std::numeric_limits<double>::infinity();
    default: return 0;
  }
}

float finished(const Reduce& reduce, double total) {
  if (reduce.kind == ReduceKind::kMean) total /= static_cast<double>(reduce.count);
  return static_cast<float>(total);
}

// A NaN stays, wherever it comes.
inline double greater(double a, double b) { return a >= b || a != a ? a : b; }
inline double smaller(double a, double b) { return a <= b || a != a ? a : b; }

inline double joined(ReduceKind kind, double a, double b) {
  switch (kind) {
    case ReduceKind::kProd: return a * b;
    case ReduceKind::kMax: return greater(a, b);
    case ReduceKind::kMin: return smaller(a, b);
    default: return a + b;
  }
}

double reduced_strided(ReduceKind kind, const float* from, int64_t count, int64_t step) {
  double total = beginning(kind);
  for (int64_t i = 0; i < count; ++i) {
    const double x = static_cast<double>(from[i * step]);
    total = joined(kind, total, kind == ReduceKind::kSumSquares ? x * x : x);
  }
  return total;
}

// Calls `body(offset)` for all indices but those of the innermost dimension.
template <class Body>
void for_each_run(const Nest& nest, Body&& body) {
  int64_t index[kMaxNestRank] = {};
  int64_t offset = 0;
  const int outer = nest.rank - 1;
  for (;;) {
    body(offset);
    int d = outer - 1;
    for (; d >= 0; --d) {
      offset += nest.strides[0][d];
      if (++index[d] < nest.sizes[d]) break;
      offset -= index[d] * nest.strides[0][d];
      index[d] = 0;
    }
    if (d < 0) return;
  }
}

// Takes `count` elements of each of the outputs that lie side by side.
template <class Step>
[[gnu::always_inline]] inline void through_columns(const float* from, int64_t count, int64_t step,
                                                   int64_t columns, float* part, Step&& body) {
  if (columns == kTileOutputs) {
    for (int64_t i = 0; i < count; ++i, from += step)
      for (int64_t k = 0; k < kTileOutputs; ++k) part[k] = body(part[k], from[k]);
  } else {
    for (int64_t i = 0; i < count; ++i, from += step)
      for (int64_t k = 0; k < columns; ++k) part[k] = body(part[k], from[k]);
  }
}

LATHE_X86_CLONES void reduce_columns(ReduceKind kind, const float* from, int64_t count,
                                     int64_t step, int64_t columns, float* part) {
  switch (kind) {
    case ReduceKind::kSum:
    case ReduceKind::kMean:
      return through_columns(
          from, count, step, columns, part,
          [](float a, float x) __attribute__((always_inline)) { return a + x; });
    case ReduceKind::kSumSquares:
      return through_columns(
          from, count, step, columns, part,
          [](float a, float x) __attribute__((always_inline)) { return a + x * x; });
    case ReduceKind::kMax:
      return through_columns(
          from, count, step, columns, part, [](float a, float x) __attribute__((always_inline)) {
            return (a >= x) | (a != a) ? a : x;
          });
    case ReduceKind::kMin:
      return through_columns(
          from, count, step, columns, part, [](float a, float x) __attribute__((always_inline)) {
            return (a <= x) | (a != a) ? a : x;
          });
    case ReduceKind::kProd: return;
  }
}

double reduced_run(ReduceKind kind, const float* from, int64_t count) {
  switch (kind) {
    case ReduceKind::kSum:
    case ReduceKind::kMean: return lane_sum(from, count);
    case ReduceKind::kSumSquares: return lane_sum_squares(from, count, 0);
    case ReduceKind::kProd: return reduced_strided(kind, from, count, 1);
    default: break;
  }
  float part[kTileOutputs];
  std::fill_n(part, kTileOutputs, static_cast<float>(beginning(kind)));
  const int64_t rows = count / kTileOutputs;
  reduce_columns(kind, from, rows, kTileOutputs, kTileOutputs, part);
  double total = reduced_strided(kind, from + rows * kTileOutputs, count % kTileOutputs, 1);
  for (const float x : part) total = joined(kind, total, static_cast<double>(x));
  return total;
}

float reduced_number(const Reduce& reduce, const float* from) {
  const int last = reduce.reduced.rank - 1;
  const int64_t count = reduce.reduced.sizes[last];
  const int64_t step = reduce.reduced.strides[0][last];
  double total = beginning(reduce.kind);
  for_each_run(reduce.reduced, [&](int64_t offset) {
    total = joined(reduce.kind, total,
                   step == 1 ? reduced_run(reduce.kind, from + offset, count)
                             : reduced_strided(reduce.kind, from + offset, count, step));
  });
  return finished(reduce, total);
}

void reduce_side_by_side(const Reduce& reduce, const float* from, float* to, int64_t to_step,
                         int64_t columns) {
  const int last = reduce.reduced.rank - 1;
  const int64_t count = reduce.reduced.sizes[last];
  const int64_t step = reduce.reduced.strides[0][last];
  double total[kTileOutputs];
  std::fill_n(total, kTileOutputs, beginning(reduce.kind));
  for_each_run(reduce.reduced, [&](int64_t offset) {
    const float* run = from + offset;
    if (reduce.kind == ReduceKind::kProd) {
      for (int64_t i = 0; i < count; ++i)
        for (int64_t k = 0; k < columns; ++k) total[k] *= static_cast<double>(run[i * step + k]);
      return;
    }
    for (int64_t i = 0; i < count; i += kPartElements) {
      float part[kTileOutputs];
      std::fill_n(part, kTileOutputs, static_cast<float>(beginning(reduce.kind)));
      reduce_columns(reduce.kind, run + i * step, std::min(kPartElements, count - i), step, columns,
                     part);
      for (int64_t k = 0; k < columns; ++k)
        total[k] = joined(reduce.kind, total[k], static_cast<double>(part[k]));
    }
  });
  for (int64_t k = 0; k < columns; ++k) to[k * to_step] = finished(reduce, total[k]);
}

}  // namespace

Reduce prepare_reduce(ReduceKind kind, const std::vector<int64_t>& shape,
                      const std::vector<bool>& reduced, const Strides& from_strides,
                      const Strides& to_strides) {
  const size_t rank = shape.size();
  if (reduced.size() != rank || from_strides.size() != rank || to_strides.size() != rank)
    throw InternalError("reduce: strides of another rank");
  std::vector<int64_t> kept_shape;
  std::vector<int64_t> reduced_shape;
  Strides kept_to;
  Strides kept_from;
  Strides reduced_from;
  Reduce reduce;
  reduce.kind = kind;
  for (size_t d = 0; d < rank; ++d) {
    if (reduced[d]) {
      reduced_shape.push_back(shape[d]);
      reduced_from.push_back(from_strides[d]);
      reduce.count *= shape[d];
    } else {
      kept_shape.push_back(shape[d]);
      kept_to.push_back(to_strides[d]);
      kept_from.push_back(from_strides[d]);
    }
  }
  reduce.reduced = make_nest(reduced_shape, {reduced_from});
  const Nest kept = make_nest(kept_shape, {kept_to, kept_from});
  const int64_t run_step = reduce.reduced.strides[0][reduce.reduced.rank - 1];
  reduce.across = kept.strides[1][kept.rank - 1] == 1 && run_step != 1;
  reduce.kept = tiled_nest(kept, 1, reduce.across ? kTileOutputs : 1);
  return reduce;
}

int64_t reduce_count(const Reduce& reduce) { return reduce.kept.tiles; }

void run_reduce(const Reduce& reduce, const float* from, float* to, int64_t begin, int64_t end) {
  const int64_t to_step = reduce.kept.column_stride(0);
  for_each_tile(reduce.kept, begin, end, [&](const Tile& tile) {
    float* write = to + tile.offsets[0];
    const float* read = from + tile.offsets[1];
    if (reduce.count == 0) {
      for (int64_t k = 0; k < tile.columns; ++k)
        write[k * to_step] = finished(reduce, beginning(reduce.kind));
    } else if (reduce.across) {
      reduce_side_by_side(reduce, read, write, to_step, tile.columns);
    } else {
      *write = reduced_number(reduce, read);
    }
  });
}

}  // namespace lathe
