#include "heavy/model_data.h"

#include <fmt/format.h>

#include "ir/error.h"
#include "model_facts.h"
#include "onnx/read_model.h"
#include "ops/op_row.h"
#include "os/signals.h"

namespace lathe {

Model open_model(const std::string& path, const CommonOptions& common) {
  Model model = load_onnx(path, read_options(common));
  try {
    infer_shapes(model.graph);
  } catch (const Error& error) {
    throw error.within(path);
  }
  return model;
}

DataSet open_data_for(const std::string& data, const Graph& graph, int64_t samples,
                      const CommonOptions& common, Console& console) {
  std::vector<ModelInput> inputs;
  for (const ValueId id : graph.inputs()) {
    const Value& value = graph.value(id);
    if (!value.type.is_tensor() || !value.type.dims)
      throw bad_input("model.input", "this input is no tensor of known rank",
                      "input " + escape_untrusted(value.name));
    inputs.push_back({value.name, value.type.dtype, *value.type.dims});
  }
  DataOptions options;
  options.seed = common.seed;
  options.limit = samples;
  if (samples > 0) options.random_samples = samples;
  options.follow_links = common.follow_links;
  DataSet set = open_data_set(data, inputs, options);
  for (const std::string& warning : set.warnings()) console.warn("data", warning);
  return set;
}

SampleSource sample_source(const DataSet& data) {
  SampleSource source;
  source.count = data.size();
  source.sample = [&data](size_t i) { return data.sample(i); };
  source.carry = data.carry();
  return source;
}

std::function<std::vector<int64_t>(size_t)> label_source(const DataSet& data) {
  if (!data.has_labels()) return {};
  return [&data](size_t i) { return data.class_labels(i); };
}

SampleRunOptions sample_run(int threads, Console& console, const std::string& label, size_t count) {
  SampleRunOptions options;
  options.threads = threads;
  options.check = throw_if_interrupted;
  console.progress().start(label, static_cast<int64_t>(count), "samples");
  options.progress = [&console, count](size_t done) {
    console.progress().update(static_cast<int64_t>(done));
    if (done == count) console.progress().finish();
  };
  return options;
}

Metric choose_metric(const std::string& name, bool has_labels) {
  if (name.empty()) return has_labels ? Metric::kTop1 : Metric::kAgreement;
  const Metric metric = *metric_from_name(name);
  if (needs_labels(metric) && !has_labels)
    throw bad_usage("usage.labels", "metric '" + name + "' needs labels, and the data have none",
                    {}, "add \"labels\" to the data's spec, or use --metric agreement");
  return metric;
}

std::string metric_text(Metric metric, const std::optional<double>& value) {
  if (!value) return "-";
  if (metric == Metric::kSqnr) return fmt::format("{:.1f} dB", *value);
  if (metric == Metric::kMse || metric == Metric::kMae) return fmt::format("{:.3g}", *value);
  return fmt::format("{:.3f}", *value);
}

}  // namespace lathe
