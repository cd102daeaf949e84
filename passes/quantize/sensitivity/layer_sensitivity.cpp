#include "quantize/sensitivity/layer_sensitivity.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "ir/error.h"
#include "quantize/sensitivity/watched_run.h"

namespace lathe {
namespace {

// What was seen of one rounded thing, summed in sample order.
struct Sums {
  double gradient = 0;     // of (g . e)^2, mean of the probes
  double independent = 0;  // the same, with the elements' rounding taken as independent
  double error = 0;        // of e^2
  double power = 0;        // of x^2
  bool reached = false;
};

struct Totals {
  std::vector<Sums> values;
  std::vector<Sums> weights;
  double output_power = 0;
};

Totals add_up(const std::vector<SampleErrors>& samples) {
  Totals totals;
  const auto add = [](const std::vector<SeenError>& rows, std::vector<Sums>& sums) {
    sums.resize(std::max(sums.size(), rows.size()));
    for (size_t i = 0; i < rows.size(); ++i) {
      sums[i].gradient += rows[i].gradient_squared;
      sums[i].independent += rows[i].independent_squared;
      sums[i].error += rows[i].error;
      sums[i].power += rows[i].power;
      sums[i].reached = sums[i].reached || rows[i].reached;
    }
  };
  for (const SampleErrors& sample : samples) {
    add(sample.values, totals.values);
    add(sample.weights, totals.weights);
    totals.output_power += sample.output_power;
  }
  return totals;
}

struct Noise {
  double share = 0;
  NoiseEstimate estimate = NoiseEstimate::kNone;
};

Noise noise_of(const Sums& sums, double output_power, bool blocked) {
  if (sums.error == 0) return {};
  if (sums.reached && !blocked && output_power > 0 && std::isfinite(sums.gradient))
    return {sums.gradient / output_power, NoiseEstimate::kGradient};
  return {sums.power > 0 ? sums.error / sums.power : 0, NoiseEstimate::kLocal};
}

NoiseEstimate worse_of(NoiseEstimate a, NoiseEstimate b) {
  if (a == NoiseEstimate::kLocal || b == NoiseEstimate::kLocal) return NoiseEstimate::kLocal;
  return a == NoiseEstimate::kNone ? b : a;
}

void sort_rows(LayerSensitivity& result) {
  std::stable_sort(result.nodes.begin(), result.nodes.end(),
                   [](const NodeNoise& a, const NodeNoise& b) { return a.part > b.part; });
  std::stable_sort(result.values.begin(), result.values.end(),
                   [](const ValueNoise& a, const ValueNoise& b) { return a.noise > b.noise; });
}

// The integer nodes for whose sake a value is quantized: what makes it, and what reads it, through
// nodes that only move integers.
struct Needs {
  NodeId maker;  // invalid: float, or nobody in the plan
  std::set<NodeId> readers;
};

class NeedFinder {
 public:
  NeedFinder(const Graph& graph, const PrecisionPlan& plan) : graph_(graph), plan_(plan) {
    for (const auto& [id, role] : plan.nodes)
      if (role != QuantRole::kMove) makers_.emplace(fused_output(graph, id), id);
  }

  Needs find(ValueId value) const {
    Needs needs;
    if (const auto it = makers_.find(value); it != makers_.end()) needs.maker = it->second;
    collect_readers(value, needs.readers);
    needs.readers.erase(needs.maker);
    return needs;
  }

 private:
  void collect_readers(ValueId value, std::set<NodeId>& readers) const {
    for (const NodeId user : graph_.value(value).users) {
      const auto it = plan_.nodes.find(user);
      if (it == plan_.nodes.end()) continue;
      if (it->second != QuantRole::kMove) {
        readers.insert(user);
        continue;
      }
      for (const ValueId moved : graph_.node(user).outputs)
        if (moved.valid()) collect_readers(moved, readers);
    }
  }

