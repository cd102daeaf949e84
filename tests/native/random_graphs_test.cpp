// Hundreds of random graphs in the native engine beside the interpreter.
#include <fmt/format.h>

#include <cstdlib>

#include "evaluate/evaluate.h"
#include "graph/optimize_graph.h"
#include "native_run.h"
#include "passes/pipeline.h"
#include "plan/divide_plan.h"
#include "random_graph.h"
#include "run/threads.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::GraphFlavour;
using test::RandomGraph;

std::vector<RuntimeValue> runtime_values(const std::vector<Tensor>& tensors) {
  std::vector<RuntimeValue> values;
  for (const Tensor& tensor : tensors) values.push_back(to_runtime(tensor));
  return values;
}

Graph all_passes(const Graph& graph, const std::vector<Shape>& shapes) {
  Graph fixed = test::with_shapes(graph, shapes);
  Pipeline pipeline(fixed);
  optimize_graph(fixed, pipeline);
  return fixed;
}

/// Of two arrays: the largest difference in units of the largest number, and the share of elements
/// that differ by more than a thousandth of that.
struct Error {
  double largest = 0;
  double share = 0;
};

Error error_of(const at::Tensor& found, const at::Tensor& wanted) {
  if (wanted.numel() == 0) return {};
  const at::Tensor a = wanted.to(at::kDouble);
  const double most = a.abs().max().item<double>();
  const double scale = std::isfinite(most) ? std::max(most, 1e-2) : 1;
  const at::Tensor b = found.to(at::kDouble);
  const at::Tensor error = at::where(a == b, at::zeros_like(a), (b - a).abs() / scale);
  const double largest = error.max().item<double>();
  return {std::isfinite(largest) ? largest : 1e30,
          (error > 1e-3).to(at::kDouble).mean().item<double>()};
}

struct Limits {
  double largest = 0;
  double share = 0;
};

/// What is wrong with `found`; "" when nothing is.
std::string problem(const std::vector<RuntimeValue>& found, const std::vector<RuntimeValue>& wanted,
                    const Limits& limits) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    const at::Tensor& a = wanted[i].tensor;
    const at::Tensor& b = found[i].tensor;
    if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type())
      return fmt::format("output {}: another type or shape", i);
    const Error error = error_of(b, a);
    if (error.largest > limits.largest || error.share > limits.share)
      return fmt::format("output {}: differs by {} of its range, {} of the elements", i,
                         error.largest, error.share);
  }
  return "";
}

bool equal(const std::vector<RuntimeValue>& a, const std::vector<RuntimeValue>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (!at::equal(a[i].tensor, b[i].tensor)) return false;
  return true;
}

/// Kernels of lathe alone, whose results do not depend on the number of threads.
bool is_our_own(const NativePlan& plan) {
  for (const PlanStep& step : plan.steps)
    if (std::holds_alternative<FloatConvStep>(step.kind) ||
        std::holds_alternative<FloatMatMulStep>(step.kind) ||
        std::holds_alternative<FallbackStep>(step.kind))
      return false;
  return true;
}

/// What the plan gives in `parts`, on two threads.
std::vector<RuntimeValue> run_in_parts(const NativePlan& plan,
                                       const std::vector<RuntimeValue>& inputs, int64_t parts) {
  std::vector<at::Tensor> held;
  std::vector<const void*> in;
  for (const RuntimeValue& input : inputs) {
    held.push_back(input.tensor->contiguous());
    in.push_back(held.back().data_ptr());
  }
  std::vector<RuntimeValue> outputs;
  std::vector<void*> out;
  for (const PlanValue& port : plan.outputs) {
    const PlanView& view = plan.views[static_cast<size_t>(port.view.index)];
    outputs.emplace_back(at::empty(view.shape, storage_type(view.dtype)), view.dtype);
    out.push_back(outputs.back().tensor->data_ptr());
  }
  ProgramOptions options;
  options.threads = 2;
  BatchProgram(plan, parts, options).run(in, out);
  return outputs;
}

