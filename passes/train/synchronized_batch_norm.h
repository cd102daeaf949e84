// BatchNormalization over a batch that lies in several processes (PyTorch's SyncBatchNorm; Ioffe
// and Szegedy, "Batch Normalization", 2015, for the gradients).
#pragma once

#include <functional>
#include <vector>

#include "ir/graph.h"
#include "train/processes.h"

namespace lathe {

/// For TrainableOptions::batch_norm: output, moved mean and moved variance of a BatchNormalization
/// in training mode as its evaluate function gives them, but with the statistics, and in the
/// backward pass the gradients, of the batches of all processes together; these may differ in size.
/// Gradients of scale and bias are of the own part, as those of every parameter. Sums in double.
/// `processes` must live as long as the results.
std::function<std::vector<at::Tensor>(const Node&, const std::vector<at::Tensor>&)>
synchronized_batch_norm(Processes& processes);

}  // namespace lathe
