// The training loop: epochs over shuffled batches, one optimizer step each. The same bytes for the
// same options and thread count, also after an interruption and a resume; the same within the order
// of float summation for any number of processes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "train/augment.h"
#include "train/batch.h"
#include "train/checkpoint.h"
#include "train/learning_rate.h"
#include "train/optimizer.h"
#include "train/processes.h"
#include "train/trainable_graph.h"

namespace lathe {

/// A scalar to minimise, a mean over the samples of the batch. `outputs` are
/// TrainableGraph::forward's. Given a part of a batch when gradients are accumulated or processes
/// share the work.
using Loss = std::function<at::Tensor(const std::vector<at::Tensor>& outputs, const Batch& batch)>;

struct EpochRecord {
  double loss = 0;               // mean over the epoch's steps
  double learning_rate = 0;      // of its last step
  std::optional<double> metric;  // of `validate`
};

struct TrainProgress {
  int64_t epoch = 0;  // from 1
  int64_t epochs = 0;
  int64_t step = 0;  // done, from 1, over all epochs
  int64_t steps = 0;
  double loss = 0;           // of this step
  double mean_loss = 0;      // of this epoch so far
  double gradient_norm = 0;  // before clipping
  double learning_rate = 0;
  double samples_per_s = 0;  // since this process began
  double eta_s = 0;          // to the last step, validation not counted
  std::optional<double> best_metric;
};

struct TrainOptions {
  int64_t epochs = 10;
  int64_t batch = 64;  // of all processes together
  /// Parts that this process's share of a batch is run in, to save memory. Alone, it must divide
  /// the batch; with processes the parts are as equal as possible, of one sample at least.
  /// BatchNormalization that is not frozen has the statistics of each part: it wants 1.
  int64_t accumulation = 1;
  uint64_t seed = 0;  // of the order of samples
  OptimizerOptions optimizer;
  LearningRate learning_rate;
  double clip_norm = 0;  // largest norm of all gradients together; 0: not clipped
  std::vector<Augment> augment;
  /// Learned along with the graph's (projections, step sizes); not owned.
  std::vector<Parameter*> more_parameters;

  /// Others that train the same model on the same data with the same options; not owned, nullptr:
  /// alone. Each runs its share of every batch (share_of); gradients are added up. All start from
  /// rank 0's parameters, or from the checkpoint that it resumes. The graph's BatchNormalization
  /// must be frozen or synchronized (synchronized_batch_norm.h; accumulation must then be 1).
  /// Callbacks run in every process except `validate`, which runs in rank 0: their decisions must
  /// not differ.
  Processes* processes = nullptr;

  /// Metric after every epoch, for the best state and early stopping.
  std::function<double(const TrainableGraph&)> validate;
  bool higher_is_better = true;
  int64_t patience = 0;  // epochs without a better metric until training stops; 0: never

  std::function<void()> check;  // called between nodes; throws to stop (os/signals.h)
  std::function<void(const TrainProgress&)> progress;
  /// After the backward pass (of all processes), before clipping.
  std::function<void(const Parameters&)> on_gradients;
  /// Once after every step, with the number of steps done: masks of a pruning schedule, averages of
  /// weights. Masks are not in checkpoints: load_more sets them again.
  std::function<void(TrainableGraph&, int64_t steps_done)> on_step;
  /// After an epoch that is better than all before.
  std::function<void(const TrainableGraph&, const EpochRecord&)> on_best;

  std::string checkpoint;        // file, written by rank 0; empty: none
  int64_t checkpoint_steps = 0;  // steps between two; 0: after every epoch
  bool resume = false;           // start from `checkpoint`; rank 0's decision, and its file
  /// Before anything runs, when a checkpoint was taken up: the steps that it had done, and why the
  /// one before the newest had to serve (empty: the newest did).
  std::function<void(int64_t steps, const std::string& why_previous)> on_resume;
  /// What else must be the same for a resume: hashes of model and data, loss, temperature, ….
  std::map<std::string, std::string> recipe;
  /// State of the caller's own (averages of weights), into and out of checkpoints; names start
  /// with "caller/".
  std::function<void(std::map<std::string, Tensor>&)> save_more;
  std::function<void(const std::map<std::string, Tensor>&)> load_more;
};

struct TrainResult {
  std::vector<EpochRecord> epochs;
  int64_t steps = 0;
  bool stopped_early = false;
  std::string untrained;  // parameters behind an op without derivative, in words; empty: none
  /// With `validate`: the best epoch (from 0) and TrainableGraph::state() after it.
  std::optional<int64_t> best_epoch;
  std::map<std::string, Tensor> best;
};

/// Trains in place. When `check` or anything else throws between two steps or in one, the state
/// after the last complete step is written to the checkpoint before the exception goes on. Throws
/// Error: exit 2 for options that make no sense, that differ between processes, and for checkpoints
/// of other runs; exit 3 for data that do not fit, for an op without derivative that cuts every
/// parameter off from the loss (named), and for a loss or gradient that is not finite (step,
/// samples and first node named, the same in all processes; the last checkpoint stays); exit 6 in
/// every other process when one ends early (each writes the checkpoint). Returns in all processes
/// when the last checkpoint is written.
TrainResult train(TrainableGraph& graph, const TrainingData& data, const Loss& loss,
                  const TrainOptions& options);

}  // namespace lathe
