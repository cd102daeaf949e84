#include "heavy/verify_compiled.h"

#include <fmt/format.h>

#include <set>

#include "calibration/random_data.h"
#include "heavy/model_data.h"
#include "ir/error.h"

namespace lathe {
namespace {

enum class Fill { kZeros, kLarge, kRandom };

struct SeededInput {
  Fill fill = Fill::kRandom;
  int64_t batch = 1;
};

Tensor filled(const Value& value, const SeededInput& seeded, uint64_t seed, uint64_t stream) {
  ModelInput input{value.name, value.type.dtype, value.type.dims.value_or(Dims{})};
  if (!input.dims.empty() && !input.dims[0].known()) input.dims[0] = Dim::of(seeded.batch);
  const Shape shape = random_shape(input);
  const Tensor random = random_tensor(input.dtype, shape, seed, stream);
  if (seeded.fill == Fill::kRandom) return random;
  std::vector<double> values = random.to_double();
  const double factor = seeded.fill == Fill::kZeros ? 0.0 : is_floating(input.dtype) ? 100.0 : 1.0;
  for (double& element : values) element *= factor;
  return tensor_from_doubles(input.dtype, shape, values, "input " + escape_untrusted(value.name));
}

std::vector<std::vector<Tensor>> seeded_inputs(const Graph& graph, uint64_t seed) {
  std::vector<std::vector<Tensor>> sets;
  const SeededInput kinds[] = {{Fill::kZeros, 1},
                               {Fill::kLarge, 1},
                               {Fill::kRandom, 1},
                               {Fill::kRandom, 1},
                               {Fill::kRandom, 2}};
  for (const SeededInput& kind : kinds) {
    std::vector<Tensor> inputs;
    for (const ValueId id : graph.inputs())
      inputs.push_back(filled(graph.value(id), kind, seed, sets.size() * 64 + inputs.size()));
    sets.push_back(std::move(inputs));
  }
  return sets;
}

// The sets that the original can be run on.
std::vector<std::vector<Tensor>> usable(const Interpreter& original,
                                        std::vector<std::vector<Tensor>> sets) {
  std::vector<std::vector<Tensor>> kept;
  std::string refusal;
  for (std::vector<Tensor>& inputs : sets) {
    try {
      original.run_tensors(inputs);
      kept.push_back(std::move(inputs));
    } catch (const Error& error) {
      refusal = error.what();
    }
  }
  if (kept.empty())
    throw bad_input("verify.inputs", "the model runs on no seeded input: " + refusal, {},
                    "give real inputs with --verify DATA, or shapes with --input-shape");
  return kept;
}

// The first value, in the order of execution, that differs by more than the tolerance.
std::string first_divergence(const Graph& graph, const CompareResult& result, double tolerance) {
  std::map<std::string, double> errors;
  for (const ValueError& layer : result.layers)
    errors[layer.value] =
        layer.sums.unequal_non_finite > 0 ? INFINITY : layer.sums.relative_max_error();
  for (const NodeId id : graph.order())
    for (const ValueId output : graph.node(id).outputs) {
      if (!output.valid()) continue;
      const auto it = errors.find(graph.value(output).name);
      if (it != errors.end() && it->second > tolerance)
        return fmt::format("first differing node: {} ({})", escape_untrusted(graph.node(id).name),
                           escape_untrusted(graph.node(id).type_name()));
    }
  return "no inner value of a common name differs before it";
}

}  // namespace

double verification_tolerance(const CompileOptions& options, const Graph& graph) {
  if (options.tolerance) return *options.tolerance;
  double tolerance = 1e-4;
  for_each_graph(graph, [&](const Graph& inner) {
    for (const ValueId id : inner.value_ids()) {
      const DType dtype = inner.value(id).type.dtype;
      if (dtype == DType::kFloat16 || dtype == DType::kBFloat16)
        tolerance = std::max(tolerance, 5e-3);
    }
    for (const NodeId id : inner.node_ids())
      if (inner.node(id).kind == OpKind::kQuantizeLinear ||
          inner.node(id).kind == OpKind::kDynamicQuantizeLinear)
        tolerance = std::max(tolerance, 2e-2);
  });
  return tolerance;
}

Verification verify_compiled(const CompileOptions& options, const Graph& original,
                             const Graph& compiled, int threads, Console& console) {
  const Interpreter before(original);
  const Interpreter after(compiled);
  Verification verification;
  verification.tolerance = verification_tolerance(options, original);
  CompareOptions compare;
  if (options.verify == "random") {
    const auto sets = usable(before, seeded_inputs(original, options.common.seed));
    SampleSource source;
    source.count = sets.size();
    source.sample = [&](size_t i) { return sets[i]; };
    compare.run = sample_run(threads, console, "verifying", source.count);
    verification.result = compare_graphs(before, after, source, compare);
  } else {
    const DataSet data = open_data_for(options.verify, original, 0, options.common, console);
    compare.run = sample_run(threads, console, "verifying", data.size());
    verification.result = compare_graphs(before, after, sample_source(data), compare);
  }
  for (const ValueError& output : verification.result.outputs) {
    const bool finite = output.sums.unequal_non_finite == 0;
    if (finite && output.sums.relative_max_error() <= verification.tolerance) continue;
    verification.failure = fmt::format(
        "output {} differs by {} (allowed {:.1e}); {}", escape_untrusted(output.value),
        finite ? fmt::format("{:.2e}", output.sums.relative_max_error()) : "NaN or infinity",
        verification.tolerance,
        first_divergence(original, verification.result, verification.tolerance));
    break;
  }
  return verification;
}

}  // namespace lathe
