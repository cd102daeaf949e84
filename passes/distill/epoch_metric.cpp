#include "distill/epoch_metric.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "calibration/sample_source.h"
#include "os/signals.h"
#include "train/batch_form.h"
#include "train/batch_loader.h"
#include "train/loss_terms.h"
#include "train/teacher.h"

namespace lathe {
namespace {

constexpr size_t kBatch = 64;
constexpr int64_t kReferenceBytes = int64_t{512} << 20;

// A graph that gives the first outputs of many samples.
class Asked {
 public:
  explicit Asked(const Graph& graph)
      : form_(training_form(graph)),
        teacher_(form_.batched, {place()}, form_.axes.free, form_.axes.inputs) {}

  std::vector<at::Tensor> outputs(const Batch& batch) const {
    const auto count = static_cast<int64_t>(batch.samples.size());
    const at::Tensor all = teacher_.outputs(batch.inputs, count, throw_if_interrupted)[0];
    const int64_t rows = all.size(0) / count;
    std::vector<at::Tensor> parts;
    for (int64_t i = 0; i < count; ++i)
      parts.push_back(all.narrow(0, i * rows, rows).movedim(0, place().batch_axis));
    return parts;
  }
  const std::vector<int64_t>& input_axes() const { return form_.axes.inputs; }

 private:
  TaughtValue place() const {
    TaughtValue value;
    value.value = form_.batched.outputs()[0];
    if (!form_.axes.outputs.empty()) value.batch_axis = std::max<int64_t>(form_.axes.outputs[0], 0);
    return value;
  }

  TrainingForm form_;
  Teacher teacher_;
};

}  // namespace

EpochMetric::EpochMetric(const Graph& teacher, const DataSet& data, Metric metric)
    : teacher_(teacher), data_(data), metric_(metric) {}

EpochMetric::~EpochMetric() = default;

std::optional<double> EpochMetric::value(const Graph& student) {
  const Asked asked(student);
  std::optional<Asked> teacher;
  if (!needs_labels(metric_) && references_.empty()) teacher.emplace(teacher_);
  TrainingData samples;
  samples.count = data_.size();
  samples.input_axes = asked.input_axes();
  const SampleSource source = sample_source(data_);
  samples.sample = [&](size_t i) { return Sample{sample_inputs(source, i), {}}; };
  const auto labels = label_source(data_);
  MetricCollector collector(metric_, samples.count);
  std::vector<at::Tensor> references;
  int64_t bytes = 0;
  for_each_batch(samples, kBatch, [&](const Batch& batch) {
    const std::vector<at::Tensor> outputs = asked.outputs(batch);
    const std::vector<at::Tensor> wanted =
        teacher ? teacher->outputs(batch) : std::vector<at::Tensor>{};
    for (size_t i = 0; i < outputs.size(); ++i) {
      const size_t sample = batch.samples[i];
      const at::Tensor reference = teacher                ? wanted[i]
                                   : !references_.empty() ? references_[sample]
                                                          : at::Tensor();
      collector.add(sample, outputs[i], labels ? labels(sample) : std::vector<int64_t>{},
                    reference);
      if (!teacher || bytes > kReferenceBytes) continue;
      references.push_back(reference.clone());
      bytes += static_cast<int64_t>(reference.nbytes());
    }
  });
  if (teacher && bytes <= kReferenceBytes) references_ = std::move(references);
  const std::optional<double> value = collector.value();
  return value && std::isfinite(*value) ? value : std::nullopt;
}

}  // namespace lathe
