// Trainings that several processes share, for tests with threads and with real processes. Include
// before doctest.
#pragma once

#include "small_problem.h"
#include "train/synchronized_batch_norm.h"

namespace lathe::test {

/// By so much may processes differ from one: they add in another order.
constexpr double kRounding = 2e-5;

/// 5 steps an epoch; plain SGD, which does not magnify rounding.
inline TrainOptions shared_options(int64_t batch, int64_t epochs) {
  TrainOptions options;
  options.epochs = epochs;
  options.batch = batch;
  options.seed = 3;
  options.optimizer.kind = OptimizerOptions::Kind::kSgd;
  options.learning_rate.base = 0.1;
  options.learning_rate.schedule = LearningRate::Schedule::kCosine;
  options.learning_rate.warmup_steps = 3;
  options.clip_norm = 1.5;
  return options;
}

inline TrainingData shared_data(int64_t batch) {
  return small_data(static_cast<size_t>(batch * 5 + 3));
}

/// `processes` nullptr: alone.
inline TrainableGraph shared_graph(bool frozen, Processes* processes) {
  TrainableOptions options = on_scores(small_network());
  options.freeze_batch_norm = frozen;
  if (processes != nullptr) options.batch_norm = synchronized_batch_norm(*processes);
  return TrainableGraph(small_network(), options);
}

/// Loss of every step and the state in the end.
struct Trained {
  std::vector<double> losses;
  std::map<std::string, Tensor> state;
  TrainResult result;
};

inline Trained train_shared(bool frozen, TrainOptions options) {
  TrainableGraph graph = shared_graph(frozen, options.processes);
  Trained trained;
  const auto before = options.progress;
  options.progress = [&](const TrainProgress& now) {
    trained.losses.push_back(now.loss);
    if (before) before(now);
  };
  trained.result = train(graph, shared_data(options.batch), label_loss(), options);
  trained.state = graph.state();
  return trained;
}

/// Largest difference between two states, 1e9 when they are of different models.
inline double distance(const std::map<std::string, Tensor>& a,
                       const std::map<std::string, Tensor>& b) {
  if (a.size() != b.size()) return 1e9;
  double largest = 0;
  for (const auto& [name, tensor] : a) {
    const auto other = b.find(name);
    if (other == b.end() || other->second.shape() != tensor.shape()) return 1e9;
    const std::vector<double> left = tensor.to_double(), right = other->second.to_double();
    for (size_t i = 0; i < left.size(); ++i)
      largest = std::max(largest, std::abs(left[i] - right[i]));
  }
  return largest;
}

inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return 1e9;
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

}  // namespace lathe::test
