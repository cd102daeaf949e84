// What one `lathe bench` found so far; the report and the text are made of it, also when the run
// was cut short.
#pragma once

#include <optional>
#include <vector>

#include "bench/gate.h"
#include "bench/session.h"
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
  std::optional<double> steal;  // share of the time that the hypervisor gave to others
  bool interrupted = false;
};

}  // namespace lathe
