#include "prune/loss_gradients.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/error.h"
#include "train/batch_loader.h"
#include "train/teaching.h"

namespace lathe {
namespace {

std::vector<size_t> numbers(size_t first, size_t count) {
  std::vector<size_t> all(count);
  std::iota(all.begin(), all.end(), first);
  return all;
}

void add_gradients(TrainableGraph& trainable, const Teaching& teaching, const Batch& batch,
                   double share, const GradientOptions& options) {
  ForwardOptions forward;
  forward.check = options.check;
  const std::vector<at::Tensor> outputs = trainable.forward(batch.inputs, forward);
  const at::AutoGradMode gradients(true);
  const at::Tensor loss = teaching.loss(outputs, batch) * share;
  if (!std::isfinite(loss.item<double>()))
    throw bad_input("prune.taylor", "the loss is not finite",
                    fmt::format("sample {}", batch.samples.front()),
                    "criterion taylor needs finite data; take another --criterion");
  if (loss.requires_grad()) loss.backward();
}

}  // namespace

std::map<ValueId, Tensor> loss_gradients(const Graph& graph, const SampleSource& source,
                                         const std::function<Tensor(size_t)>& labels,
                                         const GradientOptions& options) {
  if (!labels)
    throw bad_usage("prune.taylor", "criterion taylor needs labels, and the data have none",
                    "--criterion taylor",
                    "add \"labels\" to the data's spec, or take --criterion l2");
  TeachingOptions teaching_options;
  teaching_options.student_axes.inputs = options.input_axes;
  const Teaching teaching = make_teaching(graph, nullptr, source, labels, teaching_options);
  TrainableOptions trainable_options;
  trainable_options.freeze_batch_norm = true;
  trainable_options.outputs = teaching.outputs;
  TrainableGraph trainable(graph, trainable_options);

  const size_t count = teaching.data.count;
  const auto batch = static_cast<size_t>(std::max<int64_t>(options.batch, 1));
  const auto load = [&](int64_t step) {
    const size_t first = static_cast<size_t>(step) * batch;
    return make_batch(teaching.data, numbers(first, std::min(batch, count - first)));
  };
  BatchLoader loader(load);
  for (size_t first = 0; first < count; first += batch) {
    const auto step = static_cast<int64_t>(first / batch);
    const Batch samples = loader.take(step);
    if (first + batch < count) loader.prefetch(step + 1);
    add_gradients(trainable, teaching, samples,
                  static_cast<double>(samples.samples.size()) / static_cast<double>(count),
                  options);
    if (options.progress) options.progress(first + samples.samples.size(), count);
  }

  std::map<ValueId, Tensor> gradients;
  bool any = false;
  for (const Parameter& parameter : trainable.parameters()) {
    // Copies of a shared vector have ids that the graph does not know, and each only its own part.
    if (!graph.is_live(parameter.value) || graph.constant(parameter.value) == nullptr) continue;
    const Value& value = graph.value(parameter.value);
    if (value.constant->rank() <= 1 && value.users.size() > 1) continue;
    const at::Tensor& found = parameter.tensor->grad();
    any = any || found.defined();
    const at::Tensor gradient = found.defined() ? found.detach().to(at::kFloat).contiguous()
                                                : at::zeros(parameter.tensor->sizes(),
                                                            at::TensorOptions().dtype(at::kFloat));
    gradients[parameter.value] = to_tensor({gradient, DType::kFloat32});
  }
  if (!any)
    throw bad_input("prune.taylor", "the loss gives no weight a gradient", {},
                    "an op without derivative stands between them; take another --criterion");
  return gradients;
}

}  // namespace lathe
