// MaxPool of float planes by rows: LibTorch's also looks for where a maximum was, one number at a
// time.
#pragma once

#include <cstdint>

namespace lathe {

struct PlaneAxis {
  int64_t in = 0, out = 0;
  int64_t kernel = 1, stride = 1, dilation = 1, begin = 0;  // padding in front
};

/// `planes` arrays of rows.in x columns.in become rows.out x columns.out, NaN where a window holds
/// one, -infinity where it holds nothing. `row`: memory for columns.in numbers.
void max_pool_planes(const float* from, int64_t planes, const PlaneAxis& rows,
                     const PlaneAxis& columns, float* row, float* to);

}  // namespace lathe
