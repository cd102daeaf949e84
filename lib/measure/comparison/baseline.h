// This run against a stored report (--baseline report.json). Hours, a reboot and the neighbours lie
// between the two, none of which the numbers show; so only values of whole processes are compared,
// many of them, and less is claimed than by an interleaved comparison. In reports:
// comparison.mode = "cross_run".
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comparison/comparison.h"
#include "statistics/statistics.h"

namespace lathe {

/// A side with fewer processes is not judged.
constexpr size_t kFewestCrossRunProcesses = 10;
constexpr double kCrossRunTolerance = 0.10;

struct CrossRunOptions {
  double tolerance = kCrossRunTolerance;
  double confidence = 0.95;
  size_t resamples = 10'000;
  uint64_t seed = 0;
  /// Compare all the same, with a warning, when the host or what was measured differs.
  bool allow_mismatch = false;
};

struct CrossRunCase {
  std::string id;
  /// Median of this run's process medians / of the baseline's; bootstrap over the processes.
  std::optional<double> ratio;
  std::optional<Interval> interval;
  std::optional<double> p_value;  // Mann and Whitney, two-sided
  /// regressed and improved also need p_value <= 1 - confidence.
  ComparisonVerdict verdict = ComparisonVerdict::kInconclusive;
  double effective_tolerance = 0;
  std::string reason;  // why there is no ratio; else empty
  /// Why a difference that was seen is not believed: tasks waited for a CPU in one of both runs.
  std::string note;
  size_t baseline_processes = 0;
  size_t processes = 0;
};

struct CrossRun {
  std::string baseline_id;            // run.id
  std::string baseline_model_sha256;  // "" when the report names none
  std::vector<CrossRunCase> cases;    // those in both, in this run's order
  std::vector<std::string> missing;   // in the baseline only: a failure, the gate has lost a case
  std::vector<std::string> extra;     // in this run only
  std::vector<std::string> warnings;  // what allow_mismatch let pass
};

/// What decides whether two bench reports measured the same thing: the recipe less what only
/// judges or prints (gates, tolerance, baseline, report, …), inputs (name, shape, dtype, source,
/// count, seed), build type and sanitizers, and of each case engine, batch, threads, scenario. The
/// model's file is not in it: that is what a baseline is compared with.
nlohmann::json measured_facts(const nlohmann::json& report);

/// Reads a stored report of bench. Throws Error (exit 2) for another one, and (exit 6), before any
/// time is spent, when `allow_mismatch` is false and it is of another host, recipe or build than
/// `current`, the report as it is before anything is measured.
nlohmann::json load_baseline(const std::string& path, const nlohmann::json& current,
                             bool allow_mismatch);

/// Compares a report of this run with a stored one (both `lathe.report` 1.x of bench; load_report
/// reads them; `current` may be to_json(report) before its comparison section is there). A case is
/// taken from cases[]: `id` and samples.process_medians_ns, the median latency of each process.
/// Cases that only belong to an --against model ("against/…") are left out of both. Throws Error
/// (exit 2, `path` named) for a report that is not of bench or whose fields have wrong types, and
/// (exit 6, naming the keys that differ) when host.fingerprint or config_hash(measured_facts)
/// differ and allow_mismatch is false. Cases on emulated boards are compared by their instructions,
/// which are exact: a baseline of such cases alone may be of any host and build.
CrossRun compare_with_baseline(const nlohmann::json& current, const nlohmann::json& baseline,
                               const std::string& path, const CrossRunOptions& options = {});

/// The `comparison` section of a report.
nlohmann::json cross_run_json(const CrossRun& run, const CrossRunOptions& options);

}  // namespace lathe
