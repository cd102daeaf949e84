// Gradients of the loss by the weights, for the criterion `taylor`.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "ir/graph.h"
#include "run/sample_runner.h"

namespace lathe {

struct GradientOptions {
  /// Samples that are run at once, joined along `input_axes` (empty: axis 0); 1 for graphs whose
  /// batch is fixed.
  int64_t batch = 1;
  std::vector<int64_t> input_axes;
  std::function<void()> check;  // may throw to stop
  std::function<void(size_t done, size_t all)> progress;
};

/// dL/dw of the graph's trainable constants (train/parameters.h; small ones that several nodes
/// share left out), of their shapes in float32: the mean over all samples of the gradient of the
/// cross-entropy of the first output with the labels (or of the squared error, where the output are
/// no class scores). BatchNormalization keeps its averages. What the loss does not reach has zeros.
/// Throws Error: exit 2 without labels; exit 3 when they do not fit, for a loss that is not finite,
/// and when no weight is reached.
std::map<ValueId, Tensor> loss_gradients(const Graph& graph, const SampleSource& source,
                                         const std::function<Tensor(size_t)>& labels,
                                         const GradientOptions& options);

}  // namespace lathe
