// The whole list: on small graphs, and on ONNX's test cases, whose outputs must not change.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <span>

#include "conformance/case_data.h"
#include "graph/node_list.h"
#include "graph/optimize_graph.h"
#include "ir/error.h"
#include "onnx/read_model.h"
#include "onnx/text_form.h"
#include "onnx/write_model.h"
#include "ops/op_row.h"
#include "pass_check.h"
#include "run/interpreter.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

struct Changes {
  int all = 0;
  int arithmetic = 0;
};

Changes optimize(Graph& graph) {
  Pipeline pipeline(graph);
  optimize_graph(graph, pipeline);
  Changes changes;
  for (const PipelineStep& step : pipeline.steps()) {
    changes.all += step.changes;
    if (is_arithmetic_pass(step.pass)) changes.arithmetic += step.changes;
  }
  return changes;
}

// Where no arithmetic pass fired, max|a-b| / max|a| is at most 1e-6.
std::string beyond_rounding(const RuntimeValue& got, const RuntimeValue& wanted) {
  if (!got.is_tensor() || !wanted.is_tensor()) return {};
  const Tensor a = to_tensor(wanted);
  const Tensor b = to_tensor(got);
  if (!is_floating(a.dtype()) || dtype_bits(a.dtype()) < 16) return {};
  const std::vector<double> x = a.to_double();
  const std::vector<double> y = b.to_double();
  double largest = 0;
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) continue;
    largest = std::max(largest, std::fabs(x[i]));
    worst = std::max(worst, std::fabs(x[i] - y[i]));
  }
  return worst <= 1e-6 * largest ? "" : fmt::format("differs by {:.1e} of {:.1e}", worst, largest);
}

std::string compiled_bytes(Model& model) {
  optimize(model.graph);
  return write_onnx(model).model_bytes;
}

// Empty when what is written for the model is written again from it, byte for byte.
std::string rewritten(const Model& original) {
  Model model = original;
  const std::string first = compiled_bytes(model);
  Model again = read_onnx(std::as_bytes(std::span(first)), {});
  return compiled_bytes(again) == first ? "" : "compiling what was written gives other bytes";
}

std::vector<RuntimeValue> inputs_of(const Graph& graph, const DataSetFiles& set) {
  std::vector<RuntimeValue> inputs;
  for (size_t i = 0; i < graph.inputs().size(); ++i)
    inputs.push_back(i < set.inputs.size()
                         ? read_pb(set.inputs[i], graph.value(graph.inputs()[i]).type)
                         : RuntimeValue{});
  return inputs;
}

struct Tally {
  int cases = 0;
  int changed = 0;
  int runs = 0;
  int not_run = 0;  // training, n-grams, random draws: shown by equal text
};

// What the model gives; empty when the interpreter does not run it, or not twice alike.
std::optional<std::vector<RuntimeValue>> repeatable(const Graph& graph, const DataSetFiles& set) {
  try {
    const Interpreter interpreter(graph);
    auto first = interpreter.run(inputs_of(graph, set));
    const auto second = interpreter.run(inputs_of(graph, set));
    for (size_t i = 0; i < first.size(); ++i)
      if (!difference(first[i], second[i]).empty()) return {};
    return first;
  } catch (const Error&) {
    return {};
  }
}

std::string text_of_inferred(Graph graph) {
  infer_shapes(graph);
  return text_form(graph);
}

// Empty when the optimized model gives what the model gives, is no larger, and stays as it is.
std::string optimize_case(const fs::path& folder, Tally& tally) {
  try {
    const Model model = load_onnx(folder / "model.onnx");
    const Graph& before = model.graph;
    Graph after = before;
    ++tally.cases;
    const Changes changes = optimize(after);
    tally.changed += changes.all != 0 ? 1 : 0;
    if (test::total_nodes(after) > test::total_nodes(before)) return "more nodes than before";
    const std::string text = text_form(after);
    if (optimize(after).all != 0 || text_form(after) != text) return "a second run changes it";
    if (auto what = rewritten(model); !what.empty()) return what;
    for (const DataSetFiles& set : data_sets(folder)) {
      const auto expected = repeatable(before, set);
      if (!expected) {
        ++tally.not_run;
        if (text != text_of_inferred(before)) return "cannot be run, and is not what it was";
        continue;
      }
      const auto& wanted = *expected;
      const auto got = Interpreter(after).run(inputs_of(after, set));
      ++tally.runs;
      if (wanted.size() != got.size()) return "another number of outputs";
      for (size_t i = 0; i < got.size(); ++i) {
        if (after.value(after.outputs()[i]).name != before.value(before.outputs()[i]).name)
          return fmt::format("output {} has another name", i);
        if (auto what = difference(got[i], wanted[i]); !what.empty())
          return fmt::format("output {}: {}", i, what);
        if (changes.arithmetic == 0)
          if (auto what = beyond_rounding(got[i], wanted[i]); !what.empty())
            return fmt::format("output {}: {} without arithmetic", i, what);
      }
    }
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("optimize_graph: passes that wait for each other all get their turn") {
  const Graph after =
      test::check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[N,3,4] x) => (float[N,4,3] y)
<int64 one = {1}, int64 three = {3}, float zero = {0}, float six = {6}>
{ s = Shape(x)  d = Gather(s, one)  c = Equal(d, three)
  i = If(c) <then_branch = a () => (float[N,4,3] p)
               { t = Transpose<perm = [0, 2, 1]>(x)  u = Relu(t)
                 p = Transpose<perm = [0, 2, 1]>(u) },
             else_branch = b () => (float[N,4,3] q) { q = Transpose<perm = [0, 2, 1]>(x) }>
  k = Clip(i, zero, six)  y = Transpose<perm = [0, 2, 1]>(k) })",
                       [](Graph& graph) { return optimize(graph).all != 0 ? 1 : 0; }, 1);
  CHECK(test::node_list(after) == "k = Clip(x, zero, six); y = Transpose(k)");
}

TEST_CASE("optimize_graph: ONNX's cases give the same, are no larger, stay as they are") {
  const fs::path root = "/usr/share/libonnx-testdata/data";
  Tally tally;
  for (const std::string suite : {"pytorch-converted", "pytorch-operator", "simple", "node"}) {
    if (!fs::is_directory(root / suite)) {
      MESSAGE("skipped: " << (root / suite).string() << " is not installed");
      continue;
    }
    std::set<fs::path> folders;
    for (const auto& entry : fs::directory_iterator(root / suite))
      if (fs::exists(entry.path() / "model.onnx")) folders.insert(entry.path());
    for (const fs::path& folder : folders) {
      const std::string name = suite + "/" + folder.filename().string();
      const std::string failure = optimize_case(folder, tally);
      if (!failure.empty()) FAIL_CHECK(name << ": " << failure);
    }
  }
  MESSAGE(fmt::format("{} of {} models changed, {} data sets compared, {} not run and unchanged",
                      tally.changed, tally.cases, tally.runs, tally.not_run));
  // Where the test data are installed, none of their models may be left out.
  if (tally.cases > 0) CHECK(tally.cases >= 1072);
}

}  // namespace lathe
