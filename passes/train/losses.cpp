#include "train/losses.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ir/error.h"

namespace lathe {
namespace {

// What another model computed under InferenceMode cannot be kept for the backward pass.
at::Tensor usable(const at::Tensor& target) {
  return target.is_inference() ? target.clone() : target.detach();
}

std::string shape_of(const at::Tensor& tensor) {
  return tensor.dim() == 0 ? "scalar" : fmt::format("{}", fmt::join(tensor.sizes(), "x"));
}

void require_same_shape(const at::Tensor& a, const at::Tensor& b, const char* what) {
  if (a.sizes() != b.sizes())
    throw bad_input("train.shapes",
                    fmt::format("the student gives {}, the {} {}", shape_of(a), what, shape_of(b)),
                    {}, "both must have one shape");
}

}  // namespace

at::Tensor class_scores(const at::Tensor& scores) {
  at::Tensor out = scores;
  while (out.dim() > 2 && out.size(-1) == 1) out = out.squeeze(-1);
  return out;
}

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels,
                         const CrossEntropyOptions& options) {
  const at::Tensor scores = class_scores(logits);
  at::Tensor target = usable(labels).to(at::kLong);
  while (target.dim() > scores.dim() - 1 && target.dim() > 1 && target.size(-1) == 1)
    target = target.squeeze(-1);
  std::vector<int64_t> wanted = scores.sizes().vec();
  if (scores.dim() >= 2) wanted.erase(wanted.begin() + 1);
  if (scores.dim() < 2 || target.sizes() != at::IntArrayRef(wanted))
    throw bad_input("train.labels",
                    fmt::format("labels of shape {} do not fit scores of shape {}",
                                shape_of(labels), shape_of(logits)),
                    {}, "a class a sample, or a class a pixel");
  const at::Tensor counted = target.masked_select(target.ne(options.ignored));
  if (counted.numel() > 0) {
    const int64_t low = counted.min().item<int64_t>(), high = counted.max().item<int64_t>();
    if (low < 0 || high >= scores.size(1))
      throw bad_input("train.labels",
                      fmt::format("label {} is out of range: the model has {} classes",
                                  low < 0 ? low : high, scores.size(1)),
                      {}, "check the data's labels");
  }
  return at::cross_entropy_loss(scores, target, {}, at::Reduction::Mean, options.ignored,
                                options.label_smoothing);
}

at::Tensor distillation(const at::Tensor& student, const at::Tensor& teacher, double temperature) {
  const at::Tensor ours = class_scores(student), theirs = class_scores(usable(teacher));
  require_same_shape(ours, theirs, "teacher");
  if (ours.dim() < 2 || ours.numel() == 0)
    throw bad_input("train.shapes",
                    fmt::format("scores of shape {} have no classes", shape_of(student)));
  const at::Tensor log_p = at::log_softmax(ours / temperature, 1);
  const at::Tensor log_q = at::log_softmax(theirs / temperature, 1);
  const auto positions = static_cast<double>(ours.numel() / ours.size(1));
  return at::kl_div(log_p, log_q, at::Reduction::Sum, /*log_target=*/true) *
         (temperature * temperature / positions);
}

at::Tensor mean_squared_error(const at::Tensor& output, const at::Tensor& target) {
  require_same_shape(output, target, "target has");
  return at::mse_loss(output, usable(target).to(output.scalar_type()));
}

at::Tensor attention_map(const at::Tensor& features, const std::vector<int64_t>& sizes) {
  at::Tensor energy = features.square().sum(1, /*keepdim=*/true);
  if (sizes.size() == 1) energy = at::adaptive_avg_pool1d(energy, sizes);
  if (sizes.size() == 2) energy = at::adaptive_avg_pool2d(energy, sizes);
  if (sizes.size() == 3) energy = at::adaptive_avg_pool3d(energy, sizes);
  energy = energy.flatten(1);
  // Below the root, so that the gradient of a map of zeros is 0 and not NaN.
  const at::Tensor norm = (energy.square().sum(1, /*keepdim=*/true) + 1e-30).sqrt();
  return energy / norm;
}

at::Tensor attention_transfer(const at::Tensor& student, const at::Tensor& teacher) {
  require_same_shape(student, teacher, "teacher");
  const at::Tensor apart = student - usable(teacher).to(student.scalar_type());
  return apart.square().sum(1).mean();
}

at::Tensor distillation_mixture(const at::Tensor& student, const at::Tensor& teacher,
                                const at::Tensor& labels, const MixtureOptions& options) {
  if (options.alpha >= 1) return distillation(student, teacher, options.temperature);
  if (options.alpha <= 0) return cross_entropy(student, labels, options.labels);
  return distillation(student, teacher, options.temperature) * options.alpha +
         cross_entropy(student, labels, options.labels) * (1 - options.alpha);
}

}  // namespace lathe
