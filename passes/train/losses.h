// Losses that training minimises. Scores and targets may have further axes (pixels) behind the
// classes: [N, C, d1, …]; every loss is a mean over all positions, a scalar.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace lathe {

/// `scores` without trailing axes of 1 beyond [N, C] (classifiers that end in 1x1 pictures).
at::Tensor class_scores(const at::Tensor& scores);

struct CrossEntropyOptions {
  double label_smoothing = 0;  // within 0..1
  int64_t ignored = -100;      // positions with this label count nowhere
};

/// Mean cross-entropy of softmax(logits) with class numbers `labels` [N, d1, …] (trailing axes of 1
/// may be there or not), as torch.nn.CrossEntropyLoss. Throws Error (exit 3) when shapes do not
/// fit or a label is out of range.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels,
                         const CrossEntropyOptions& options = {});

/// KL(softmax(teacher / T) || softmax(student / T)) * T², mean over positions (Hinton, Vinyals,
/// Dean: "Distilling the Knowledge in a Neural Network", 2015). Logits of one shape, classes on
/// axis 1. Throws Error (exit 3, naming both shapes) when they do not fit.
at::Tensor distillation(const at::Tensor& student, const at::Tensor& teacher, double temperature);

/// Mean squared difference. Throws Error (exit 3) for different shapes.
at::Tensor mean_squared_error(const at::Tensor& output, const at::Tensor& target);

/// Where a network looks: the sum of squares over channels (axis 1) of [N, C, d1, …], averaged
/// adaptively to `sizes` positions (as many as there are axes behind the channels, at most 3;
/// empty: as it is), as [N, positions], each row of norm 1 (0 where all are 0). Neither the number
/// of channels nor their scale matters.
at::Tensor attention_map(const at::Tensor& features, const std::vector<int64_t>& sizes = {});

/// Squared distance of the rows of two attention maps, mean over the rows (Zagoruyko, Komodakis:
/// "Paying More Attention to Attention", 2017). Throws Error (exit 3) for different shapes.
at::Tensor attention_transfer(const at::Tensor& student, const at::Tensor& teacher);

/// alpha * distillation + (1 - alpha) * cross_entropy; alpha within 0..1. At 1 the labels, at 0 the
/// teacher may be undefined.
struct MixtureOptions {
  double alpha = 0.7;
  double temperature = 3;
  CrossEntropyOptions labels;
};
at::Tensor distillation_mixture(const at::Tensor& student, const at::Tensor& teacher,
                                const at::Tensor& labels, const MixtureOptions& options);

}  // namespace lathe
