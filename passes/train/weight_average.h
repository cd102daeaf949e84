// An exponential moving average of what is trained, usually better than the last weights.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "train/trainable_graph.h"

namespace lathe {

/// Parameters and averages of BatchNormalization. The decay warms up as
/// min(decay, (1 + steps) / (10 + steps)) (TensorFlow's ExponentialMovingAverage), so that short
/// trainings do not keep their first weights. Masked positions are exactly 0.
class WeightAverage {
 public:
  /// Throws Error (exit 2) for a decay outside 0..1.
  WeightAverage(const TrainableGraph& graph, double decay);
  /// After `steps_done` steps.
  void update(const TrainableGraph& graph, int64_t steps_done);

  /// As TrainableGraph::state(), to be given to TrainableGraph::restore().
  std::map<std::string, Tensor> state() const;
  /// Throws Error (exit 2) when the state is of another model.
  void restore(const std::map<std::string, Tensor>& state);

 private:
  double decay_;
  std::map<std::string, at::Tensor> average_;
};

}  // namespace lathe
