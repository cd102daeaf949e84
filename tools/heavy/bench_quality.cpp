#include "heavy/bench_quality.h"

#include <fmt/format.h>

#include <algorithm>

#include "heavy/model_data.h"
#include "ir/error.h"

namespace lathe {
namespace {

std::vector<Metric> choose(const std::string& name, bool in_decibels, bool has_labels,
                           bool has_against) {
  if (!name.empty()) {
    const Metric metric = choose_metric(name, has_labels);
    if (!needs_labels(metric) && !has_against)
      throw bad_usage("usage.metric", "metric '" + name + "' compares with another model",
                      "--metric", "give --against MODEL");
    return {metric};
  }
  std::vector<Metric> metrics;
  if (has_labels) metrics.push_back(Metric::kTop1);
  if (has_against && !has_labels) metrics = {Metric::kAgreement, Metric::kSqnr};
  if (has_against && in_decibels && has_labels) metrics.push_back(Metric::kSqnr);
  if (has_against && in_decibels) std::reverse(metrics.begin(), metrics.end());
  return metrics;
}

void check_gate(const Gate& gate, const std::vector<Metric>& metrics, bool has_against) {
  const std::string where = "gate \"" + escape_untrusted(gate.text) + "\"";
  if (gate.metric == "coverage")
    throw bad_usage("gate.not_measured", "bench does not measure coverage", where);
  const bool is_drop = gate.metric == "accuracy_drop";
  if (gate.metric != "accuracy" && !is_drop) return;
  if (metrics.empty())
    throw bad_usage("gate.needs_labels", "accuracy needs labels or another model", where,
                    "give --data with labels, or --against MODEL");
  if (is_drop && !has_against)
    throw bad_usage("gate.needs_against", "this gate compares with another model", where,
                    "give --against MODEL");
  const Metric metric = metrics[0];
  const std::string name(metric_name(metric));
  if (is_drop && !needs_labels(metric) && metric != Metric::kAgreement)
    throw bad_usage("gate.metric", name + " is itself a difference: there is no drop of it", where,
                    "gate 'accuracy'");
  if (!is_drop && is_decibel_gate(gate) != (metric == Metric::kSqnr))
    throw bad_usage("gate.metric",
                    is_decibel_gate(gate) ? name + " is not in decibels" : name + " is in decibels",
                    where,
                    is_decibel_gate(gate) ? "give --against MODEL and --metric sqnr"
                                          : "write the limit as in 'accuracy > 30dB'");
}

}  // namespace

std::vector<Metric> bench_metrics(const std::string& name, std::span<const Gate> gates,
                                  bool has_labels, bool has_against) {
  const bool in_decibels = std::any_of(gates.begin(), gates.end(), is_decibel_gate);
  const std::vector<Metric> metrics = choose(name, in_decibels, has_labels, has_against);
  for (const Gate& gate : gates) check_gate(gate, metrics, has_against);
  return metrics;
}

std::vector<MetricPair> bench_quality(const Interpreter& candidate, const Interpreter* against,
                                      const DataSet& data, const std::vector<Metric>& metrics,
                                      const SampleRunOptions& run) {
  const SampleSource source = sample_source(data);
  const auto labels = label_source(data);
  if (against != nullptr) {
    CompareOptions options;
    options.run = run;
    options.layers = false;
    options.metrics = metrics;
    options.labels = labels;
    return compare_graphs(*against, candidate, source, options).metrics;
  }
  std::vector<MetricCollector> collectors;
  for (const Metric metric : metrics) collectors.emplace_back(metric, source.count);
  for_each_sample(
      candidate.graph(), source, run,
      [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
        RunOptions hooks;
        hooks.check = run.check;
        std::vector<RuntimeValue> outputs = candidate.run(inputs, hooks);
        if (outputs.empty() || !outputs[0].is_tensor())
          throw bad_input("compare.not_a_tensor", "the first output is no tensor of numbers");
        const std::vector<int64_t> wanted = labels ? labels(sample) : std::vector<int64_t>{};
        for (MetricCollector& collector : collectors)
          collector.add(sample, outputs[0].tensor, wanted, outputs[0].tensor);
        return outputs;
      });
  std::vector<MetricPair> pairs;
  for (size_t i = 0; i < metrics.size(); ++i)
    pairs.push_back({metrics[i], std::nullopt, collectors[i].value(), collectors[i].items()});
  return pairs;
}

std::optional<double> quality_drop(const MetricPair& pair) {
  if (!pair.after) return std::nullopt;
  if (pair.metric == Metric::kAgreement) return metric_drop(pair.metric, 1, *pair.after);
  if (!pair.before) return std::nullopt;
  return metric_drop(pair.metric, *pair.before, *pair.after);
}

}  // namespace lathe
