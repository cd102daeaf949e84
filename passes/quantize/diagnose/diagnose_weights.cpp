#include "quantize/diagnose/diagnose_causes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "quantize/diagnose/value_figures.h"
#include "quantize/equalize/weight_channels.h"
#include "quantize/plan/weight_params.h"

namespace lathe {
namespace {

constexpr double kWeightSpread = 8;
constexpr double kLargestToTypical = 12.7;

const WeightPlan* weight_of(const PrecisionPlan& plan, NodeId node) {
  for (const WeightPlan& weight : plan.weights)
    if (weight.node == node) return &weight;
  return nullptr;
}

}  // namespace

Verdict weight_verdict(const DiagnosisFacts& facts, const LayerError& error) {
  const Node& node = facts.graph.node(error.node);
  const DiagnosisRequest& request = facts.request;
  const std::string more = first_of(effort_flag(request), exclude_flag(error.name));
  const std::string bits = request.weight_bits == 4 ? "--weight-bits 8" : more;
  Verdict verdict{LossCause::kWeights,
                  fmt::format("rounding its weights alone leaves {:.1f} dB", error.weight_db()),
                  bits};
  const WeightPlan* planned = weight_of(facts.plan, error.node);
  const Tensor* weight = planned == nullptr ? nullptr : facts.graph.constant(node.input(1));
  const auto channels = weight_channels(facts.graph, node);
  if (weight == nullptr || !channels || weight->dtype() != DType::kFloat32) return verdict;
  const auto values = weight->values<float>();
  std::vector<double> largest(static_cast<size_t>(channels->outputs), 0.0);
  for (size_t i = 0; i < values.size(); ++i) {
    double& seen = largest[static_cast<size_t>(channels->output(static_cast<int64_t>(i)))];
    seen = std::max(seen, std::fabs(static_cast<double>(values[i])));
  }
  const QuantParams& params = planned->params;
  const int32_t qmax = weight_qmax(params.dtype, planned->reduce_range);
  if (params.scales.size() == 1) {
    const Spread spread = spread_of(largest);
    if (spread.ratio() >= kWeightSpread) {
      const bool depthwise = channels->groups > 1 && channels->inputs_a_group() == 1;
      return {LossCause::kChannelSpread,
              fmt::format("one scale for {} {}channels whose weights go up to {:.3g} in one and "
                          "{:.3g} in a tenth of them: those use {:.0f} of {} steps",
                          channels->outputs, depthwise ? "depthwise " : "", spread.high, spread.low,
                          std::floor(qmax / spread.ratio()), qmax),
              request.weight_granularity == "tensor" ? "--weight-granularity channel" : more};
    }
  } else if (params.scales.size() != largest.size()) {
    return verdict;  // scales of blocks
  }
  double squares = 0;
  double scales = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto channel = static_cast<size_t>(channels->output(static_cast<int64_t>(i)));
    const double scale = params.scales[params.scales.size() == 1 ? 0 : channel];
    squares += static_cast<double>(values[i]) * values[i];
    scales += scale * scale;
  }
  const double typical = scales > 0 ? std::sqrt(squares / scales) : qmax;
  if (typical > 0 && qmax / typical > kLargestToTypical)
    return {
        LossCause::kLargeWeights,
        fmt::format("a typical weight takes {:.1f} of {} steps: the largest are {:.0f} times it",
                    typical, qmax, qmax / typical),
        bits};
  return verdict;
}

}  // namespace lathe
