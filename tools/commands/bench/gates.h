// Gates of a benchmark: where they come from, and the one that --tolerance is.
#pragma once

#include <string>
#include <vector>

#include "comparison/comparison.h"
#include "gates/gate_cases.h"
#include "options.h"
#include "profiles/profile.h"

namespace lathe {

/// Whether there is something to compare with: --against or --baseline.
bool has_other_side(const BenchOptions& options);

/// The profile of --gate-profile, else of --profile: whose device is meant.
std::string device_name(const BenchOptions& options);

/// The gates of --gate, --gates and --gate-profile. Throws Error (exit 2) for mistakes in them and
/// for those that need a model that was not given.
std::vector<Gate> read_gates(const BenchOptions& options);

/// A profile's targets as gates: latency_ms "p95 <=", throughput_per_s "throughput >=", size_bytes
/// "size <=", ram_bytes "ram <=" (with an operating system "peak_memory <="), cpu_percent "cpu <=",
/// accuracy, accuracy_drop. Those that depend on the
/// machine are judged here where this host is the profile's device, else by simulation where
/// `allow_simulated`, else by nothing.
std::vector<Gate> profile_gates(const Profile& profile, const BenchOptions& options);

/// What --tolerance asks of one compared case, as a gate on its speed-up: missed when the case
/// regressed, undecided when the comparison is.
struct ComparedSpeed {
  std::optional<double> ratio;  // time here / time there
  std::optional<Interval> interval;
  ComparisonVerdict verdict = ComparisonVerdict::kInconclusive;
  double effective_tolerance = 0;
  std::string note;
};
GateResult tolerance_gate(const std::string& case_id, double tolerance, const ComparedSpeed& speed);

}  // namespace lathe
