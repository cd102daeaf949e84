#include "heavy/verify_compiled.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "heavy/model_data.h"
#include "ir/error.h"
#include "os/signals.h"

namespace lathe {
namespace {

// The first value, in the order of execution, that differs by more than the bound.
std::string first_divergence(const Graph& graph, const CompareResult& result,
                             const VerificationBound& bound) {
  std::set<std::string> missing;
  for (const ValueError& layer : result.layers)
    if (strain(layer.sums, bound) > 1) missing.insert(layer.value);
  for (const NodeId id : graph.order())
    for (const ValueId output : graph.node(id).outputs)
      if (output.valid() && missing.contains(graph.value(output).name))
        return fmt::format("first differing node: {} ({})", escape_untrusted(graph.node(id).name),
                           escape_untrusted(graph.node(id).type_name()));
  return "no inner value of a common name differs before it";
}

bool same_shapes(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Tensor& x, const Tensor& y) { return x.shape() == y.shape(); });
}

// What a network computes whose quantized values are limited to their ranges but not rounded.
std::optional<std::vector<RuntimeValue>> unrounded(const Node& node,
                                                   const std::vector<RuntimeValue>& inputs) {
  const bool quantizes = node.kind == OpKind::kQuantizeLinear;
  if (!quantizes && node.kind != OpKind::kDequantizeLinear) return std::nullopt;
  const at::Tensor& x = inputs[0].tensor;
  const bool one_scale = inputs[1].is_tensor() && inputs[1].tensor.numel() == 1;
  if (!one_scale || x.scalar_type() != at::kFloat) return std::nullopt;
  if (!quantizes) return std::vector<RuntimeValue>{inputs[0]};
  if (inputs.size() < 3 || !inputs[2].is_tensor() || inputs[2].tensor.numel() != 1)
    return std::nullopt;
  const at::Tensor& zero = inputs[2].tensor;
  const bool is_signed = zero.scalar_type() == at::kChar;
  if (!is_signed && zero.scalar_type() != at::kByte) return std::nullopt;
  const auto scale = inputs[1].tensor.item<double>();
  const auto zero_point = zero.item<int64_t>();
  const int64_t low = is_signed ? -128 : 0;
  const at::Tensor limited = at::clamp(x, static_cast<double>(low - zero_point) * scale,
                                       static_cast<double>(low + 255 - zero_point) * scale);
  return std::vector<RuntimeValue>{RuntimeValue(limited, DType::kFloat32)};
}

// By how much rounding alone changes each output.
std::vector<ErrorSums> rounding_noise(const Interpreter& graph, const SampleSource& source) {
  std::vector<ErrorSums> noise(graph.graph().outputs().size());
  RunOptions hooks;
  hooks.compute = unrounded;
  hooks.check = throw_if_interrupted;
  for (size_t sample = 0; sample < source.count; ++sample) {
    std::vector<RuntimeValue> inputs;
    for (const Tensor& input : source.sample(sample)) inputs.push_back(to_runtime(input));
    const std::vector<RuntimeValue> rounded = graph.run(inputs);
    const std::vector<RuntimeValue> ideal = graph.run(std::move(inputs), hooks);
    for (size_t i = 0; i < noise.size(); ++i)
      if (rounded[i].is_tensor()) noise[i].merge(error_sums(ideal[i].tensor, rounded[i].tensor));
  }
  return noise;
}

// Two correct executions of an integer network round some values another way, and each such step
// makes later ones differ: in the end by as much as rounding itself changes the output. Empty: the
// difference is no more than that. Matrices that lie otherwise are summed otherwise, too.
// `failure`: what missed_bound says of the usual bound.
std::string beyond_rounding(std::string failure, const ValueError& output,
                            const ErrorSums& rounding) {
  constexpr double kBothRoundAndMore = 6;
  constexpr double kLeast = 6;
  const double alone = rounding.sqnr_db();
  VerificationBound bound;
  if (rounding.noise == 0) return failure;
  bound.min_sqnr_db = std::max(alone - kBothRoundAndMore, kLeast);
  failure = missed_bound(output, bound);
  if (!failure.empty())
    failure += fmt::format(
        "; rounding alone leaves {:.1f} dB on these inputs, --verify DATA judges by yours", alone);
  return failure;
}

