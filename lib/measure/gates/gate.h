// Gates: what must hold for a benchmark to pass, written `[CASE:] METRIC (<|<=|>|>=) QUANTITY`.
//
//   p99 < 10ms        size <= 50%        accuracy_drop < 1%        */batch8/*: speedup >= 1.5x
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/error.h"
#include "statistics/statistics.h"

namespace lathe {

enum class GateUnit {
  kNanoseconds,  // min mean median std p50 p90 p95 p99 p99.9 max load first_inference
  kPerSecond,    // throughput, in items
  kTimes,        // speedup: baseline time / candidate time
  kBytes,        // size weights arena flash ram peak_memory
  kCount,        // instructions
  kFraction,     // accuracy accuracy_drop coverage cpu; accuracy may also be in dB
  kJoules,       // energy, of one inference
  kCelsius,      // temperature
};

enum class GateComparison { kLess, kLessEqual, kGreater, kGreaterEqual };

/// What a gate is judged by. A target of a device is not judged by the time of another machine.
enum class GateBasis {
  kMeasured,   // here
  kSimulated,  // the stated rates of the device that the target is of
  kNothing,    // Gate::undecided says why, and what would decide it
};

struct Gate {
  std::string text;  // as written; its identity in reports
  /// Glob on the ids of the cases that it speaks of; empty: every case.
  std::string cases;
  std::string metric;  // one of gate_metrics()
  GateUnit unit = GateUnit::kNanoseconds;
  GateComparison comparison = GateComparison::kLess;
  /// In `unit`; when `relative`, a part of the --against model's value (0.5 for 50 %).
  double limit = 0;
  bool relative = false;
  /// Holds for networks of more and at most so many multiply-accumulates; absent: for all.
  std::optional<std::pair<int64_t, int64_t>> macs;
  GateBasis basis = GateBasis::kMeasured;
  std::string undecided;
  std::string source;  // who asks for it: "cortex-m4: …"; empty: the user
};

/// "<", "<=", ">", ">=".
std::string_view gate_comparison_text(GateComparison comparison);

/// Every metric that a gate may name, in the order of the manual.
std::vector<std::string_view> gate_metrics();

/// A percentage of a latency or a size is relative; elsewhere it is a fraction (1% = 0.01). Times
/// and sizes need a unit. Throws Error (exit 2, id "gate.syntax") whose message shows the text with
/// a caret under the place.
Gate parse_gate(std::string_view text);

/// One metric as it was measured.
struct Observed {
  std::optional<double> value;   // absent: withheld, see `reason`
  std::optional<Interval> ci95;  // absent for what is counted, not sampled
  std::string reason;            // "needs 662 samples, has 100"
};
using Observations = std::map<std::string, Observed, std::less<>>;

/// The observations that gates see of a series of latencies: min mean median p50 p90 p95 p99 p99.9
/// max. The mean's interval is by the effective number of samples.
Observations latency_observations(const Summary& summary);

struct GateInputs {
  Observations candidate;
  std::optional<Observations> against;  // present with --against
  /// Candidate time / against time, measured in alternation. Serves speedup, and the relative
  /// gates on min, mean, median and p50; tails are compared by their own intervals.
  std::optional<Observed> time_ratio;
  std::optional<int64_t> macs;  // of one item
  /// For gates that are judged by simulation.
  Observations simulated;
};

enum class GateVerdict { kPass, kFail, kInconclusive };

/// "pass", "fail", "inconclusive": as in reports.
std::string_view gate_verdict_name(GateVerdict verdict);

struct GateResult {
  Gate gate;
  std::string case_id;  // empty: no case of that name
  GateVerdict verdict = GateVerdict::kInconclusive;
  /// What was compared, in the gate's unit; for a relative latency both are parts of the against
  /// model's time, for a relative size both are bytes.
  double limit = 0;
  std::optional<double> observed;
  std::optional<Interval> ci95;
  std::string reason;  // empty for a plain pass
};

/// Throws Error (exit 2, id "gate.needs_against") when a gate is relative, or names speedup, and
/// there is no --against. To be called before anything is measured.
void require_against(std::span<const Gate> gates, bool has_against);

/// Whether it names a quality in decibels ("accuracy > 30 dB").
bool is_decibel_gate(const Gate& gate);

/// Whether a metric depends on the machine: times, throughput, speedup, processor, energy.
bool is_timed(const Gate& gate);
/// Whether a simulation can stand for that, too: of latencies and throughput.
bool is_simulated(const Gate& gate);

/// Whether one needs time to be measured here. Without such a gate a short measurement will do.
bool gates_need_timing(std::span<const Gate> gates);

/// Samples that the gates' percentiles need (samples_needed), at least `otherwise`.
size_t samples_for_gates(std::span<const Gate> gates, size_t otherwise);

/// Sizes, accuracies, min and max pass or fail by their value (an accuracy in decibels may be
/// infinite). Other times pass when their whole
/// interval satisfies the gate, fail when none of it does, and are inconclusive otherwise, as when
/// the value is withheld for want of samples, or the gate's basis is no measurement. A metric that
/// was not measured fails, and says so.
GateResult evaluate_gate(const Gate& gate, const GateInputs& inputs);

/// kGateMissed when one failed, else kInconclusive when one is inconclusive, else kDone.
ExitCode gates_exit_code(std::span<const GateResult> results);

}  // namespace lathe
