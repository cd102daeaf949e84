#include "commands/bench/quality.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "commands/bench/subject.h"
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

// The outputs, when output `first` is a tensor and all that the graph has are there.
std::vector<RuntimeValue> checked(std::vector<RuntimeValue> outputs, size_t first,
                                  const Graph& graph) {
  if (outputs.size() < graph.outputs().size())
    throw bad_input("bench.outputs",
                    "this engine keeps the model's state to itself, and accuracy needs it", {},
                    "--engine interpreter");
  if (outputs.empty() || !outputs[first].is_tensor())
    throw bad_input("compare.not_a_tensor", "an output is no tensor of numbers");
  return outputs;
}

// The candidate's counterpart of the other's first output: by name, else the first.
size_t output_position(const Graph& other, const Graph& candidate) {
  if (other.outputs().empty() || candidate.outputs().size() != other.outputs().size())
    throw bad_input("compare.interface",
                    fmt::format("the models have {} and {} outputs", other.outputs().size(),
                                candidate.outputs().size()));
  const std::string& name = other.value(other.outputs()[0]).name;
  for (size_t i = 0; i < candidate.outputs().size(); ++i)
    if (candidate.value(candidate.outputs()[i]).name == name) return i;
  return 0;
}

}  // namespace

std::vector<Metric> bench_metrics(const std::string& name, std::span<const Gate> gates,
                                  bool has_labels, bool has_against) {
  const bool in_decibels = std::any_of(gates.begin(), gates.end(), is_decibel_gate);
  const std::vector<Metric> metrics = choose(name, in_decibels, has_labels, has_against);
  for (const Gate& gate : gates)
    if (gate.source.empty()) check_gate(gate, metrics, has_against);
  return metrics;
}

std::vector<MetricPair> bench_quality(const QualityModel& candidate, const QualityModel* against,
                                      const DataSet& data, const std::vector<Metric>& metrics,
                                      const SampleRunOptions& run) {
  const SampleSource source = sample_source(data);
  const auto labels = label_source(data);
  const QualityModel& fed = against != nullptr ? *against : candidate;
  const std::vector<size_t> positions = input_positions(*fed.graph, *candidate.graph);
  const size_t first = against != nullptr ? output_position(*fed.graph, *candidate.graph) : 0;
  std::vector<MetricCollector> before;
  std::vector<MetricCollector> after;
  for (const Metric metric : metrics) {
    before.emplace_back(metric, source.count);
    after.emplace_back(metric, source.count);
  }
  SampleRunOptions options = run;
  if (!candidate.parallel || !fed.parallel) options.threads = 1;
  for_each_sample(
      *fed.graph, source, options,
      [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
        std::vector<RuntimeValue> wanted;
        if (against != nullptr) wanted = checked(against->run(inputs), 0, *against->graph);
        std::vector<RuntimeValue> ordered;
        for (const size_t position : positions) ordered.push_back(inputs[position]);
        std::vector<RuntimeValue> got = checked(candidate.run(ordered), first, *candidate.graph);
        const at::Tensor& reference = against != nullptr ? wanted[0].tensor : got[first].tensor;
        const std::vector<int64_t> classes = labels ? labels(sample) : std::vector<int64_t>{};
        for (size_t m = 0; m < metrics.size(); ++m) {
          if (against != nullptr) before[m].add(sample, reference, classes, reference);
          after[m].add(sample, got[first].tensor, classes, reference);
        }
        return against != nullptr ? wanted : got;
      });
  std::vector<MetricPair> pairs;
  for (size_t m = 0; m < metrics.size(); ++m) {
    MetricPair pair{metrics[m], std::nullopt, after[m].value(), after[m].items()};
    if (against != nullptr && needs_labels(metrics[m])) pair.before = before[m].value();
    pairs.push_back(pair);
  }
  return pairs;
}

std::optional<double> quality_drop(const MetricPair& pair) {
  if (!pair.after) return std::nullopt;
  if (pair.metric == Metric::kAgreement) return metric_drop(pair.metric, 1, *pair.after);
  if (!pair.before) return std::nullopt;
  return metric_drop(pair.metric, *pair.before, *pair.after);
}

}  // namespace lathe