/// Whether the plan can be run in parts, whose results are then `found`; `text` says what is wrong.
bool check_parts(const NativePlan& plan, const std::vector<RuntimeValue>& inputs,
                 const std::vector<RuntimeValue>& found, std::string& text) {
  bool any = false;
  for (int64_t parts = 2; parts <= 6; ++parts) {
    if (!divide_plan(plan, parts)) continue;
    any = true;
    const auto made = run_in_parts(plan, inputs, parts);
    text = is_our_own(plan) ? (equal(made, found) ? "" : "other bytes")
                            : problem(made, found, {1e-5, 1});
    if (!text.empty()) {
      text = fmt::format("{} parts: {}", parts, text);
      return true;
    }
  }
  return any;
}

/// Everything that is asked of one graph; "" when all is well. `divided`: it was run in parts, too.
std::string check_graph(const RandomGraph& built, const Limits& limits, bool& divided) {
  const Graph& graph = built.graph;
  const auto inputs = runtime_values(built.inputs);
  const auto others = runtime_values(built.other_inputs);
  std::vector<Shape> shapes;
  for (const Tensor& input : built.inputs) shapes.push_back(input.shape());
  const Interpreter interpreter(graph);
  const auto wanted = interpreter.run(inputs);
  const auto wanted_of_others = interpreter.run(others);
  const SpecializeGraph as_it_is = [&](const std::vector<Shape>& s) {
    return test::with_shapes(graph, s);
  };
  set_thread_count(1);
  NativeEngine alone(graph, as_it_is);
  verify_plan(alone.prepared(shapes).program->plan());
  const auto found = alone.run(inputs);
  if (std::string text = problem(found, wanted, limits); !text.empty()) return text;
  if (std::string text = problem(alone.run(others), wanted_of_others, limits); !text.empty())
    return "other inputs: " + text;
  if (!equal(alone.run(inputs), found)) return "the first run shows in the second";
  std::string of_parts;
  divided = check_parts(alone.prepared(shapes).program->plan(), inputs, found, of_parts);
  if (!of_parts.empty()) return of_parts;
  set_thread_count(3);
  NativeEngine many(graph, as_it_is);
  const auto with_threads = many.run(inputs);
  if (std::string text = problem(with_threads, wanted, limits); !text.empty())
    return "three threads: " + text;
  if (is_our_own(many.prepared(shapes).program->plan()) && !equal(with_threads, found))
    return "three threads give other bytes";
  NativeEngine improved(graph, [&](const std::vector<Shape>& s) { return all_passes(graph, s); });
  if (std::string text = problem(improved.run(inputs), wanted, limits); !text.empty())
    return "optimized: " + text;
  return "";
}

/// LATHE_RANDOM_GRAPHS=first:count asks for other graphs than the usual ones.
std::pair<uint64_t, uint64_t> seeds(uint64_t count) {
  uint64_t first = 0;
  if (const char* text = std::getenv("LATHE_RANDOM_GRAPHS")) {
    char* end = nullptr;
    first = std::strtoull(text, &end, 10);
    if (*end == ':') count = std::strtoull(end + 1, nullptr, 10);
  }
  return {first, first + count};
}

/// `fewest_divided`: of the usual seeds.
void check_graphs(GraphFlavour flavour, uint64_t count, const Limits& limits, int fewest_divided) {
  const auto [first, last] = seeds(count);
  int graphs_divided = 0;
  for (uint64_t seed = first; seed < last; ++seed) {
    const RandomGraph built = test::RandomGraphBuilder(seed, flavour).build();
    std::string text;
    try {
      bool divided = false;
      text = check_graph(built, limits, divided);
      if (divided) ++graphs_divided;
    } catch (const std::exception& error) {
      text = error.what();
    }
    INFO("seed ", seed);
    CHECK(text == "");
  }
  if (first == 0) CHECK(graphs_divided >= fewest_divided);
}

}  // namespace

TEST_CASE("random float graphs") { check_graphs(GraphFlavour::kFloat, 100, {1e-4, 1}, 5); }
TEST_CASE("random graphs of moves") { check_graphs(GraphFlavour::kMoves, 100, {1e-4, 1}, 5); }
TEST_CASE("random graphs with fallback partitions") {
  check_graphs(GraphFlavour::kFallback, 60, {1e-4, 1}, 0);
}
TEST_CASE("random quantized graphs") {
  check_graphs(GraphFlavour::kQuantized, 120, {0.05, 0.2}, 5);
}

}  // namespace lathe
