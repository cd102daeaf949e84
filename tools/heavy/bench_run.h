// What one `lathe bench` found so far; the report and the text are made of it, also when the run
// was cut short.
#pragma once

#include <optional>
#include <vector>

#include "bench/gate.h"
#include "bench/session.h"
#include "bench/stability.h"
#include "heavy/bench_subject.h"
#include "run/compare.h"

namespace lathe {

struct BenchInputs {
  std::string source;  // "random" or the data's file name
  bool random = false;
  size_t pool = 0;    // distinct samples that the timed runs cycle through
  int64_t items = 1;  // of one execution
};

struct BenchRun {
  BenchSubject candidate;
  std::optional<BenchSubject> against;
  BenchInputs inputs;
  std::vector<MetricPair> metrics;  // the first one is the accuracy that gates speak of
  Session session;
  std::vector<GateResult> gates;
  int threads = 1;
  int threads_asked = 0;  // 0: the usable CPUs
  Disturbance disturbance;
  std::vector<StabilityFinding> findings;  // of the candidate's samples
  bool interrupted = false;
};

}  // namespace lathe
