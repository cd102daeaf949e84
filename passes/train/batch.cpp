#include "train/batch.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "ir/error.h"
#include "ir/seeded_random.h"
#include "run/foreign_errors.h"

namespace lathe {
namespace {

constexpr uint64_t kOrderStream = 0x6f72646572;  // apart from other uses of the seed

at::Tensor joined(const std::vector<at::Tensor>& parts, int64_t axis) {
  return parts.size() == 1 ? parts[0].clone() : at::cat(parts, axis);
}

}  // namespace

Batch make_batch(const TrainingData& data, std::span<const size_t> samples) {
  Batch batch;
  batch.samples.assign(samples.begin(), samples.end());
  std::vector<std::vector<at::Tensor>> inputs, targets;
  for (const size_t index : samples) {
    Sample sample = data.sample(index);
    if (inputs.empty() && targets.empty()) {
      inputs.resize(sample.inputs.size());
      targets.resize(sample.targets.size());
    }
    if (sample.inputs.size() != inputs.size() || sample.targets.size() != targets.size())
      throw bad_input("train.sample", "it has another number of inputs or targets than the others",
                      fmt::format("sample {}", index));
    for (size_t i = 0; i < inputs.size(); ++i) inputs[i].push_back(std::move(sample.inputs[i]));
    for (size_t i = 0; i < targets.size(); ++i) {
      at::Tensor target = std::move(sample.targets[i]);
      targets[i].push_back(target.dim() == 0 ? target.reshape({1}) : std::move(target));
    }
  }
  try {
    for (size_t i = 0; i < inputs.size(); ++i) {
      const int64_t axis = i < data.input_axes.size() ? data.input_axes[i] : 0;
      batch.inputs.push_back(axis < 0 ? inputs[i][0].clone() : joined(inputs[i], axis));
    }
    for (const std::vector<at::Tensor>& parts : targets) batch.targets.push_back(joined(parts, 0));
  } catch (...) {
    rethrow_foreign(samples.empty()
                        ? "an empty batch"
                        : fmt::format("the batch that starts with sample {}", samples.front()));
  }
  return batch;
}

Share share_of(int64_t count, int64_t part, int64_t parts) {
  const int64_t least = count / parts, larger = count % parts;
  return {part * least + std::min(part, larger), least + (part < larger ? 1 : 0)};
}

Batch part_of_batch(const Batch& batch, Share share, const std::vector<int64_t>& input_axes) {
  const auto all = static_cast<int64_t>(batch.samples.size());
  if (share.count == all) return batch;
  const auto rows = [&](const at::Tensor& tensor, int64_t axis) {
    const int64_t of_sample = tensor.size(axis) / all;
    return tensor.narrow(axis, share.first * of_sample, share.count * of_sample);
  };
  Batch part;
  for (size_t i = 0; i < batch.inputs.size(); ++i) {
    const int64_t axis = i < input_axes.size() ? input_axes[i] : 0;
    part.inputs.push_back(axis < 0 ? batch.inputs[i] : rows(batch.inputs[i], axis));
  }
  for (const at::Tensor& target : batch.targets) part.targets.push_back(rows(target, 0));
  const auto first = batch.samples.begin() + share.first;
  part.samples.assign(first, first + share.count);
  return part;
}

std::vector<size_t> epoch_order(size_t count, uint64_t seed, int64_t epoch) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  SeededRandom random(seed, kOrderStream + static_cast<uint64_t>(epoch));
  for (size_t left = count; left > 1; --left)
    std::swap(order[left - 1], order[random.next() % left]);
  return order;
}

int64_t steps_per_epoch(size_t count, int64_t batch) {
  if (batch < 1)
    throw bad_usage("train.batch", fmt::format("a batch of {}", batch), {}, "give 1 or more");
  const int64_t steps = static_cast<int64_t>(count) / batch;
  if (steps == 0)
    throw bad_input("train.data",
                    fmt::format("{} samples are fewer than one batch of {}", count, batch), {},
                    "give more data or a smaller batch");
  return steps;
}

}  // namespace lathe