void accept_rounding(Verification& verification, const ErrorSums& rounding) {
  const double alone = rounding.sqnr_db();
  verification.rounding_sqnr_db = std::min(verification.rounding_sqnr_db.value_or(alone), alone);
}

// The artifact in its own runtime against the graph. State is carried by neither: each sample
// starts from what the source gives.
void verify_artifact(const CompileOptions& options, const CompiledArtifact& artifact,
                     const Interpreter& graph, const SampleSource& source,
                     Verification& verification) {
  std::vector<ValueError> errors;
  for (const ValueId id : graph.graph().outputs())
    errors.push_back({graph.graph().value(id).name, {}, {}, {}});
  const std::vector<Tensor> first = source.sample(0);
  for (size_t sample = 0; sample < source.count; ++sample) {
    throw_if_interrupted();
    const std::vector<Tensor> inputs = source.sample(sample);
    if (artifact.one_shape && !same_shapes(inputs, first)) continue;
    std::vector<RuntimeValue> given;
    std::vector<at::Tensor> tensors;
    for (const Tensor& input : inputs) {
      given.push_back(to_runtime(input));
      tensors.push_back(given.back().tensor);
    }
    const std::vector<RuntimeValue> expected = graph.run(std::move(given));
    const std::vector<at::Tensor> found = artifact.run(tensors);
    for (size_t i = 0; i < errors.size(); ++i)
      errors[i].sums.merge(error_sums(expected[i].tensor, found.at(i)));
  }
  std::vector<ErrorSums> rounding;
  for (size_t i = 0; i < errors.size(); ++i) {
    // Another runtime's kernels sum in another order.
    VerificationBound bound = verification.bound;
    if (!options.tolerance) bound.tolerance = std::max(bound.tolerance, 1e-4);
    bound.min_sqnr_db = artifact.min_sqnr_db;
    std::string failure = missed_bound(errors[i], bound);
    if (!failure.empty() && !options.tolerance && artifact.min_sqnr_db) {
      if (rounding.empty()) rounding = rounding_noise(graph, source);
      failure = beyond_rounding(failure, errors[i], rounding[i]);
      if (failure.empty()) accept_rounding(verification, rounding[i]);
    }
    if (!failure.empty() && verification.failure.empty())
      verification.failure = "the artifact and the graph it was made of disagree: " + failure;
    verification.result.outputs[i].sums.merge(errors[i].sums);
  }
}

}  // namespace

Verification verify_compiled(const CompileOptions& options, const Model& original,
                             const Model& compiled, const CompiledArtifact& artifact,
                             const SampleSource& source, bool arithmetic, int threads,
                             Console& console) {
  const Interpreter before(original.graph);
  const Interpreter after(artifact.reread ? artifact.reread->graph : compiled.graph);
  Verification verification;
  verification.bound = verification_bound(options, original.graph, arithmetic);
  CompareOptions compare;
  compare.run = sample_run(threads, console, "verifying", source.count);
  verification.result = compare_graphs(before, after, source, compare);
  std::vector<ErrorSums> rounding;
  for (size_t i = 0; i < verification.result.outputs.size(); ++i) {
    const ValueError& output = verification.result.outputs[i];
    verification.failure = missed_bound(output, verification.bound);
    if (verification.failure.empty()) continue;
    if (!options.tolerance) {
      if (rounding.empty()) rounding = rounding_noise(before, source);
      verification.failure = beyond_rounding(verification.failure, output, rounding[i]);
      if (verification.failure.empty()) {
        accept_rounding(verification, rounding[i]);
        continue;
      }
    }
    verification.failure +=
        "; " + first_divergence(original.graph, verification.result, verification.bound);
    return verification;
  }
  if (artifact.run) verify_artifact(options, artifact, after, source, verification);
  return verification;
}

}  // namespace lathe
