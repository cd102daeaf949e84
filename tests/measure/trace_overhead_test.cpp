// What tracing costs, told and not judged: no test measures time. The issue wants below 10 %.

#include <algorithm>
#include <filesystem>
#include <vector>

#include "onnx/read_model.h"
#include "run/interpreter_engine.h"
#include "tracing/trace_nodes.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void tell_overhead(const std::string& path, size_t pairs) {
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: " << path << " is not there");
    return;
  }
  const Graph graph = load_onnx(path).graph;
  InterpreterEngine engine(graph);
  std::vector<Tensor> inputs;
  for (const ValueId id : graph.inputs()) {
    Shape shape;
    for (const Dim& dim : graph.value(id).type.dims.value_or(Dims{}))
      shape.push_back(dim.known() ? dim.size : 1);
    inputs.push_back(Tensor::of<float>(
        shape, std::vector<float>(static_cast<size_t>(element_count(shape)), 0.5F)));
  }
  engine.prepare({inputs});
  for (size_t i = 0; i < 3; ++i) engine.execute(0);
  Trace trace({2'000'000});
  TraceThread& main = trace.thread("main");
  const TraceLabel run = trace.label(kTraceSession, kTraceRun);
  const NodeObserver observer = trace_nodes(trace, main, graph, engine.name());
  std::vector<double> plain;
  std::vector<double> traced;
  for (size_t i = 0; i < pairs; ++i) {
    engine.observe({});
    int64_t start = now_ns();
    engine.execute(0);
    plain.push_back(static_cast<double>(now_ns() - start));
    engine.observe(observer);
    start = now_ns();
    {
      const TraceScope scope(main, run);
      engine.execute(0);
    }
    traced.push_back(static_cast<double>(now_ns() - start));
  }
  CHECK(trace.dropped() == 0);
  CHECK(trace.size() > pairs);
  MESSAGE(std::filesystem::path(path).filename().string()
          << ": plain " << median_of(plain) / 1e3 << " us, traced " << median_of(traced) / 1e3
          << " us, ratio of medians " << median_of(traced) / median_of(plain) << ", of minima "
          << *std::min_element(traced.begin(), traced.end()) /
                 *std::min_element(plain.begin(), plain.end()));
}

TEST_CASE("what tracing costs") {
  tell_overhead(LATHE_SOURCE_DIR "/scripts/glyphs.onnx", 100);
  tell_overhead(LATHE_SHARED_DIR "/models/mobilenet_v2_imagenet.onnx", 8);
}

}  // namespace
}  // namespace lathe
