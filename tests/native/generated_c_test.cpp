// Random graphs as C beside the interpreter. Each is built by the host's compiler with sanitizers
// that end the process: in a child.
#include <fmt/format.h>

#include <cmath>

#include "c99/built_c.h"
#include "c99/c99.h"
#include "evaluate/evaluate.h"
#include "ir/error.h"
#include "lower/lower_graph.h"
#include "native_run.h"
#include "random_graph.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::GraphFlavour;

std::vector<at::Tensor> tensors_of(const std::vector<Tensor>& values) {
  std::vector<at::Tensor> tensors;
  for (const Tensor& value : values) tensors.push_back(to_runtime(value).tensor);
  return tensors;
}

// The share of elements that differ by more than a thousandth of the largest, and the largest
// difference.
test::Difference apart(const at::Tensor& found, const at::Tensor& wanted) {
  if (wanted.numel() == 0) return {};
  const at::Tensor a = wanted.to(at::kDouble);
  const double most = a.abs().max().item<double>();
  if (!std::isfinite(most)) return {};
  const at::Tensor error = (found.to(at::kDouble) - a).abs() / std::max(most, 1e-2);
  return {error.max().item<double>(), (error > 1e-3).to(at::kDouble).mean().item<double>()};
}

struct Counts {
  int run = 0;
  int refused = 0;
  std::map<std::string, int> why;
};

Counts check_flavour(GraphFlavour flavour, uint64_t count, double largest, double share) {
  Counts counts;
  for (uint64_t seed = 0; seed < count; ++seed) {
    CAPTURE(seed);
    const test::RandomGraph built = test::RandomGraphBuilder(seed, flavour).build();
    std::vector<Shape> shapes;
    for (const Tensor& input : built.inputs) shapes.push_back(input.shape());
    const Graph graph = test::with_shapes(built.graph, shapes);
    try {
      LowerOptions options;
      options.compact = true;
      const LoweredGraph lowered = lower_graph(graph, options);
      const C99Options named{"net", "net.h", "0", 8};
      const C99Code code = emit_c99(graph, lowered.plan, named);
      const BuiltC c(host_c_compiler(), code, named, graph);
      const Interpreter interpreter(graph);
      for (const std::vector<Tensor>* inputs : {&built.inputs, &built.other_inputs}) {
        std::vector<RuntimeValue> values;
        for (const Tensor& input : *inputs) values.push_back(to_runtime(input));
        const std::vector<at::Tensor> found = c.run(tensors_of(*inputs));
        const std::vector<RuntimeValue> wanted = interpreter.run(values);
        for (size_t i = 0; i < found.size(); ++i) {
          const test::Difference difference = apart(found[i], wanted[i].tensor);
          CHECK(difference.largest <= largest);
          CHECK(difference.share <= share);
        }
      }
      ++counts.run;
    } catch (const Error& error) {
      // Not every step has C yet; nothing else may be wrong.
      CHECK(error.id().starts_with("c99."));
      CHECK(error.id() != "c99.build");
      ++counts.refused;
      ++counts.why[error.text().message];
    }
  }
  return counts;
}

TEST_CASE("random quantized graphs as C give what the interpreter gives") {
  if (host_c_compiler().empty()) {
    MESSAGE("skipped: no C compiler");
    return;
  }
  const Counts counts = check_flavour(GraphFlavour::kQuantized, 40, 0.35, 0.6);
  MESSAGE(counts.run, " run, ", counts.refused, " refused");
  for (const auto& [why, n] : counts.why) MESSAGE(n, " ", why);
  CHECK(counts.run >= 10);
}

TEST_CASE("random float graphs as C give what the interpreter gives") {
  if (host_c_compiler().empty()) return;
  const Counts counts = check_flavour(GraphFlavour::kFloat, 40, 1e-3, 0);
  MESSAGE(counts.run, " run, ", counts.refused, " refused");
  for (const auto& [why, n] : counts.why) MESSAGE(n, " ", why);
  CHECK(counts.run >= 5);
}

}  // namespace
}  // namespace lathe
