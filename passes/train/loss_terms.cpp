#include "train/loss_terms.h"

#include <fmt/format.h>

#include "ir/error.h"
#include "train/losses.h"

namespace lathe {
namespace {

at::Tensor mixed(const LossTerm& term, const at::Tensor& output, const at::Tensor& teacher,
                 const at::Tensor& labels, MixtureOptions options) {
  const TaughtOutput& told = term.told;
  if (told.classes) {
    options.alpha = told.teacher_share;
    const at::Tensor classes =
        told.label_share > 0 ? labels.reshape(output.select(1, 0).sizes()) : at::Tensor();
    return distillation_mixture(
        output, teacher.defined() ? teacher.to(output.scalar_type()) : teacher, classes, options);
  }
  at::Tensor loss;
  const auto add = [&](const at::Tensor& target, double share) {
    if (share <= 0) return;
    const at::Tensor part = mean_squared_error(output, target) * (share / told.variance);
    loss = loss.defined() ? loss + part : part;
  };
  add(teacher, told.teacher_share);
  add(labels, told.label_share);
  return loss;
}

}  // namespace

std::vector<at::Tensor> sample_inputs(const SampleSource& source, size_t index) {
  std::vector<at::Tensor> inputs;
  for (const Tensor& tensor : source.sample(index)) {
    const RuntimeValue value = to_runtime(tensor);
    if (!value.is_tensor())
      throw bad_input("train.inputs", "an input is no tensor of numbers", {},
                      "such a model cannot be trained");
    // Augmentation computes in float32.
    inputs.push_back(value.dtype == DType::kFloat16 || value.dtype == DType::kBFloat16
                         ? value.tensor->to(at::kFloat)
                         : *value.tensor);
  }
  return inputs;
}

std::string loss_text(const LossTerm& term, const TeachingOptions& options) {
  const TaughtOutput& told = term.told;
  std::string text;
  const auto add = [&](double share, const std::string& what) {
    if (share <= 0) return;
    if (!text.empty()) text += " + ";
    text += share < 1 ? fmt::format("{:.3g} {}", share, what) : what;
  };
  const std::string squared = fmt::format("squared error / {:.3g}", told.variance);
  add(told.teacher_share,
      told.classes ? fmt::format("distillation at temperature {:.3g}", options.temperature)
                   : squared + " against the teacher");
  std::string cross_entropy = "cross-entropy";
  if (options.label_smoothing > 0)
    cross_entropy += fmt::format(" (labels smoothed by {:.3g})", options.label_smoothing);
  add(told.label_share, told.classes ? cross_entropy : squared + " against the labels");
  return text;
}

std::vector<at::Tensor> LossTerms::ask(const std::vector<at::Tensor>& inputs,
                                       int64_t samples) const {
  std::vector<at::Tensor> found = teacher->outputs(inputs, samples, check);
  const size_t outputs = found.size() - features.size();
  for (size_t i = 0; i < features.size(); ++i)
    found[outputs + i] = features[i].target(found[outputs + i]);
  return found;
}

at::Tensor LossTerms::loss(const std::vector<at::Tensor>& outputs, const Batch& batch) const {
  const size_t first = has_labels() ? 1 : 0;
  std::vector<at::Tensor> taught;
  if (teacher && cache.empty())
    taught = ask(batch.inputs, static_cast<int64_t>(batch.samples.size()));
  else
    taught.assign(batch.targets.begin() + static_cast<std::ptrdiff_t>(first), batch.targets.end());
  MixtureOptions mixture;
  mixture.temperature = temperature;
  mixture.labels.label_smoothing = label_smoothing;
  at::Tensor sum;
  const auto add = [&](const at::Tensor& part) { sum = sum.defined() ? sum + part : part; };
  size_t next = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const LossTerm& term = all[i];
    const at::Tensor from_teacher = term.from_teacher ? taught.at(next++) : at::Tensor();
    const at::Tensor labels = i == label_term ? batch.targets.at(0) : at::Tensor();
    add(mixed(term, batch_first(outputs.at(i), term.student), from_teacher, labels, mixture));
  }
  for (const FeatureLossTerm& feature : features)
    add(feature.loss(outputs.at(feature.output), taught.at(next++)));
  return sum;
}

Sample LossTerms::sample(const SampleSource& source, const std::function<Tensor(size_t)>& labels,
                         size_t index) const {
  Sample sample{sample_inputs(source, index), {}};
  if (has_labels())
    sample.targets.push_back(label_target(labels(index), *all[label_term].labels, first_output));
  for (const at::Tensor& known : cache) {
    const int64_t rows = known.size(0) / static_cast<int64_t>(count);
    sample.targets.push_back(known.narrow(0, static_cast<int64_t>(index) * rows, rows));
  }
  return sample;
}

}  // namespace lathe
