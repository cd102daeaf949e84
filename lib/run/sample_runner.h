// Runs a graph over many samples in parallel, one thread a sample, with results that do not depend
// on the number of threads.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "run/interpreter.h"

namespace lathe {

/// Where samples come from: lib is handed tensors, it reads no data sets itself.
struct SampleSource {
  size_t count = 0;
  /// One tensor per graph input, in order. Called from several threads at once.
  std::function<std::vector<Tensor>(size_t sample)> sample;
  /// (output name, input name): an output that is the next sample's input, zeros first. Makes the
  /// run sequential.
  std::vector<std::pair<std::string, std::string>> carry;
};

struct SampleRunOptions {
  int threads = 1;
  std::function<void(size_t done)> progress;  // called from one thread at a time
  std::function<void()> check;                // called between nodes; may throw to stop
};

/// Work on one sample: `inputs` are the sample's (with carried state), returns the graph's outputs
/// so that carried state can be taken from them. `worker` is 0..threads-1.
using SampleWork = std::function<std::vector<RuntimeValue>(
    size_t sample, size_t worker, const std::vector<RuntimeValue>& inputs)>;

/// Calls `work` once for every sample, in parallel (in order and on one thread with carry). The
/// first exception by sample number is rethrown, with the sample named.
void for_each_sample(const Graph& graph, const SampleSource& source,
                     const SampleRunOptions& options, const SampleWork& work);

}  // namespace lathe
