// What a network in training is compared with: labels, a teacher's outputs, or both, chosen for
// each of its outputs by what the graphs show.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "run/sample_runner.h"
#include "train/train.h"

namespace lathe {

/// How a graph takes several samples at once.
struct BatchForm {
  bool free = true;             // false: one sample a run, whatever the axes say
  std::vector<int64_t> inputs;  // batch axis of each; -1: the same for all samples. Missing: 0
  std::vector<int64_t> outputs;
};

struct TeachingOptions {
  /// Share of the teacher, within 0..1. nullopt: 0.7 with labels and teacher.
  std::optional<double> alpha;
  double temperature = 3;  // above 0
  /// Augmentation changes what the model sees: the teacher must see it, too.
  bool inputs_change = false;
  /// The teacher's outputs are computed once when all of them fit.
  int64_t cache_bytes = int64_t{256} << 20;
  int64_t batch = 64;  // samples that the teacher sees at once
  BatchForm student_axes;
  BatchForm teacher_axes;
  std::function<void()> check;                            // may throw to stop
  std::function<void(size_t done, size_t all)> progress;  // while outputs are cached
};

/// One output of the student, and what it is compared with.
struct TaughtOutput {
  std::string name;
  /// Class scores: KL divergence from the teacher, cross-entropy with labels. Else numbers: mean
  /// squared error, divided by the targets' variance so that it is of order 1.
  bool classes = false;
  double teacher_share = 0;
  double label_share = 0;
  double variance = 1;  // of numbers
  std::string loss;     // in words: "0.7 distillation at temperature 3 + 0.3 cross-entropy"
};

struct Teaching {
  TrainingData data;
  Loss loss;                     // sum over the taught outputs
  std::vector<ValueId> outputs;  // of the student, for TrainableOptions::outputs
  std::vector<TaughtOutput> taught;
  bool cached = false;             // the teacher's outputs
  std::vector<std::string> notes;  // what was left out, and why
  /// "54: 0.7 distillation at temperature 3 + 0.3 cross-entropy"
  std::string description() const;
};

/// The graphs are copied; `source` and `labels` must live as long as the result. The teacher has
/// the student's inputs; its outputs are found by name, else by place. Labels (one class an item or
/// pixel; or numbers of the output's shape) go with the first output. An output is class scores
/// when a Softmax or LogSoftmax makes or reads it, or when labels are classes that it has on axis
/// 1; before a final Softmax its input is what is compared. Outputs that are no floats, or have no
/// batch, teach nothing. Throws Error: exit 2 with neither labels nor teacher, for alpha below 1
/// without labels and for numbers out of range; exit 3 when inputs, outputs or labels do not fit.
Teaching make_teaching(const Graph& student, const Graph* teacher, const SampleSource& source,
                       const std::function<Tensor(size_t)>& labels, const TeachingOptions& options);

}  // namespace lathe
