// Trains a network on what a teacher says, what labels say, or both: fine-tuning after pruning,
// and distillation.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "calibration/data_set.h"
#include "console.h"
#include "distill/quantization_aware.h"
#include "ir/graph.h"
#include "options.h"
#include "train/processes.h"
#include "train/teaching.h"
#include "train/train.h"

namespace lathe {

struct FineTuneHooks {
  /// With the number of steps done: 0 before the first one; more after a resume, when masks must be
  /// set again. Constants of the TrainableGraph have the ids of the student.
  std::function<void(TrainableGraph&, int64_t steps_done, int64_t steps)> on_start;
  /// After every step.
  std::function<void(TrainableGraph&, int64_t steps_done, int64_t steps)> on_step;
};

/// References outlive the call.
struct FineTuneTask {
  const Graph& student;
  const Graph* teacher = nullptr;  // nullptr: labels alone
  const DataSet& data;
  const TrainingOptions& options;
  FineTuneHooks hooks = {};
  /// After every epoch, with the (averaged) weights in the student's shapes.
  std::function<double(const Graph&)> validate = {};
  bool higher_is_better = true;
  /// Return the best epoch's weights instead of the last one's; the figure that chose them flatters
  /// them a little.
  bool keep_best = false;
  /// The student after an epoch that is better than all before; without `validate` after every one.
  std::function<void(const Graph&, const EpochRecord&)> on_better = {};
  /// Inner values to match with the teacher's.
  std::vector<FeatureMatch> features = {};
  /// Fake quantization of the student; its step sizes are learned along.
  QuantizationAware* integers = nullptr;
  /// Processes that train together; nullptr: this one alone.
  Processes* processes = nullptr;
  std::string label = "fine-tuning";  // of the progress line
  uint64_t seed = 0;
  int threads = 1;
  bool replace_checkpoint = false;  // --force
  /// What the hooks do (structure, schedule, sparsity): must be the same for a resume.
  std::map<std::string, std::string> recipe = {};
};

struct FineTuned {
  Graph graph;  // the student's inputs, outputs and shapes
  std::vector<EpochRecord> epochs;
  std::optional<int64_t> best_epoch;  // from 0, with `validate`
  int64_t steps = 0;
  int64_t steps_before = 0;  // of an earlier run that was resumed
  int64_t batch = 0;         // as used
  int64_t accumulation = 1;
  double seconds = 0;
  double samples_per_s = 0;  // validation not counted
  bool teacher = false;
  bool labels = false;
  bool teacher_cached = false;
  bool stopped_early = false;
  bool bfloat16 = false;
  bool checkpointed_activations = false;
  int64_t processes = 1;
  std::vector<TaughtOutput> taught;
  std::string loss;        // in words
  std::string batch_norm;  // "trained", "frozen" or "none"
  std::vector<std::string> notes;
};

/// Deterministic for a given number of threads. SIGINT and SIGTERM end it with the state after the
/// last complete step in DIR/training.checkpoint where --checkpoint DIR is given. Throws Error:
/// exit 2 for options out of range, for a checkpoint that is there without --resume, and for one of
/// another model, data or recipe; exit 3 as train() and make_teaching().
FineTuned fine_tune(const FineTuneTask& task, Console& console);

/// What can be said of the flags before any work starts: the errors with exit 2 (and 9) above, as
/// far as they need no model and no data. `replace`: --force. Makes the folder of --checkpoint.
void check_training(const TrainingOptions& options, bool replace);

/// The report's section "training".
nlohmann::json training_json(const FineTuned& result);

}  // namespace lathe
