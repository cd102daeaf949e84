// Repair of a pruned network without labels: every layer behind a removed channel is fitted anew so
// that it computes, from what the pruned network feeds it, what it computed in the dense one
// (He, Zhang, Sun, "Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017, with
// the bias fitted too and a ridge towards the weights that were left).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "prune/channel_groups.h"
#include "run/sample_runner.h"

namespace lathe {

/// Output channels of the dense graph's nodes that the pruned graph's node of the same name still
/// has, by node name; a node that is not here has all.
using KeptOutputs = std::map<std::string, std::vector<int32_t>>;
KeptOutputs kept_outputs(const Graph& dense, const std::vector<ChannelGroup>& groups,
                         const KeptChannels& kept);

struct RepairOptions {
  int threads = 1;
  /// The least weight of ||W - W0||^2, relative to the mean square of a (centred) input; up to
  /// 10,000 times it are tried, and the samples that are held out choose.
  double ridge = 1e-3;
  bool batch_norm = true;
  uint64_t seed = 0;  // of the positions that are looked at
  /// Activations of all samples are kept between layers up to this; beyond, they are computed anew.
  int64_t cache_bytes = int64_t{1} << 30;
  /// Outputs of the dense layers at the positions that are looked at.
  int64_t target_bytes = int64_t{1} << 29;
  /// Multiplications per layer that the normal equations may take: bounds the positions.
  double products = 2e11;
  std::function<void()> check;  // may throw to stop
  std::function<void(size_t done, size_t all)> progress;
};

enum class RepairMethod : uint8_t { kLeastSquares, kBias, kStatistics, kNone };

/// One layer. Errors are squared errors of its outputs against what they should be, relative to its
/// squared sum, on the rows that were looked at, with inputs from the repaired network. A layer
/// should compute what the dense one did; where a residual Add takes its output, what the dense sum
/// was less the other operand. Least squares are judged by held-out samples alone.
struct RepairRow {
  std::string node;
  std::string type;
  RepairMethod method = RepairMethod::kNone;
  int64_t rows = 0;         // fitted to
  double error_before = 0;  // weights as pruning left them
  double error_after = 0;   // never above error_before
  std::string note;         // why nothing or less was done
};

/// Repairs `pruned` in place; its weights' shapes stay, biases may be added. In the graph's order:
/// Conv, Gemm and MatMul with constant weights (with the bias, or the Add of a constant that
/// follows a MatMul) by least squares on streamed normal equations in double; ConvTranspose, layers
/// of too many inputs and layers whose weights hold new zeros (element masks, which stay) by their
/// bias; BatchNormalization by its mean and variance over the samples, where that brings it nearer
/// to the dense one. Layers that see the same inputs as in the dense network are not touched and
/// not in the rows. Each layer sees at least four positions per unknown where the samples have
/// them. The result does not depend on the number of threads. Throws Error (exit 3) without samples
/// and when an activation is NaN or infinite.
std::vector<RepairRow> repair(const Graph& dense, Graph& pruned, const KeptOutputs& kept,
                              const SampleSource& source, const RepairOptions& options);

}  // namespace lathe
