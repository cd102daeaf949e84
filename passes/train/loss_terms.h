// What the loss of a training reads for each output. Part of teaching.h.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "run/sample_runner.h"
#include "train/features.h"
#include "train/taught_outputs.h"
#include "train/teacher.h"
#include "train/teaching.h"

namespace lathe {

/// A sample's inputs as training takes them: half types as float32, in which augmentation computes.
/// Throws Error (exit 3) for strings.
std::vector<at::Tensor> sample_inputs(const SampleSource& source, size_t index);

/// What the loss of one output reads.
struct LossTerm {
  TaughtOutput told;
  TaughtValue student;
  TaughtValue teacher;
  bool from_teacher = false;
  std::optional<LabelFit> labels;
};

/// "0.7 distillation at temperature 3 + 0.3 cross-entropy"
std::string loss_text(const LossTerm& term, const TeachingOptions& options);

/// Everything that a Loss and TrainingData read; shared by both.
struct LossTerms {
  std::vector<LossTerm> all;
  std::vector<FeatureLossTerm> features;
  std::optional<Teacher> teacher;
  size_t label_term = SIZE_MAX;  // the one that labels go with
  at::Tensor first_output;       // of the label term: batch first, one sample
  /// One per term that the teacher gives, then one per feature, batch first.
  std::vector<at::Tensor> cache;
  size_t count = 0;
  double temperature = 3;
  double label_smoothing = 0;
  std::function<void()> check;

  bool has_labels() const { return label_term != SIZE_MAX; }

  /// What the loss compares with, of a batch: as in `cache`. Asks the teacher.
  std::vector<at::Tensor> ask(const std::vector<at::Tensor>& inputs, int64_t samples) const;
  /// Sum over all outputs and features, of a batch that sample() made.
  at::Tensor loss(const std::vector<at::Tensor>& outputs, const Batch& batch) const;
  /// Targets: the labels where there are any, then what is cached.
  Sample sample(const SampleSource& source, const std::function<Tensor(size_t)>& labels,
                size_t index) const;
};

}  // namespace lathe
