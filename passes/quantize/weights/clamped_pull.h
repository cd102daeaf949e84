// Sums for a Newton step on biases behind an activation that cuts off.
#pragma once

#include <span>
#include <vector>

namespace lathe {

struct ClampBounds {
  float low = 0;
  float high = 0;
};

/// Of each channel, over all rows of [rows, channels]: `pull`, the sum of clamp(wanted) -
/// clamp(out) where out = made + shift lies within the bounds, and `open`, how often it does.
struct ClampedPull {
  std::vector<double> pull;
  std::vector<double> open;
};
ClampedPull clamped_pull(std::span<const float> made, std::span<const float> wanted,
                         std::span<const float> shift, const ClampBounds& bounds);

}  // namespace lathe
