#include "quantize/diagnose/diagnose_causes.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ir/error.h"
#include "quantize/diagnose/value_figures.h"

namespace lathe {
namespace {

constexpr double kSaturatingShare = 1e-4;
constexpr size_t kShapeSteps = 64;

// Inputs that hold shapes, sizes and indices.
bool is_shape_input(OpKind kind, size_t input) {
  switch (kind) {
    case OpKind::kReshape:
    case OpKind::kExpand:
    case OpKind::kTile:
    case OpKind::kPad:
    case OpKind::kTopK:
    case OpKind::kOneHot:
    case OpKind::kGather:
    case OpKind::kGatherElements:
    case OpKind::kGatherND:
    case OpKind::kUnsqueeze:
    case OpKind::kSqueeze:
    case OpKind::kSplit: return input == 1;
    case OpKind::kSlice:
    case OpKind::kResize: return input >= 1;
    case OpKind::kConstantOfShape:
    case OpKind::kRange: return true;
    default: return false;
  }
}

// Ops that numbers go through on their way to becoming a shape.
bool is_shape_arithmetic(OpKind kind) {
  static const std::set<OpKind> kinds{
      OpKind::kCast,   OpKind::kFloor,   OpKind::kCeil,      OpKind::kRound,   OpKind::kAdd,
      OpKind::kSub,    OpKind::kMul,     OpKind::kDiv,       OpKind::kMin,     OpKind::kMax,
      OpKind::kConcat, OpKind::kReshape, OpKind::kUnsqueeze, OpKind::kSlice,   OpKind::kSqueeze,
      OpKind::kGather, OpKind::kFlatten, OpKind::kClip,      OpKind::kIdentity};
  return kinds.contains(kind);
}

// The node whose shape or index a value decides; invalid when there is none.
NodeId shape_reader(const Graph& graph, ValueId value) {
  std::vector<ValueId> open{value};
  std::set<ValueId> seen{value};
  while (!open.empty() && seen.size() < kShapeSteps) {
    const ValueId at = open.back();
    open.pop_back();
    for (const NodeId user : graph.value(at).users) {
      const Node& node = graph.node(user);
      for (size_t i = 0; i < node.inputs.size(); ++i)
        if (node.inputs[i] == at && is_shape_input(node.kind, i)) return user;
      if (!is_shape_arithmetic(node.kind)) continue;
      for (const ValueId output : node.outputs)
        if (output.valid() && seen.insert(output).second) open.push_back(output);
    }
  }
  return {};
}

}  // namespace

std::string quoted_name(const Graph& graph, ValueId value) {
  return fmt::format("'{}'", escape_untrusted(graph.value(value).name, 60));
}

std::string first_of(const std::string& flag, const std::string& otherwise) {
  return flag.empty() ? otherwise : flag;
}

Spread spread_of(std::vector<double> magnitudes) {
  std::erase_if(magnitudes, [](double m) { return !(m > 0); });
  if (magnitudes.size() < 2) return {};
  std::sort(magnitudes.begin(), magnitudes.end());
  return {magnitudes[magnitudes.size() / 10], magnitudes.back()};
}

std::string effort_flag(const DiagnosisRequest& request) {
  if (request.effort == "fast") return "--effort balanced";
  return request.effort == "balanced" ? "--effort best" : "";
}

std::optional<Verdict> device_verdict(const DiagnosisFacts& facts, const LayerError& error) {
  const auto found = facts.request.saturating_share.find(error.node);
  if (found == facts.request.saturating_share.end() || found->second <= kSaturatingShare)
    return std::nullopt;
  return Verdict{
      LossCause::kSaturation,
      fmt::format("{:.2g} % of its sums of two products leave 16 bits on processors "
                  "without VNNI",
                  100 * found->second),
      facts.request.profile_guards_saturation ? exclude_flag(error.name) : "--profile x86-64"};
}

std::optional<Verdict> shape_verdict(const DiagnosisFacts& facts, const LayerError& error) {
  const Node& node = facts.graph.node(error.node);
  ValueId rounded = fused_output(facts.graph, error.node);
  double step = 0;
  const auto look = [&](ValueId value) {
    const auto found = value.valid() ? facts.plan.values.find(value) : facts.plan.values.end();
    if (found == facts.plan.values.end() || found->second.scales.empty()) return;
    if (found->second.scales[0] <= step) return;
    step = found->second.scales[0];
    rounded = value;
  };
  look(rounded);
  for (const ValueId input : node.inputs) look(input);
  if (step < 0.5) return std::nullopt;
  const NodeId reader = shape_reader(facts.graph, fused_output(facts.graph, error.node));
  if (!reader.valid()) return std::nullopt;
  return Verdict{
      LossCause::kShapeArithmetic,
      fmt::format("it becomes a shape or an index of '{}', and {} has steps of {:.3g}",
                  escape_untrusted(facts.graph.node(reader).name, 60),
                  quoted_name(facts.graph, rounded), step),
      first_of(exclude_value_flags(facts.graph, facts.plan, rounded), exclude_flag(error.name))};
}

}  // namespace lathe
