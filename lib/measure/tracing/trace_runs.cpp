#include "tracing/trace_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "statistics/statistics.h"
#include "tracing/observed_engine.h"
#include "tracing/op_profile_cost.h"
#include "tracing/trace_memory.h"
#include "tracing/trace_nodes.h"

namespace lathe {
TraceRuns trace_runs(Engine& engine, const Graph& graph, std::span<const Shape> shapes,
                     Trace& trace, TraceThread& thread, const TraceRunsOptions& options,
                     const Conduct& conduct) {
  TraceRuns result;
  const NodeObserver observer =
      trace_nodes(trace, thread, with_input_shapes(graph, shapes), engine.name());
  const TraceLabel run_label = trace.label(kTraceSession, kTraceRun);
  TraceMemory memory(trace, thread);
  const TraceScope measure(thread, trace.label(kTracePhase, "measure"));
  std::vector<double> plain;
  std::vector<double> traced;
  const int64_t start = conduct.clock();
  for (size_t i = 0; i < std::max<size_t>(1, options.max_runs); ++i) {
    if (conduct.interrupted() || (i > 0 && conduct.clock() - start >= options.max_ns)) break;
    int64_t before = conduct.clock();
    engine.execute(i);
    plain.push_back(static_cast<double>(conduct.clock() - before));
    memory.sample();
    const ObservedEngine observed(engine, observer);
    if (!observed.tells())
      result.reason =
          fmt::format("the {} engine does not tell the times of its nodes", engine.name());
    before = conduct.clock();
    {
      const TraceScope run(thread, run_label);
      engine.execute(i);
    }
    traced.push_back(static_cast<double>(conduct.clock() - before));
    memory.sample();
  }
  result.runs = traced.size();
  if (traced.empty()) return result;
  const double without = median(plain);
  result.overhead_ratio = without > 0 ? median(traced) / without : 0;
  return result;
}

}  // namespace lathe
