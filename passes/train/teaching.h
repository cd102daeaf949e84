// What a network in training is compared with: labels, a teacher's outputs, or both, chosen for
// each of its outputs by what the graphs show.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "run/sample_runner.h"
#include "train/features.h"
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
  /// The first output is class scores, though nothing in the graph or the labels says so.
  bool classes = false;
  /// Share of the labels' certainty that is spread over all classes; 0 or more, below 1.
  double label_smoothing = 0;
  /// Inner values of the two graphs to compare as well.
  std::vector<FeatureMatch> features;
  uint64_t seed = 0;  // of the features' projections
  /// What an unknown name of a value may have meant (report/nearest_name.h: name_hint).
  std::function<std::string(std::string_view name, const std::vector<std::string>& known)> hint;
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

/// One output of the student, or a value inside it, and what it is compared with.
struct TaughtOutput {
  std::string name;  // of the student's value
  /// Class scores: KL divergence from the teacher, cross-entropy with labels. Else numbers: mean
  /// squared error, divided by the targets' variance so that it is of order 1.
  bool classes = false;
  double teacher_share = 0;
  double label_share = 0;
  double variance = 1;  // of numbers
  std::string loss;     // in words: "0.7 distillation at temperature 3 + 0.3 cross-entropy"
  /// Of an inner value; teacher_share is its weight.
  std::optional<FeatureMatch> feature;
  bool projected = false;
};

struct Teaching {
  TrainingData data;
  Loss loss;                     // sum over all that is taught
  std::vector<ValueId> outputs;  // of the student, for TrainableOptions::outputs
  std::vector<TaughtOutput> taught;
  /// The features' projections, which `loss` reads: for TrainOptions::more_parameters.
  std::vector<std::shared_ptr<Parameter>> parameters;
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
/// batch, teach nothing; with features, no output needs to. Throws Error: exit 2 with neither
/// labels nor teacher, for alpha below 1 without labels, for numbers out of range, and for features
/// without teacher or of a name that no computed value has; exit 3 when inputs, outputs, labels or
/// features do not fit.
Teaching make_teaching(const Graph& student, const Graph* teacher, const SampleSource& source,
                       const std::function<Tensor(size_t)>& labels, const TeachingOptions& options);

}  // namespace lathe