  const Graph& graph_;
  const PrecisionPlan& plan_;
  std::map<ValueId, NodeId> makers_;
};

std::vector<SampleErrors> run_samples(const WatchedRun& watched, const SampleSource& source,
                                      const SensitivityOptions& options) {
  std::vector<SampleErrors> samples(source.count);
  const auto pass = [&](int probes) {
    const auto work = [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
      SampleErrors& errors = samples[sample];
      errors = {};
      return watched.run(inputs, {probes, options.seed, sample, options.run.check}, errors);
    };
    for_each_sample(watched.graph(), source, options.run, work);
  };
  try {
    pass(options.probes);
  } catch (const Error& error) {
    // Too large to differentiate, or an op that autograd refuses.
    if (error.code() != ExitCode::kBadInput && error.code() != ExitCode::kLimit) throw;
    pass(0);
  }
  return samples;
}

struct MeasuredErrors {
  Totals totals;
  std::set<ValueId> blocked;  // values whose errors autograd does not follow to the outputs
};

MeasuredErrors measured_errors(WatchedRun& watched, const SampleSource& source,
                               const SensitivityOptions& options) {
  watched.weigh_outputs(source, options.run);
  const std::vector<SampleErrors> samples = run_samples(watched, source, options);
  std::set<NodeId> stops;
  for (const SampleErrors& sample : samples) stops.insert(sample.stops.begin(), sample.stops.end());
  return {add_up(samples), watched.values_before(stops)};
}

}  // namespace

std::string_view noise_estimate_name(NoiseEstimate estimate) {
  if (estimate == NoiseEstimate::kNone) return "none";
  return estimate == NoiseEstimate::kGradient ? "gradient" : "local";
}

LayerSensitivity measure_sensitivity(const Graph& reference, const Graph& rounded,
                                     const PrecisionPlan& plan, const SampleSource& source,
                                     const SensitivityOptions& options) {
  const Graph& graph = reference;
  WatchedRun watched(reference, rounded, plan);
  const auto [totals, blocked] = measured_errors(watched, source, options);
  LayerSensitivity result;
  result.samples = source.count;
  result.probes = options.probes;
  std::map<NodeId, NodeNoise> nodes;
  for (const auto& [id, role] : plan.nodes) nodes[id].node = id;
  const NeedFinder finder(graph, plan);
  for (size_t i = 0; i < watched.values().size() && i < totals.values.size(); ++i) {
    const ValueId id = watched.values()[i];
    const Noise noise = noise_of(totals.values[i], totals.output_power, blocked.contains(id));
    result.values.push_back({id, noise.share, noise.estimate});
    const Needs needs = finder.find(id);
    std::set<NodeId> all = needs.readers;
    if (needs.maker.valid()) all.insert(needs.maker);
    for (const NodeId node : all) {
      NodeNoise& row = nodes.at(node);
      row.part += noise.share / static_cast<double>(all.size());
      row.estimate = worse_of(row.estimate, noise.estimate);
      // Alone, such a product gives floats.
      const bool float_output = plan.float_outputs.contains(graph.node(node).kind);
      if (!float_output || node != needs.maker) row.values += noise.share;
    }
  }
  for (size_t i = 0; i < plan.weights.size() && i < totals.weights.size(); ++i) {
    const NodeId id = plan.weights[i].node;
    const ValueId output = graph.node(id).output(0);
    const Noise noise = noise_of(totals.weights[i], totals.output_power, blocked.contains(output));
    NodeNoise& row = nodes[id];
    row.node = id;
    row.weight += noise.share;
    row.part += noise.share;
    row.estimate = worse_of(row.estimate, noise.estimate);
  }
  for (const auto& [id, row] : nodes) {
    result.nodes.push_back(row);
    result.noise += row.part;
  }
  sort_rows(result);
  return result;
}

LayerSensitivity measure_sensitivity(const Graph& reference,
                                     const std::vector<NodeAlone>& quantized,
                                     const SampleSource& source,
                                     const SensitivityOptions& options) {
  WatchedRun watched(reference, quantized);
  const auto [totals, blocked] = measured_errors(watched, source, options);
  LayerSensitivity result;
  result.samples = source.count;
  result.probes = options.probes;
  for (size_t i = 0; i < quantized.size() && i < totals.values.size(); ++i) {
    const std::vector<ValueId>& outputs = reference.node(quantized[i].node).outputs;
    const bool stopped = std::any_of(outputs.begin(), outputs.end(),
                                     [&](ValueId output) { return blocked.contains(output); });
    const Noise noise = noise_of(totals.values[i], totals.output_power, stopped);
    NodeNoise row;
    row.node = quantized[i].node;
    row.values = row.part = noise.share;
    row.estimate = noise.estimate;
    result.nodes.push_back(row);
    result.noise += row.part;
  }
  sort_rows(result);
  return result;
}

std::vector<std::map<ValueId, double>> measure_values(const Graph& reference,
                                                      const std::vector<PrecisionPlan>& plans,
                                                      const SampleSource& source,
                                                      const SensitivityOptions& options) {
  std::vector<std::map<ValueId, double>> noise(plans.size());
  if (plans.empty()) return noise;
  PrecisionPlan first = plans.front();
  first.weights.clear();
  std::vector<WatchedRun::OtherParams> others;
  for (size_t k = 1; k < plans.size(); ++k) others.push_back(plans[k].values);
  WatchedRun watched(reference, reference, first, others);
  const auto [totals, blocked] = measured_errors(watched, source, options);
  const size_t values = watched.values().size();
  for (size_t i = 0; i < totals.values.size(); ++i) {
    const ValueId id = watched.values()[i % values];
    Sums sums = totals.values[i];
    sums.gradient = sums.independent;
    noise[i / values][id] = noise_of(sums, totals.output_power, blocked.contains(id)).share;
  }
  return noise;
}

std::vector<NodeId> rank_for_float(const LayerSensitivity& sensitivity, const PrecisionPlan& plan) {
  std::vector<NodeId> ranking;
  for (const NodeNoise& row : sensitivity.nodes) {
    const auto it = plan.nodes.find(row.node);
    if (it != plan.nodes.end() && it->second != QuantRole::kMove) ranking.push_back(row.node);
  }
  // What follows the last arithmetic would be left with nothing to follow.
  while (!ranking.empty() && plan.nodes.at(ranking.back()) != QuantRole::kCompute)
    ranking.pop_back();
  return ranking;
}

}  // namespace lathe
