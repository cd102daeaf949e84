// Which samples nothing is fitted to.
#pragma once

#include <cstddef>
#include <vector>

#include "run/sample_runner.h"

namespace lathe {

constexpr size_t kManySamples = 64;

/// One sample in eight of `count`, one in four of few, is fitted to in no layer: a fit to few
/// samples would seem better than it is, in its own layer and in all that follow. With fewer than
/// four samples none is held out.
constexpr bool is_held_out(size_t sample, size_t count) {
  const size_t share = count < kManySamples ? 4 : 8;
  return sample % share == share - 1;
}

constexpr bool is_any_held_out(size_t count) { return count >= 4; }

/// Ranges and equalization have few parameters and are judged by much noise: half of the samples
/// are kept for that, among them all that are held out.
constexpr bool judges_ranges(size_t sample) { return sample % 2 == 1; }

/// Samples to judge by: at most `most` of `count` that judge ranges, those first that are held out.
/// Where there are none, all.
std::vector<size_t> judging_samples(size_t count, size_t most);

/// The first `most` samples of `all` that are held out, to judge a fit by. Where there are none, or
/// samples carry values on to the next, the first 4 * most of all samples.
SampleSource judged_samples(const SampleSource& all, size_t most);

}  // namespace lathe
