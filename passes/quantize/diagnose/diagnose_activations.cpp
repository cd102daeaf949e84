#include "quantize/diagnose/diagnose_causes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "quantize/diagnose/value_figures.h"
#include "quantize/diagnose/value_response.h"

namespace lathe {
namespace {

constexpr double kSqueezedShare = 0.5;
constexpr double kOutlierReach = 4;
constexpr double kBulkSteps = 64;
constexpr double kInputSpread = 16;

const Histogram* histogram_of(const DiagnosisFacts& facts, ValueId value) {
  const auto& values = facts.statistics.values;
  auto found = values.find(facts.graph.value(value).name);
  if (found == values.end())
    found = values.find(facts.graph.value(before_moves(facts.graph, value)).name);
  return found == values.end() ? nullptr : &found->second;
}

struct Suspect {
  ValueId value;
  QuantParams params;
  const Histogram* histogram = nullptr;
  ValueFigures figures;
};

// The rounded value that the layer's noise comes from.
std::optional<Suspect> suspect_of(const DiagnosisFacts& facts, const LayerError& error,
                                  ValueId blamed) {
  const Node& node = facts.graph.node(error.node);
  std::vector<ValueId> values(node.inputs.begin(), node.inputs.end());
  if (blamed.valid())
    values = {blamed};
  else if (!error.output_is_read && error.own_output > error.input)
    values = {fused_output(facts.graph, error.node)};
  // A sum is as bad as its worst term in absolute size, a product as its relatively worst factor.
  const bool sums = node.kind == OpKind::kAdd || node.kind == OpKind::kSub ||
                    node.kind == OpKind::kConcat || node.kind == OpKind::kSum;
  std::optional<Suspect> worst;
  for (const ValueId value : values) {
    const auto params = value.valid() ? facts.plan.values.find(value) : facts.plan.values.end();
    if (params == facts.plan.values.end() || params->second.scales.empty()) continue;
    Suspect suspect{value, params->second, histogram_of(facts, value), {}};
    suspect.figures.step = params->second.scales[0];
    if (suspect.histogram != nullptr)
      suspect.figures =
          value_figures(*suspect.histogram, params->second, response_behind(facts.graph, value));
    const auto badness = [&](const Suspect& s) {
      return sums ? s.figures.error : -s.figures.sqnr_db();
    };
    if (!worst || badness(suspect) > badness(*worst)) worst = suspect;
  }
  return worst;
}

// Largest magnitudes of the value's channels, as a layer sees it that reads it first.
std::vector<double> peaks_of(const DiagnosisFacts& facts, ValueId value) {
  for (const LayerError& error : facts.errors)
    if (facts.graph.node(error.node).input(0) == value)
      return {error.input_peaks.begin(), error.input_peaks.end()};
  return {};
}

// Mean squared error behind what reads the value, with another range and with the chosen one.
double error_with(const DiagnosisFacts& facts, const Suspect& suspect, Observer observer) {
  return choose_range(observer, *suspect.histogram, grid_of(suspect.params),
                      response_behind(facts.graph, suspect.value))
      .error;
}

std::string range_text(const Histogram& histogram) {
  return fmt::format("{:.3g} to {:.3g}", histogram.min(), histogram.max());
}

std::optional<Verdict> clipped_verdict(const DiagnosisFacts& facts, const Suspect& suspect) {
  const ValueFigures& figures = suspect.figures;
  if (figures.clipped_noise <= 0.5 || facts.request.observer == "minmax" ||
      error_with(facts, suspect, Observer::kMinMax) >= figures.error)
    return std::nullopt;
  const bool automatic = facts.request.observer == "auto";
  return Verdict{
      LossCause::kClipped,
      fmt::format("{:.2g} % of {} lies outside of the chosen range and makes {:.0f} % of the error",
                  100 * figures.clipped_share, quoted_name(facts.graph, suspect.value),
                  100 * figures.clipped_noise),
      automatic ? "--observer minmax" : "--observer auto"};
}

std::optional<Verdict> squeezed_verdict(const DiagnosisFacts& facts, const Suspect& suspect) {
  const NodeId maker = facts.graph.value(before_moves(facts.graph, suspect.value)).producer;
  if (!maker.valid() || suspect.figures.squeezed < kSqueezedShare) return std::nullopt;
  const Node& node = facts.graph.node(maker);
  if (node.kind != OpKind::kSigmoid && node.kind != OpKind::kHardSigmoid &&
      node.kind != OpKind::kSoftmax)
    return std::nullopt;
  return Verdict{
      LossCause::kSqueezed,
      fmt::format("{:.0f} % of what {} gives lies within one step ({:.2g}) of 0 or 1",
                  100 * suspect.figures.squeezed, node.type_name(), suspect.figures.step),
      first_of(exclude_value_flags(facts.graph, facts.plan, suspect.value),
               "--exclude op:" + std::string(node.type_name()))};
}

std::optional<Verdict> outlier_verdict(const DiagnosisFacts& facts, const LayerError& error,
                                       const Suspect& suspect) {
  const ValueFigures& figures = suspect.figures;
  if (figures.reach < kOutlierReach || figures.bulk_steps >= kBulkSteps) return std::nullopt;
  Verdict verdict{
      LossCause::kOutliers,
      fmt::format("99.9 % of {} lie in {:.0f} of {} steps: it goes from {}, {:.1f} "
                  "times the range of these",
                  quoted_name(facts.graph, suspect.value), std::ceil(figures.bulk_steps),
                  grid_of(suspect.params).qmax - grid_of(suspect.params).qmin,
                  range_text(*suspect.histogram), figures.reach),
      {}};
  // Half of the error is 3 dB: less is not worth another run.
  Observer best = Observer::kMse;
  for (const Observer observer : {Observer::kMse, Observer::kPercentile, Observer::kEntropy})
    if (error_with(facts, suspect, observer) < error_with(facts, suspect, best)) best = observer;
  const bool automatic = facts.request.observer == "auto";
  if (!automatic && error_with(facts, suspect, best) < figures.error / 2) {
    verdict.flag = "--observer " + std::string(observer_name(best));
    return verdict;
  }
  // Outliers of single channels can be scaled into the weights of what makes them.
  const double spread = spread_of(peaks_of(facts, suspect.value)).ratio();
  const bool made = facts.graph.value(before_moves(facts.graph, suspect.value)).producer.valid();
  if (made && spread >= kOutlierReach && facts.request.effort == "fast")
    verdict.flag = "--effort balanced";
  else
    verdict.flag = first_of(exclude_value_flags(facts.graph, facts.plan, suspect.value),
                            exclude_flag(error.name));
  return verdict;
}

std::optional<Verdict> input_spread_verdict(const DiagnosisFacts& facts, const LayerError& error,
                                            const Suspect& suspect) {
  const Spread spread = spread_of(peaks_of(facts, suspect.value));
  if (spread.ratio() < kInputSpread) return std::nullopt;
  const bool first = !facts.graph.value(before_moves(facts.graph, suspect.value)).producer.valid();
  const std::string apart = first_of(exclude_value_flags(facts.graph, facts.plan, suspect.value),
                                     exclude_flag(error.name));
  return Verdict{
      LossCause::kInputSpread,
      fmt::format("channels of {} reach from {:.3g} to {:.3g} with one step of {:.2g} for all",
                  quoted_name(facts.graph, suspect.value), spread.low, spread.high,
                  suspect.figures.step),
      facts.request.effort == "fast" && !first ? "--effort balanced" : apart};
}

}  // namespace

Verdict activation_verdict(const DiagnosisFacts& facts, const LayerError& error, ValueId value,
                           bool last) {
  const auto suspect = suspect_of(facts, error, value);
  if (!suspect)
    return {LossCause::kActivations,
            fmt::format("rounding its activations alone leaves {:.1f} dB", error.input_db()),
            exclude_flag(error.name)};
  if (suspect->histogram != nullptr) {
    if (auto verdict = clipped_verdict(facts, *suspect)) return *verdict;
    if (auto verdict = squeezed_verdict(facts, *suspect)) return *verdict;
    if (auto verdict = outlier_verdict(facts, error, *suspect)) return *verdict;
  }
  if (auto verdict = input_spread_verdict(facts, error, *suspect)) return *verdict;
  const bool first = !facts.graph.value(before_moves(facts.graph, suspect->value)).producer.valid();
  const bool own = suspect->value == fused_output(facts.graph, error.node);
  double leaves = own ? error.own_output_db() : error.input_db();
  if (suspect->histogram != nullptr) leaves = suspect->figures.sqnr_db();
  const std::string text =
      fmt::format("rounding {}{} to steps of {:.2g} leaves {:.1f} dB", own ? "its output " : "",
                  quoted_name(facts.graph, suspect->value), suspect->figures.step, leaves);
  const std::string apart = first_of(exclude_value_flags(facts.graph, facts.plan, suspect->value),
                                     exclude_flag(error.name));
  const LossCause cause = first  ? LossCause::kFirstLayer
                          : last ? LossCause::kLastLayer
                                 : LossCause::kActivations;
  return {cause, text, apart};
}

}  // namespace lathe
