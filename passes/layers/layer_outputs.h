// What the layers of a network compute, at some of their positions: one run over all samples.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "evaluate/held_tensor.h"
#include "layers/held_samples.h"
#include "run/sample_runner.h"

namespace lathe {

/// A value whose rows are kept: [positions, channels] a sample.
struct OutputRows {
  ValueId value;
  int64_t axis = 1;           // of its channels; negative: from the last one
  int64_t rows_a_sample = 0;  // at most
  /// Of the positions that are chosen.
  uint64_t stream = 0;
  std::vector<int32_t> channels = {};  // that are kept; empty: all
};

struct LayerOutputsOptions {
  int threads = 1;
  uint64_t seed = 0;
  std::function<void()> check;  // may throw to stop
};

class LayerOutputs {
 public:
  /// Runs `graph` over the samples and keeps float rows of each of `values`.
  LayerOutputs(const Graph& graph, std::vector<OutputRows> values, const SampleSource& source,
               const LayerOutputsOptions& options);

  /// The positions of a sample's rows of values[index].
  std::vector<int64_t> positions(size_t index, size_t sample) const;
  const at::Tensor& rows(size_t index, size_t sample) const { return rows_[index][sample]; }

 private:
  std::vector<OutputRows> values_;
  size_t samples_;
  uint64_t seed_;
  std::vector<std::vector<HeldTensor>> rows_;  // by value, sample
  std::vector<std::vector<int64_t>> places_;   // positions there are
};

/// What carried inputs are fed when `graph` runs over the samples, by sample: input index -> value.
/// Empty for a source that carries nothing.
using CarriedInputs = std::vector<std::map<size_t, Tensor>>;
CarriedInputs record_carried(const Graph& graph, const SampleSource& source,
                             const std::function<void()>& check);

/// The source with these in place of what it carries. Refers to both.
SampleSource without_carry(const SampleSource& source, const CarriedInputs& carried);

}  // namespace lathe
