#include "quantize/sensitivity/sensitivity_samples.h"

#include <algorithm>
#include <cstdint>

#include "ops/op_row.h"

namespace lathe {
namespace {

constexpr size_t kUsualSamples = 16;
constexpr size_t kReducedSamples = 4;  // of networks that take more than this:
constexpr int64_t kManyMacs = 50'000'000;
constexpr int64_t kManyMoreMacs = 1'000'000'000;  // two
constexpr int64_t kVeryManyMacs = 5'000'000'000;  // one sample
constexpr double kMaxGradientBytes = 512.0 * (1 << 20);

}  // namespace

size_t sensitivity_samples(const Graph& graph) {
  const int64_t macs = count_macs(graph).macs;
  if (macs > kVeryManyMacs) return 1;
  if (macs > kManyMoreMacs) return 2;
  return macs > kManyMacs ? kReducedSamples : kUsualSamples;
}

size_t gradient_samples(const Graph& graph) {
  constexpr int64_t kMacs = 4'000'000'000;  // of forward runs
  constexpr int64_t kMost = 64;
  constexpr int64_t kLeast = 4;
  const int64_t macs = std::max<int64_t>(1, count_macs(graph).macs);
  return static_cast<size_t>(std::clamp(kMacs / macs, kLeast, kMost));
}

int gradient_runs(const Graph& graph) {
  constexpr double kMost = 1024;
  double bytes = 1;
  for (const ValueId id : graph.value_ids()) {
    const Value& value = graph.value(id);
    if (!value.producer.valid() || !value.type.dims) continue;
    double count = sizeof(float);
    for (const Dim& dim : *value.type.dims)
      count *= static_cast<double>(std::max<int64_t>(dim.size, 1));
    bytes += count;
  }
  return static_cast<int>(std::min(kMost, kMaxGradientBytes / bytes));
}

}  // namespace lathe
