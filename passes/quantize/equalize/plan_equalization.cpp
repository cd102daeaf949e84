#include "quantize/equalize/plan_equalization.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "ir/error.h"
#include "quantize/equalize/equalization_noise.h"

namespace lathe {
namespace {

constexpr double kLeastGain = 0.02;
constexpr double kLeastGainOfPoint = 0.2;
// Weights times evaluations: about a second for each billion.
constexpr double kWorkLimit = 3e8;

// Adam (Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015) on the logarithms,
// projected into their bounds: the terms differ by orders of magnitude, and its steps do not.
void descend(const NoiseModel& model, Sharpness sharpness, int rounds, double first_rate,
             double last_rate, std::vector<double>& scales) {
  struct Moments {
    double mean = 0;
    double square = 0;
  };
  constexpr double kKeepMean = 0.9;
  constexpr double kKeepSquare = 0.98;
  std::vector<Moments> moments(scales.size());
  std::vector<double> gradient(scales.size());
  double mean_share = 1;
  double square_share = 1;
  for (int round = 0; round < rounds; ++round) {
    std::fill(gradient.begin(), gradient.end(), 0.0);
    total_noise(model, scales, sharpness, &gradient);
    const double share = static_cast<double>(round) / rounds;
    const double rate = first_rate * std::pow(last_rate / first_rate, share);
    mean_share *= kKeepMean;
    square_share *= kKeepSquare;
    for (size_t i = 0; i < scales.size(); ++i) {
      Moments& seen = moments[i];
      seen.mean = kKeepMean * seen.mean + (1 - kKeepMean) * gradient[i];
      seen.square = kKeepSquare * seen.square + (1 - kKeepSquare) * gradient[i] * gradient[i];
      const double spread = std::sqrt(seen.square / (1 - square_share));
      if (!(spread > 0)) continue;
      scales[i] = std::clamp(scales[i] - rate * seen.mean / (1 - mean_share) / spread,
                             model.lower[i], model.upper[i]);
    }
  }
}

std::vector<double> minimise(const NoiseModel& model) {
  double work = 0;
  for (const WeightNoise& term : model.weights) work += static_cast<double>(term.largest.size());
  const int rounds = static_cast<int>(std::clamp(kWorkLimit / (2 * work + 1), 30.0, 150.0));
  std::vector<double> scales(model.lower.size(), 0.0);
  // The softer maximum first: it draws all large channels down at once, not one after the other.
  descend(model, {3}, rounds, 0.15, 0.02, scales);
  descend(model, {5}, rounds, 0.03, 0.002, scales);
  return scales;
}

// The same with all scales at 1 that would take weights off a grid they lie on; nullopt when there
// are none.
std::optional<NoiseModel> keeping_grids(const NoiseModel& model) {
  NoiseModel kept = model;
  bool any = false;
  const auto fix = [&](size_t first, size_t count) {
    if (first == kNotScaled) return;
    std::fill_n(kept.lower.begin() + static_cast<std::ptrdiff_t>(first), count, 0.0);
    std::fill_n(kept.upper.begin() + static_cast<std::ptrdiff_t>(first), count, 0.0);
    any = true;
  };
  for (const WeightNoise& term : model.weights) {
    if (!term.on_grid) continue;
    fix(term.first_input, term.variance.size());
    if (term.shared_step) fix(term.first_output, term.weight.size());
  }
  std::erase_if(kept.weights, [](const WeightNoise& term) { return term.on_grid; });
  return any ? std::optional(kept) : std::nullopt;
}

struct Span {
  size_t first = 0;
  size_t count = 0;
};

Span span_of(const NoiseModel& model, size_t index) {
  return {model.first[index], static_cast<size_t>(model.classes[index].channels)};
}

// Sets back to 1 what gains too little.
void drop_idle(const NoiseModel& model, const std::vector<NodeId>& points,
               std::vector<double>& scales) {
  for (size_t k = 0; k < model.classes.size(); ++k) {
    const bool is_point = std::ranges::any_of(model.classes[k].producers, [&](NodeId id) {
      return std::ranges::find(points, id) != points.end();
    });
    const double least = is_point ? kLeastGainOfPoint : kLeastGain;
    const Span span = span_of(model, k);
    std::vector<double> without = scales;
    std::fill_n(without.begin() + static_cast<std::ptrdiff_t>(span.first), span.count, 0.0);
    const double plain = noise_of(model, without, span.first, span.count);
    const double scaled = noise_of(model, scales, span.first, span.count);
    if (!(scaled <= plain * (1 - least))) scales = std::move(without);
  }
}

}  // namespace

std::map<ValueId, int64_t> equalization_targets(const Graph& graph,
                                                const std::vector<ScaleClass>& classes) {
  std::map<ValueId, int64_t> targets;
  const auto add_layer = [&](NodeId id) {
    const Node& node = graph.node(id);
    if (!weight_channels(graph, node)) return;
    for (const ValueId value : {node.input(0), node.output(0)}) {
      const auto& dims = graph.value(value).type.dims;
      const bool last = node.kind == OpKind::kMatMul;
      if (!last || dims)
        targets.emplace(value, last ? static_cast<int64_t>(dims->size()) - 1 : int64_t{1});
    }
  };
  for (const ScaleClass& found : classes) {
    for (const ScaledValue& member : found.values) targets[member.value] = member.axis;
    for (const NodeId id : found.producers) add_layer(id);
    for (const NodeId id : found.consumers) add_layer(id);
    for (const NodeId id : found.consumers)
      if (graph.node(id).kind == OpKind::kMul) {
        const int64_t axis = found.values.front().axis;
        targets.emplace(graph.node(id).output(0), axis);
      }
  }
  return targets;
}

EqualizationPlan plan_equalization(const Graph& graph, const PrecisionPlan& selection,
                                   const IntegerRules& rules, const Statistics& statistics,
                                   const std::vector<NodeId>& points) {
  EqualizationPlan plan;
  const NoiseModel model =
      noise_model(graph, find_scale_classes(graph), selection, rules, statistics);
  plan.found = model.classes.size();
  const std::vector<double> ones(model.lower.size(), 0.0);
  std::vector<double> scales = minimise(model);
  drop_idle(model, points, scales);
  if (const auto kept = keeping_grids(model)) {
    std::vector<double> other = minimise(*kept);
    drop_idle(model, points, other);
    if (total_noise(model, other, {}) < total_noise(model, scales, {})) scales = std::move(other);
  }
  plan.noise_before = total_noise(model, ones, {});
  plan.noise_after = total_noise(model, scales, {});
  for (size_t k = 0; k < model.classes.size(); ++k) {
    const Span span = span_of(model, k);
    ClassScales found{model.classes[k], {}, 0, 0};
    bool changed = false;
    for (size_t c = 0; c < span.count; ++c) {
      const double scale = scales[span.first + c];
      changed = changed || scale != 0;
      found.factors.push_back(std::exp(scale));
    }
    if (!changed) continue;
    found.noise_before = noise_of(model, ones, span.first, span.count);
    found.noise_after = noise_of(model, scales, span.first, span.count);
    plan.classes.push_back(std::move(found));
  }
  return plan;
}

EqualizationPlan plan_from_scales(const Graph& graph,
                                  const std::map<std::string, std::vector<double>>& scales) {
  EqualizationPlan plan;
  std::vector<ScaleClass> classes = find_scale_classes(graph);
  plan.found = classes.size();
  for (ScaleClass& found : classes) {
    const auto it = scales.find(graph.value(found.values.front().value).name);
    if (it == scales.end()) continue;
    if (static_cast<int64_t>(it->second.size()) != found.channels) break;
    plan.classes.push_back({std::move(found), it->second, 0, 0});
  }
  if (plan.classes.size() != scales.size())
    throw bad_input("statistics.scales",
                    fmt::format("{} of {} scaled classes of channels are not in this model",
                                scales.size() - plan.classes.size(), scales.size()),
                    {}, "remove the statistics file to calibrate anew");
  return plan;
}

std::map<std::string, std::vector<double>> scales_of(const Graph& graph,
                                                     const EqualizationPlan& plan) {
  std::map<std::string, std::vector<double>> scales;
  for (const ClassScales& scaled : plan.classes)
    scales[graph.value(scaled.members.values.front().value).name] = scaled.factors;
  return scales;
}

}  // namespace lathe
