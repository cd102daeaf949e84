// Gates of a benchmark: what they may see of it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bench/gate_cases.h"
#include "heavy/bench_run.h"

namespace lathe {

struct BenchGates {
  std::vector<Gate> gates;
  /// Targets of the profile that cannot be judged in this run, with the reason.
  std::vector<std::pair<Gate, std::string>> skipped;
};

/// The gates of --gate, --gates and --gate-profile. Throws Error (exit 2) for mistakes in them and
/// for those that need a model that was not given.
BenchGates read_gates(const BenchOptions& options);

/// A profile's targets as gates: latency_ms "p95 <=", throughput_per_s "throughput >=", size_bytes
/// "size <=", ram_bytes "arena <=", accuracy_drop "accuracy_drop <=".
std::vector<Gate> profile_gates(const Profile& profile);

/// What the run offers to gates, as its only case.
GateCase gate_case(const BenchRun& run);

/// Accuracy and accuracy drop as gates see them.
void put_quality(const MetricPair& pair, Observations& seen);

}  // namespace lathe
