// Which samples nothing is fitted to.
#pragma once

#include <cstddef>

#include "run/sample_runner.h"

namespace lathe {

/// One sample in eight is fitted to in no layer: a fit to few samples would seem better than it is,
/// in its own layer and in all that follow. With fewer than eight samples none is held out.
constexpr bool is_held_out(size_t sample) { return sample % 8 == 7; }

/// The first `most` samples of `all` that are held out, to judge a fit by. Where there are none, or
/// samples carry values on to the next, the first 4 * most of all samples.
SampleSource judged_samples(const SampleSource& all, size_t most);

}  // namespace lathe
