// What the layers of a pruned network should compute: rows of the dense network's outputs.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "layers/layer_outputs.h"
#include "prune/repair.h"
#include "prune/repair_layer.h"

namespace lathe {

struct RepairTarget {
  RepairLayer layer;  // of the pruned graph
  size_t index = 0;
  size_t position = 0;  // in the pruned graph's order
  NodeId dense_node;
  ValueId dense_value;  // what its rows are of: the dense layer's output, or a sum with `beside`
  /// Where an Add joins the layer's output with a value that is computed before: that value of the
  /// pruned graph. The layer then makes up for what is wrong with it, too.
  ValueId beside;
  std::vector<int32_t> kept;  // channels of the dense output (LSTM: units); empty: all
  int64_t rows_a_sample = 0;
};

/// The layers of `pruned` whose inputs or zeros are not those of the dense network, in order.
/// Layers that cannot be matched with a dense one have method kNone and a note.
std::vector<RepairTarget> find_repair_targets(const Graph& dense, const Graph& pruned,
                                              const KeptOutputs& kept,
                                              const RepairOptions& options);

/// What the dense network computes on all samples.
class RepairTargets {
 public:
  /// Lowers rows_a_sample of `layers` so that all rows fit into options.target_bytes.
  RepairTargets(const Graph& dense, std::vector<RepairTarget>& layers, const SampleSource& source,
                const RepairOptions& options);

  size_t samples() const { return samples_; }
  /// Those of the sample's rows.
  std::vector<int64_t> positions(const RepairTarget& target, size_t sample) const;
  /// [rows, channels] of each sample in [begin, end); LSTM: of lstm_targets().
  std::vector<at::Tensor> outputs(const RepairTarget& target, size_t begin, size_t end) const;
  /// The source with carried inputs as the dense network computed them. Refers to it.
  SampleSource without_carry(const SampleSource& source) const;

 private:
  void run_recurrent(const Graph& dense, const std::vector<const RepairTarget*>& recurrent,
                     const SampleSource& source, const RepairOptions& options);

  /// Of a recurrent layer: rows, and positions there are, by sample.
  struct Recurrent {
    std::vector<HeldTensor> rows;
    std::vector<int64_t> places;
  };

  size_t samples_;
  uint64_t seed_;
  CarriedInputs carried_;
  std::map<size_t, size_t> output_;  // target's index -> index in outputs_
  std::unique_ptr<const LayerOutputs> outputs_;
  std::map<size_t, Recurrent> recurrent_;  // by target's index
};

}  // namespace lathe
