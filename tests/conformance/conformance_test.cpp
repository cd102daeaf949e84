// The interpreter and the native engine against ONNX's own test cases. What is left out stands in
// exclusions.txt with its reason; an excluded case that passes is an error too, so that the list
// stays true.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "case_data.h"
#include "ir/error.h"
#include "native/native_run.h"
#include "onnx/read_model.h"
#include "os/glob.h"
#include "run/interpreter.h"
#include "run/threads.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

struct Exclusion {
  std::string pattern;
  std::string reason;
  bool sometimes = false;  // "?" before the pattern: other releases of the data have other numbers
  int used = 0;
};

std::vector<Exclusion> read_exclusions() {
  std::ifstream in(fs::path(LATHE_SOURCE_DIR) / "tests/conformance/exclusions.txt");
  std::vector<Exclusion> list;
  for (std::string line, reason; std::getline(in, line);) {
    if (line.empty()) continue;
    if (line[0] == '#')
      reason = line.substr(2);
    else if (line[0] == '?')
      list.push_back({line.substr(1), reason, true});
    else
      list.push_back({line, reason});
  }
  return list;
}

using RunGraph = std::function<std::vector<RuntimeValue>(std::vector<RuntimeValue> inputs)>;
using MakeRun = RunGraph (*)(const Graph& graph);

RunGraph interpreted(const Graph& graph) {
  return [interpreter = std::make_shared<Interpreter>(graph)](std::vector<RuntimeValue> inputs) {
    return interpreter->run(std::move(inputs));
  };
}

// Every node as it is: nothing is optimized.
RunGraph native(const Graph& graph) {
  const auto specialize = [graph](const std::vector<Shape>& shapes) {
    return test::with_shapes(graph, shapes);
  };
  return [engine = std::make_shared<NativeEngine>(graph, specialize)](
             std::vector<RuntimeValue> inputs) { return engine->run(inputs); };
}

// Empty when every data set of the case gives the wanted outputs.
std::string run_case(const fs::path& folder, MakeRun make_run) {
  try {
    const Graph graph = load_onnx(folder / "model.onnx").graph;
    const RunGraph run = make_run(graph);
    const auto sets = data_sets(folder);
    if (sets.empty()) return "no data";
    for (const DataSetFiles& set : sets) {
      std::vector<RuntimeValue> inputs;
      for (size_t i = 0; i < graph.inputs().size(); ++i)
        inputs.push_back(i < set.inputs.size()
                             ? read_pb(set.inputs[i], graph.value(graph.inputs()[i]).type)
                             : RuntimeValue{});
      const auto outputs = run(std::move(inputs));
      if (set.outputs.size() != outputs.size()) return "another number of outputs";
      for (size_t i = 0; i < outputs.size(); ++i) {
        const auto wanted = read_pb(set.outputs[i], graph.value(graph.outputs()[i]).type);
        if (auto text = difference(outputs[i], wanted); !text.empty())
          return fmt::format("output {}: {}", i, text);
      }
    }
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

struct Tally {
  int cases = 0;
  int passed = 0;
};

Tally run_suite(const std::string& suite, const fs::path& root, MakeRun make_run = interpreted) {
  std::vector<Exclusion> exclusions = read_exclusions();
  std::set<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(root))
    if (fs::exists(entry.path() / "model.onnx")) folders.insert(entry.path());
  Tally tally;
  for (const fs::path& folder : folders) {
    const std::string name = suite + "/" + folder.filename().string();
    const std::string failure = run_case(folder, make_run);
    ++tally.cases;
    tally.passed += failure.empty() ? 1 : 0;
    const auto excluded = std::find_if(exclusions.begin(), exclusions.end(), [&](const auto& row) {
      return Glob(row.pattern).matches(name);
    });
    const bool listed = excluded != exclusions.end();
    if (listed) ++excluded->used;
    if (failure.empty() && listed && !excluded->sometimes)
      FAIL_CHECK("excluded but passes: " << name);
    if (!failure.empty() && !listed) FAIL_CHECK(name << ": " << failure);
  }
  MESSAGE(fmt::format("{}: {} of {} cases pass", suite, tally.passed, tally.cases));
  return tally;
}

const fs::path kDebianData = "/usr/share/libonnx-testdata/data";

bool present(const fs::path& root) {
  if (fs::is_directory(root)) return true;
  MESSAGE("skipped: " << root.string() << " is not installed");
  return false;
}

}  // namespace

TEST_CASE("libonnx-testdata: node cases") {
  if (!present(kDebianData / "node")) return;
  const Tally tally = run_suite("node", kDebianData / "node");
  CHECK(tally.cases >= 932);
  CHECK(tally.passed * 100 >= tally.cases * 90);
}

TEST_CASE("libonnx-testdata: converted models") {
  for (const char* suite : {"pytorch-converted", "pytorch-operator", "simple"}) {
    if (!present(kDebianData / suite)) return;
    run_suite(suite, kDebianData / suite);
  }
}

TEST_CASE("native: libonnx-testdata") {
  for (const char* suite : {"node", "pytorch-converted", "pytorch-operator", "simple"}) {
    if (!present(kDebianData / suite)) return;
    run_suite(suite, kDebianData / suite, native);
  }
}

TEST_CASE("native: onnx wheel") {
  const char* given = std::getenv("LATHE_ONNX_NODE_CASES");
  const fs::path root = given != nullptr ? given : "";
  if (!present(root)) return;
  run_suite("wheel", root, native);
}

TEST_CASE("onnx wheel: node cases") {
  const char* given = std::getenv("LATHE_ONNX_NODE_CASES");
  const fs::path root = given != nullptr ? given : "";
  if (!present(root)) return;
  const Tally tally = run_suite("wheel", root);
  CHECK(tally.cases >= 1653);
  CHECK(tally.passed * 100 >= tally.cases * 85);
}

}  // namespace lathe
