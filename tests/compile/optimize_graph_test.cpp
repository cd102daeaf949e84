// The whole list: on small graphs, and on ONNX's test cases, whose outputs must not change.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "compile/optimize_graph.h"
#include "conformance/case_data.h"
#include "node_list.h"
#include "onnx/read_model.h"
#include "onnx/text_form.h"
#include "os/glob.h"
#include "pass_check.h"
#include "run/interpreter.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

int optimize(Graph& graph) {
  Pipeline pipeline(graph);
  optimize_graph(graph, pipeline);
  int changes = 0;
  for (const PipelineStep& step : pipeline.steps()) changes += step.changes;
  return changes;
}

bool is_excluded(const std::string& name) {
  std::ifstream in(fs::path(LATHE_SOURCE_DIR) / "tests/conformance/exclusions.txt");
  for (std::string line; std::getline(in, line);)
    if (!line.empty() && line[0] != '#' && Glob(line).matches(name)) return true;
  return false;
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
};

// Empty when the optimized model gives what the model gives, is no larger, and stays as it is.
std::string optimize_case(const fs::path& folder, Tally& tally) {
  try {
    const Graph before = load_onnx(folder / "model.onnx").graph;
    Graph after = before;
    ++tally.cases;
    tally.changed += optimize(after) != 0 ? 1 : 0;
    if (test::total_nodes(after) > test::total_nodes(before)) return "more nodes than before";
    const std::string text = text_form(after);
    if (optimize(after) != 0 || text_form(after) != text) return "a second run changes it";
    const Interpreter reference(before);
    const Interpreter optimized(after);
    for (const DataSetFiles& set : data_sets(folder)) {
      const auto wanted = reference.run(inputs_of(before, set));
      const auto got = optimized.run(inputs_of(after, set));
      ++tally.runs;
      if (wanted.size() != got.size()) return "another number of outputs";
      for (size_t i = 0; i < got.size(); ++i) {
        if (after.value(after.outputs()[i]).name != before.value(before.outputs()[i]).name)
          return fmt::format("output {} has another name", i);
        if (auto what = difference(got[i], wanted[i]); !what.empty())
          return fmt::format("output {}: {}", i, what);
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
                       [](Graph& graph) { return optimize(graph) != 0 ? 1 : 0; }, 1);
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
      if (is_excluded(name)) continue;
      const std::string failure = optimize_case(folder, tally);
      if (!failure.empty()) FAIL_CHECK(name << ": " << failure);
    }
  }
  MESSAGE(fmt::format("{} of {} models changed, {} data sets compared", tally.changed, tally.cases,
                      tally.runs));
}

}  // namespace lathe
