// Reads from a graph and a few samples how each output can be compared. Part of teaching.h.
#pragma once

#include <optional>
#include <vector>

#include "train/teacher.h"
#include "train/teaching.h"

namespace lathe {

/// Where output `index` of the graph is compared: before a final Softmax at its input; casts, a
/// Transpose and what drops axes of size 1 behind the classes may follow the Softmax. `batch_axis`
/// is taken over; `class_axis` is set when a Softmax or LogSoftmax makes or reads the output, whose
/// rank is `rank`.
TaughtValue taught_value(const Graph& graph, size_t index, int64_t batch_axis, int64_t rank);

/// `count` sample numbers, evenly spaced, the first one among them.
std::vector<size_t> spread_samples(size_t all, size_t count);

/// What labels are to an output.
struct LabelFit {
  bool classes = false;  // else numbers of the output's shape
  double variance = 1;   // of numbers
};

/// `output`: batch first, of one sample; `class_axis` 1 is assumed unless `place` says otherwise.
/// nullopt when the labels fit in no way. Throws Error (exit 3) for a class that the output, known
/// to be class scores, does not have.
std::optional<LabelFit> fit_labels(const std::function<Tensor(size_t)>& labels, size_t samples,
                                   const at::Tensor& output, bool known_classes);

/// The label as a target: classes as a vector of integers, numbers in the shape of `output`.
at::Tensor label_target(const Tensor& label, const LabelFit& fit, const at::Tensor& output);

/// Population variance over all elements; 1 where that is 0.
double variance_or_one(const at::Tensor& values);

}  // namespace lathe
