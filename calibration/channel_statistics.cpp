#include "calibration/channel_statistics.h"

#include <algorithm>
#include <cmath>

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

struct Run {
  double sum = 0;
  double squares = 0;
  float min = 0;
  float max = 0;
};

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
  std::vector<Run> runs(static_cast<size_t>(channels));
  for (size_t c = 0; c < runs.size(); ++c)
    runs[c].min = runs[c].max = values[c * static_cast<size_t>(inner)];
  const float* at = values.data();
  const int64_t outer = static_cast<int64_t>(values.size()) / (channels * inner);
  for (int64_t o = 0; o < outer; ++o)
    for (Run& run : runs)
      for (int64_t i = 0; i < inner; ++i) {
        const float value = *at++;
        run.sum += value;
        run.squares += static_cast<double>(value) * value;
        run.min = std::min(run.min, value);
        run.max = std::max(run.max, value);
      }
  const double count = static_cast<double>(outer * inner);
  for (size_t c = 0; c < runs.size(); ++c) {
    const Run& run = runs[c];
    // A sum that is finite has seen neither NaN nor infinity.
    if (!std::isfinite(run.sum) || run.min < -kLargestValue || run.max > kLargestValue) continue;
    Channel& channel = channels_[c];
    channel.min = channel.samples == 0 ? run.min : std::min(channel.min, run.min);
    channel.max = channel.samples == 0 ? run.max : std::max(channel.max, run.max);
    channel.sum.add(run.sum / count);
    channel.squares.add(run.squares / count);
    channel.peaks.add(run.max);
    channel.peak_squares.add(static_cast<double>(run.max) * run.max);
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
