// One layer's repair: what repair() does to each in turn.
#pragma once

#include <functional>
#include <vector>

#include "layers/layer_outputs.h"
#include "layers/staged_run.h"
#include "prune/repair_targets.h"

namespace at {
class Tensor;
}

namespace lathe {

class NormalEquations;

class LayerRepair {
 public:
  /// Everything given lives as long as this. Layers come in the graph's order; `source` has no
  /// carried values.
  LayerRepair(Graph& graph, const RepairTargets& targets, const SampleSource& source,
              const RepairOptions& options);

  RepairRow repair(const RepairTarget& target);

 private:
  using Values = std::vector<RuntimeValue>;
  /// Rows of one sample, of the watched values.
  using ReadRows = std::function<at::Tensor(size_t sample, const Values& values)>;
  /// Rows of a portion of samples, and what the dense network computed at them; both in double.
  /// `held`: of samples that nothing is fitted to.
  using TakeRows = std::function<void(const at::Tensor& rows, const at::Tensor& wanted, bool held)>;

  /// `width`: columns of the rows.
  void walk(const RepairTarget& target, const std::vector<ValueId>& watched, size_t stage,
            int64_t width, const ReadRows& read, const TakeRows& take);

  void fit(const RepairTarget& target, RepairRow& row);
  void shift(const RepairTarget& target, RepairRow& row);
  /// Gates of the dense LSTM from what the pruned one is fed and its units' last outputs: first
  /// those of the dense layer, then its own. What computes the nearest outputs stays.
  void fit_recurrent(const RepairTarget& target, RepairRow& row);
  /// Squared error of the LSTM's outputs with its weights as they are. The equations see the dense
  /// layer's last outputs (`teacher`) or the layer's own. `square`: squared sum of what is wanted.
  double run_recurrent(const RepairTarget& target, bool teacher,
                       std::vector<NormalEquations>& equations, double& square);
  void estimate_statistics(const RepairTarget& target, RepairRow& row);
  double statistics_error(const RepairLayer& layer, const at::Tensor& x, const at::Tensor& y,
                          const at::Tensor& mean, const at::Tensor& variance) const;

  Graph& graph_;
  const RepairTargets& targets_;
  const RepairOptions& options_;
  StagedRun run_;
};

/// Throws Error (exit 3) for NaN and infinity.
void refuse_non_finite(double error);
/// `square`: what both errors are relative to, when it is not 0.
void set_errors(RepairRow& row, int64_t rows, double square, double before, double after);

}  // namespace lathe
