// Samples put together into batches.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace at {
class Tensor;
}

namespace lathe {

/// Inputs of the model (batch axis of 1 included), and whatever the loss wants to compare with:
/// labels, a teacher's outputs. Tensors that were made under InferenceMode are fine.
struct Sample {
  std::vector<at::Tensor> inputs;
  std::vector<at::Tensor> targets;
};

struct Batch {
  std::vector<at::Tensor> inputs;
  std::vector<at::Tensor> targets;
  std::vector<size_t> samples;  // their numbers, in order
};

struct TrainingData {
  size_t count = 0;
  /// Called from one thread, not the one that trains.
  std::function<Sample(size_t index)> sample;
  /// Batch axis of each input; -1: the same for all samples, taken from the first. Beyond the end:
  /// 0.
  std::vector<int64_t> input_axes;
};

/// Inputs joined along their batch axes, targets along axis 0 (a scalar target becomes one element
/// of a vector). Throws Error (exit 3, naming the sample) when samples do not fit together.
Batch make_batch(const TrainingData& data, std::span<const size_t> samples);

/// A run of samples within a batch.
struct Share {
  int64_t first = 0;
  int64_t count = 0;
};

/// Part `part` of `count` samples that are cut into `parts` parts as equal as possible, the larger
/// ones first; empty when there are more parts than samples.
Share share_of(int64_t count, int64_t part, int64_t parts);

/// A run of its samples; a sample may be several rows of a tensor. Shares memory with `batch`.
Batch part_of_batch(const Batch& batch, Share share, const std::vector<int64_t>& input_axes);

/// The order of samples in an epoch: Fisher-Yates by SeededRandom, a function of the arguments
/// alone.
std::vector<size_t> epoch_order(size_t count, uint64_t seed, int64_t epoch);

/// Steps of an epoch: full batches only. What is left over differs from epoch to epoch, so every
/// sample has its turn, and no small batch upsets batch statistics. Throws Error (exit 3) when the
/// data are smaller than one batch.
int64_t steps_per_epoch(size_t count, int64_t batch);

}  // namespace lathe
