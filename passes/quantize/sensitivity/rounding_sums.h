// What rounding one tensor adds to it, summed up without writing it down.
#pragma once

#include <span>

#include "ir/quantization.h"

namespace lathe {

/// Of e = (clamp(round(x / scale) + zero) - zero) * scale - x, with one scale for all elements.
struct RoundingSums {
  double squares = 0;  // of e
  double product = 0;  // g . e
  /// Of the elements within the integers' range the sum of (g e)^2: what E[(g . e)^2] is for errors
  /// that are independent of each other, as rounding makes them.
  double inside = 0;
  double outside = 0;  // g . e of the others, which are all cut off on one side
};

/// Without `g` it counts as 0; else of x's length.
RoundingSums rounding_sums(std::span<const float> x, std::span<const float> g,
                           const QuantParams& params);

}  // namespace lathe
