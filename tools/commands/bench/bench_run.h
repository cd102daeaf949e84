// What one `lathe bench` found so far; the report and the text are made of it, also when the run
// was cut short.
#pragma once

#include <optional>
#include <vector>

#include "commands/bench/frames.h"
#include "commands/bench/load.h"
#include "commands/bench/request.h"
#include "commands/bench/subject.h"
#include "comparison/self_check.h"
#include "gates/gate.h"
#include "measure/session.h"
#include "os/sensors.h"
#include "run/compare.h"
#include "statistics/stability.h"
#include "tracing/allocation_use.h"
#include "tracing/op_profile.h"
#include "tracing/op_profile_bottleneck.h"
#include "tracing/trace_runs.h"

namespace lathe {

struct BenchInputs {
  std::string source;  // "random" or the data's file name
  bool random = false;
  size_t pool = 0;    // distinct samples that the timed runs cycle through
  int64_t items = 1;  // of one execution
};

/// What is known of one model beside its times.
struct CaseDetails {
  std::optional<SensorUse> sensors;  // from its warm-up to its last timed run
  size_t inferences = 0;             // meanwhile
  std::optional<AllocationUse> allocations;
  std::optional<OpProfile> profile;  // --profile-ops
};

/// What an emulated board computes, beside the interpreter.
struct EmulatedOutputs {
  int64_t samples = 0;
  int64_t same = 0;           // to the bit
  double steps = 0;           // of integer outputs, at most
  double relative_error = 0;  // of float outputs, to the largest of their tensor, at most
};

/// --trace, of the candidate.
struct BenchTrace {
  std::string file;
  TraceRuns runs;
  size_t events = 0;
  size_t dropped = 0;
  std::optional<int64_t> min_resident;  // bytes, between the runs
  std::optional<int64_t> max_resident;
};

struct BenchRun {
  std::vector<HeapPadding> paddings;  // held until the models are gone
  BenchSubject candidate;
  std::optional<BenchSubject> against;
  BenchInputs inputs;
  std::vector<MetricPair> metrics;  // the first one is the accuracy that gates speak of
  Session session;
  /// Another scenario than single: then the session is empty.
  std::optional<BenchLoad> load;
  std::vector<std::vector<Tensor>> pool;      // kept for the load's workers and emulated boards
  std::optional<BenchFrames> frames;          // --frames
  std::optional<SelfCheckRatios> self_check;  // instead of the session
  int threads = 1;
  int threads_asked = 0;  // 0: the usable CPUs
  Disturbance disturbance;
  std::vector<StabilityFinding> findings;  // of the candidate's samples
  CaseDetails details;                     // of the candidate
  CaseDetails against_details;
  std::optional<EmulatedOutputs> emulated_outputs;  // of the candidate
  std::optional<EstimatedLatency> simulated;  // of the candidate, for gates of another device
  MachinePeaks peaks;                         // measured for --profile-ops
  std::vector<PhaseTime> phases;              // of the timed part
  std::optional<BenchTrace> trace;
  bool interrupted = false;
};

/// Loads the candidate and, with --against, both so that each one's memory peak is its own and
/// neither pays for what the process sets up at its first inference; order and place in memory are
/// the request's plan's. Fills the run's candidate,
/// against, inputs and metrics, and the report's inputs. Throws Error as load_subject, run_first
/// and bench_quality do, and 130 or 143 when interrupted.
void load_case(const BenchRequest& request, const BenchOptions& options, const Profile& profile,
               Console& console, Report& report, BenchRun& run);

/// Fills the run's session, disturbance and findings; `interrupted` when a signal came. The case is
/// loaded.
void measure_case(const BenchRequest& request, const BenchOptions& options, Console& console,
                  BenchRun& run);

}  // namespace lathe
