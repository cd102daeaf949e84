#include "quantize/sensitivity/rounding_sums.h"

#include <algorithm>
#include <array>

namespace lathe {
namespace {

// Side by side for the vector units, and summed in double every so often.
constexpr size_t kLanes = 16;
constexpr size_t kChunk = 4096;
using Lanes = std::array<float, kLanes>;

double take(Lanes& lanes) {
  double total = 0;
  for (float& lane : lanes) {
    total += lane;
    lane = 0;
  }
  return total;
}

}  // namespace

RoundingSums rounding_sums(std::span<const float> x, std::span<const float> g,
                           const QuantParams& params) {
  const float scale = params.scales[0];
  const float inverse = 1 / scale;
  const auto zero = static_cast<float>(params.zero_points[0]);
  // Half a step beyond the integers an element is not rounded, but cut off.
  const float low = static_cast<float>(integer_min(params.dtype)) - zero;
  const float high = static_cast<float>(integer_max(params.dtype)) - zero;
  constexpr float kMagic = 0x1.8p23f;  // rounds half to even what is less than 2^22
  Lanes squares{};
  Lanes products{};
  Lanes inside{};
  Lanes outside{};
  const auto add = [&](const float* values, const float* gradients, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      const float scaled = values[i] * inverse;
      const float above = scaled < low ? low : scaled;
      const float within = above > high ? high : above;
      const float error = ((within + kMagic) - kMagic) * scale - values[i];
      const float product = gradients[i] * error;
      squares[i] += error * error;
      products[i] += product;
      const float is_inside = within == scaled ? 1.0f : 0.0f;
      inside[i] += product * product * is_inside;
      outside[i] += product * (1 - is_inside);
    }
  };
  static constexpr std::array<float, kLanes> kNone{};
  RoundingSums sums;
  for (size_t begin = 0; begin < x.size(); begin += kChunk) {
    const size_t end = std::min(begin + kChunk, x.size());
    for (size_t i = begin; i < end; i += kLanes)
      add(x.data() + i, g.empty() ? kNone.data() : g.data() + i, std::min(kLanes, end - i));
    sums.squares += take(squares);
    sums.product += take(products);
    sums.inside += take(inside);
    sums.outside += take(outside);
  }
  return sums;
}

}  // namespace lathe
