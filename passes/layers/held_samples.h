// Which samples nothing is fitted to.
#pragma once

#include <cstddef>

#include "run/sample_runner.h"

namespace lathe {

/// One sample in eight of `count`, one in four of fewer than 64, is fitted to in no layer: a fit to
/// few samples would seem better than it is, in its own layer and in all that follow. With fewer
/// than four samples none is held out.
constexpr bool is_held_out(size_t sample, size_t count) {
  const size_t share = count < 24 ? 4 : 8;
  return sample % share == share - 1;
}

/// Those of `all` that are not held out.
SampleSource fitted_samples(const SampleSource& all);

/// The first `most` samples of `all` that are held out, to judge a fit by. Where there are none, or
/// samples carry values on to the next, the first 4 * most of all samples.
SampleSource judged_samples(const SampleSource& all, size_t most);

}  // namespace lathe
