#include "calibration/channel_statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr double kLargestValue = 1ull << 34;  // FixedSum holds 2^19 of its square

Error differing_channels() {
  return bad_input("calibration.channels", "a value's number of channels differs between samples");
}

double deviation_square(double mean, double mean_square) {
  return std::max(0.0, mean_square - mean * mean);
}

// Of one channel, side by side for the vector units.
struct Run {
  static constexpr size_t kLanes = 8;
  std::array<double, kLanes> sums{};
  std::array<double, kLanes> squares{};
  std::array<float, kLanes> min;
  std::array<float, kLanes> max;

  explicit Run(float first) {
    min.fill(first);
    max.fill(first);
  }

  void add(const float* values, size_t count) {
    for (; count > kLanes; values += kLanes, count -= kLanes) add_few(values, kLanes);
    add_few(values, count);
  }
  void add_few(const float* values, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      const float value = values[i];
      sums[i] += value;
      squares[i] += static_cast<double>(value) * value;
      min[i] = value < min[i] ? value : min[i];
      max[i] = value > max[i] ? value : max[i];
    }
  }
};

double total(const std::array<double, Run::kLanes>& lanes) {
  return std::accumulate(lanes.begin(), lanes.end(), 0.0);
}

}  // namespace

double ChannelStatistics::variance(size_t channel) const {
  return deviation_square(mean[channel], mean_square[channel]);
}

double ChannelStatistics::peak_deviation(size_t channel) const {
  return std::sqrt(deviation_square(peak_mean[channel], peak_mean_square[channel]));
}

void ChannelSums::add(std::span<const float> values, int64_t channels, int64_t inner) {
  if (channels <= 0 || inner <= 0 || values.empty()) return;
  if (channels_.empty()) channels_.resize(static_cast<size_t>(channels));
  if (channels_.size() != static_cast<size_t>(channels)) throw differing_channels();
  std::vector<Run> runs;
  for (int64_t c = 0; c < channels; ++c) runs.emplace_back(values[static_cast<size_t>(c * inner)]);
  const float* at = values.data();
  const int64_t outer = static_cast<int64_t>(values.size()) / (channels * inner);
  for (int64_t o = 0; o < outer; ++o)
    for (Run& run : runs) {
      run.add(at, static_cast<size_t>(inner));
      at += inner;
    }
  const double count = static_cast<double>(outer * inner);
  for (size_t c = 0; c < runs.size(); ++c) {
    const double sum = total(runs[c].sums);
    const float min = *std::min_element(runs[c].min.begin(), runs[c].min.end());
    const float max = *std::max_element(runs[c].max.begin(), runs[c].max.end());
    // A sum that is finite has seen neither NaN nor infinity.
    if (!std::isfinite(sum) || min < -kLargestValue || max > kLargestValue) continue;
    Channel& channel = channels_[c];
    channel.min = channel.samples == 0 ? min : std::min(channel.min, min);
    channel.max = channel.samples == 0 ? max : std::max(channel.max, max);
    channel.sum.add(sum / count);
    channel.squares.add(total(runs[c].squares) / count);
    channel.peaks.add(max);
    channel.peak_squares.add(static_cast<double>(max) * max);
    ++channel.samples;
  }
}

void ChannelSums::merge(const ChannelSums& other) {
  if (other.channels_.empty()) return;
  if (channels_.empty()) channels_.resize(other.channels_.size());
  if (channels_.size() != other.channels_.size()) throw differing_channels();
  for (size_t c = 0; c < channels_.size(); ++c) {
    const Channel& from = other.channels_[c];
    if (from.samples == 0) continue;
    Channel& to = channels_[c];
    to.min = to.samples == 0 ? from.min : std::min(to.min, from.min);
    to.max = to.samples == 0 ? from.max : std::max(to.max, from.max);
    to.sum.merge(from.sum);
    to.squares.merge(from.squares);
    to.peaks.merge(from.peaks);
    to.peak_squares.merge(from.peak_squares);
    to.samples += from.samples;
  }
}

ChannelStatistics ChannelSums::statistics() const {
  ChannelStatistics found;
  for (const Channel& channel : channels_) {
    const auto samples = static_cast<double>(std::max<int64_t>(1, channel.samples));
    found.min.push_back(channel.min);
    found.max.push_back(channel.max);
    const auto mean_of = [&](const FixedSum& sum) { return sum.value() / samples; };
    found.mean.push_back(mean_of(channel.sum));
    found.mean_square.push_back(mean_of(channel.squares));
    found.peak_mean.push_back(mean_of(channel.peaks));
    found.peak_mean_square.push_back(mean_of(channel.peak_squares));
  }
  return found;
}

}  // namespace lathe
