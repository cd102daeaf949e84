// The load scenarios of `lathe bench` on a loaded model: several streams or workers, each with an
// engine of its own.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "commands/bench/load_plan.h"
#include "commands/bench/request.h"
#include "commands/bench/subject.h"
#include "console.h"
#include "gates/gate.h"
#include "load/find_peak.h"
#include "load/open_loop.h"
#include "load/streams.h"
#include "statistics/sampling.h"
#include "statistics/statistics.h"

namespace lathe {

/// What one scenario gave. Latencies of the server and offline scenarios count from the moment a
/// query was due.
struct BenchLoad {
  LoadPlan plan;
  int threads_each = 1;  // of a stream or worker
  /// Server and offline: an engine runs max_batch queries at once; it is made for that many, so a
  /// batch that is not full costs as much as a full one.
  BatchRule batch;
  double items_per_query = 1;
  std::optional<double> rate_per_s;  // server: of the run that the latencies are of
  WarmUp warm_up;
  /// Queries a second that all workers together served without a queue, right after the warm-up.
  double capacity_per_s = 0;

  std::optional<OpenLoopResult> open;    // server, offline
  std::optional<StreamsResult> streams;  // multi
  std::optional<Peak> peak;              // --find-peak; `open` is then a run at the peak rate

  std::vector<double> latency_ns;  // in the order of the run, streams taking turns
  std::vector<double> service_ns;  // of one execution each
  std::optional<Summary> latency;  // absent when interrupted before the first answer, as service
  std::optional<Summary> service;
  std::optional<Summary> joint;  // multi in lockstep: of whole rounds
  Estimate throughput;           // items per second; its interval is of means over blocks of time
  bool interrupted = false;
};

/// Warms up, sees what all workers serve together, and runs the request's scenario within the
/// request's time: as many queries or iterations (of each stream) as --iterations says, else for
/// some seconds and as many as the gates' percentiles need. `pool`: what the subject's engine was
/// prepared with. `threads` are divided among the workers, at least one each. `phase` is told what
/// starts ("warming up", "measuring"), outside of what is timed. Throws Error as make_engine, the
/// engines and run_workers do.
BenchLoad run_load(const BenchRequest& request, const BenchOptions& options,
                   const BenchSubject& subject, const std::vector<std::vector<Tensor>>& pool,
                   int64_t items, int threads, Console& console,
                   const std::function<void(std::string_view)>& phase);

}  // namespace lathe
