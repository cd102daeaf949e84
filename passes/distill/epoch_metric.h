// How good the student is after an epoch: many samples at once, where its graph allows it.
#pragma once

#include <optional>
#include <vector>

#include "calibration/data_set.h"
#include "ir/graph.h"
#include "run/metrics.h"

namespace at {
class Tensor;
}

namespace lathe {

class EpochMetric {
 public:
  /// References outlive it. Samples must not carry state from one to the next.
  EpochMetric(const Graph& teacher, const DataSet& data, Metric metric);
  ~EpochMetric();

  /// Of the first output over all samples; nullopt when it is not finite. Throws Error (exit 3)
  /// when an output's shape differs from the teacher's, exit 130 or 143 when interrupted.
  std::optional<double> value(const Graph& student);

 private:
  const Graph& teacher_;
  const DataSet& data_;
  Metric metric_;
  std::vector<at::Tensor> references_;  // the teacher's outputs by sample, as far as they are small
};

}  // namespace lathe
