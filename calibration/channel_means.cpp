#include "calibration/channel_means.h"

#include <array>
#include <cmath>
#include <numeric>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr double kLargestMean = 1ull << 40;

// In lanes, for the vector units.
double sum_of(const float* values, int64_t count) {
  std::array<double, 8> lanes{};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (size_t lane = 0; lane < 8; ++lane) lanes[lane] += values[static_cast<size_t>(i) + lane];
  for (size_t lane = 0; i < count; ++i, ++lane) lanes[lane] += values[i];
  return std::accumulate(lanes.begin(), lanes.end(), 0.0);
}

}  // namespace

void ChannelMeans::add(std::span<const float> values, int64_t channels, int64_t inner) {
  if (channels <= 0 || inner <= 0 || values.empty()) return;
  if (sums_.empty()) sums_.resize(static_cast<size_t>(channels));
  if (sums_.size() != static_cast<size_t>(channels))
    throw bad_input("calibration.channels", "a value's number of channels differs between samples");
  std::vector<double> totals(static_cast<size_t>(channels), 0.0);
  const float* at = values.data();
  const int64_t outer = static_cast<int64_t>(values.size()) / (channels * inner);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t c = 0; c < channels; ++c) {
      totals[static_cast<size_t>(c)] += sum_of(at, inner);
      at += inner;
    }
  for (size_t c = 0; c < totals.size(); ++c) {
    const double mean = totals[c] / static_cast<double>(outer * inner);
    if (std::fabs(mean) <= kLargestMean) sums_[c].add(mean);
  }
  ++samples_;
}

void ChannelMeans::merge(const ChannelMeans& other) {
  if (other.samples_ == 0) return;
  if (sums_.empty()) sums_.resize(other.sums_.size());
  if (sums_.size() != other.sums_.size())
    throw bad_input("calibration.channels", "a value's number of channels differs between samples");
  for (size_t c = 0; c < sums_.size(); ++c) sums_[c].merge(other.sums_[c]);
  samples_ += other.samples_;
}

std::vector<double> ChannelMeans::means() const {
  std::vector<double> found;
  for (const FixedSum& sum : sums_) found.push_back(sum.value() / static_cast<double>(samples_));
  return found;
}

}  // namespace lathe
