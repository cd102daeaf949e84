// The traced pass of `bench --trace`: apart from the timed runs, which carry no tracing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ir/graph.h"
#include "statistics/sampling.h"
#include "tracing/trace.h"

namespace lathe {

class Engine;

struct TraceRunsOptions {
  size_t max_runs = 50;
  int64_t max_ns = 2'000'000'000;  // no run starts later; one is always made
};

struct TraceRuns {
  size_t runs = 0;
  /// Median run with tracing / median run without, measured in turns; 0 when one could not be
  /// timed. Above 1.1 the trace's times are not to be believed.
  double overhead_ratio = 0;
  /// Empty, or why the trace shows runs and no nodes.
  std::string reason;
};

/// The engine has been prepared and is warm; `graph` and `shapes` as for profile_ops. Each run is a
/// scope "model_run" within one scope "measure", its nodes lie inside, resident memory is a
/// counter. Runs in turns with and without tracing and leaves the engine without.
TraceRuns trace_runs(Engine& engine, const Graph& graph, std::span<const Shape> shapes,
                     Trace& trace, TraceThread& thread, const TraceRunsOptions& options = {},
                     const Conduct& conduct = {});

}  // namespace lathe
