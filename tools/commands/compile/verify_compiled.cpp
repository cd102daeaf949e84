#include "commands/compile/verify_compiled.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "commands/compile/verification_inputs.h"
#include "heavy/model_data.h"
#include "ir/error.h"
#include "os/signals.h"
#include "verify/rounding_noise.h"

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

void accept_rounding(Verification& verification, const ErrorSums& rounding) {
  const double alone = rounding.sqnr_db();
  verification.rounding_sqnr_db = std::min(verification.rounding_sqnr_db.value_or(alone), alone);
}

// The artifact in its own runtime against the graph. `first`: what an artifact of one shape takes.
// State is carried by neither: each sample starts from what the source gives.
void verify_artifact(const CompileOptions& options, const CompiledArtifact& artifact,
                     const Interpreter& graph, const SampleSource& source,
                     const std::vector<Tensor>& first, Verification& verification) {
  std::vector<ValueError> errors;
  for (const ValueId id : graph.graph().outputs())
    errors.push_back({graph.graph().value(id).name, {}, {}, {}});
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
    if (!options.tolerance) {
      bound.tolerance = std::max(bound.tolerance, 1e-4);
      bound.min_sqnr_db = artifact.min_sqnr_db;
    }
    verification.artifact_bound = bound;
    std::string failure = missed_bound(errors[i], bound);
    if (!failure.empty() && !options.tolerance) {
      if (rounding.empty()) rounding = rounding_noise(graph, source);
      failure = beyond_rounding(failure, errors[i], rounding[i], rounding_room_db(graph.graph()));
      if (failure.empty()) accept_rounding(verification, rounding[i]);
    }
    if (!failure.empty() && verification.failure.empty())
      verification.failure = "the artifact and the graph it was made of disagree: " + failure;
    verification.result.outputs[i].sums.merge(errors[i].sums);
  }
}

struct Judged {
  const CompileOptions& options;
  const Model& original;
  const CompiledArtifact& artifact;
  const Interpreter& before;
  const Interpreter& after;
  std::vector<Tensor> first;
  VerificationBound bound;
};

Verification verify_on(const SampleSource& source, const Judged& judged,
                       const CompareOptions& compare) {
  const CompileOptions& options = judged.options;
  const Graph& original = judged.original.graph;
  Verification verification;
  verification.bound = judged.bound;
  verification.result = compare_graphs(judged.before, judged.after, source, compare);
  std::vector<ErrorSums> rounding;
  for (size_t i = 0; i < verification.result.outputs.size(); ++i) {
    const ValueError& output = verification.result.outputs[i];
    verification.failure = missed_bound(output, verification.bound);
    if (verification.failure.empty()) continue;
    if (!options.tolerance) {
      if (rounding.empty()) rounding = rounding_noise(judged.before, source);
      verification.failure =
          beyond_rounding(verification.failure, output, rounding[i], rounding_room_db(original));
      if (verification.failure.empty()) {
        accept_rounding(verification, rounding[i]);
        continue;
      }
    }
    verification.failure +=
        "; " + first_divergence(original, verification.result, verification.bound);
    return verification;
  }
  if (judged.artifact.run)
    verify_artifact(options, judged.artifact, judged.after, source, judged.first, verification);
  return verification;
}

}  // namespace

Verification verify_compiled(const CompileOptions& options, const Model& original,
                             const Model& compiled, const CompiledArtifact& artifact,
                             const SampleSource& source, bool arithmetic, int threads,
                             Console& console) {
  const Interpreter before(original.graph);
  const Interpreter after(artifact.reread ? artifact.reread->graph : compiled.graph);
  const Judged judged{options,
                      original,
                      artifact,
                      before,
                      after,
                      source.sample(0),
                      verification_bound(options, original.graph, arithmetic)};
  CompareOptions compare;
  compare.run = sample_run(threads, console, "verifying", source.count);
  Verification verification = verify_on(source, judged, compare);
  if (verification.failure.empty() || options.tolerance || is_quantized(original.graph))
    return verification;
  const SampleSource steady = steady_samples(before, source);
  if (steady.count == 0 || steady.count == source.count) return verification;
  verification = verify_on(steady, judged, compare);
  verification.left_out = source.count - steady.count;
  return verification;
}

}  // namespace lathe
