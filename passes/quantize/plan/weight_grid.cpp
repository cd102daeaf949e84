#include "quantize/plan/weight_grid.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "quantize/plan/channel_index.h"
#include "quantize/plan/weight_params.h"

namespace lathe {
namespace {

constexpr double kTolerance = 2e-4;
constexpr int kLeastWeights = 4;

bool lies_on(std::span<const float> weights, double step) {
  return std::all_of(weights.begin(), weights.end(), [&](float weight) {
    const double steps = weight / step;
    return std::fabs(steps - std::nearbyint(steps)) <= kTolerance;
  });
}

}  // namespace

std::optional<float> weight_step(std::span<const float> weights, int32_t qmax) {
  float largest = 0;
  int nonzero = 0;
  for (const float weight : weights) {
    if (!std::isfinite(weight)) return {};
    largest = std::max(largest, std::fabs(weight));
    nonzero += weight != 0 ? 1 : 0;
  }
  if (nonzero < kLeastWeights) return {};
  for (int32_t steps = qmax; steps > 0; --steps) {
    const double step = static_cast<double>(largest) / steps;
    if (step < std::numeric_limits<float>::min()) continue;  // runtimes flush such scales to 0
    if (lies_on(weights, step)) return static_cast<float>(step);
  }
  return {};
}

int keep_weight_grid(const Tensor& weight, QuantParams& params, bool reduce_range) {
  const int32_t qmax = weight_qmax(params.dtype, reduce_range);
  const auto values = weight.values<float>();
  // One grid for all channels also holds those of few weights.
  if (const auto step = weight_step(values, qmax)) {
    std::fill(params.scales.begin(), params.scales.end(), *step);
    return static_cast<int>(params.scales.size());
  }
  if (params.axis < 0) return 0;
  const ChannelIndex channel = channel_index(weight.shape(), params.axis);
  std::vector<std::vector<float>> channels(params.scales.size());
  for (size_t i = 0; i < values.size(); ++i) channels.at(channel(i)).push_back(values[i]);
  int kept = 0;
  for (size_t c = 0; c < channels.size(); ++c) {
    const auto step = weight_step(channels[c], qmax);
    if (!step) continue;
    params.scales[c] = *step;
    ++kept;
  }
  return kept;
}

}  // namespace lathe
