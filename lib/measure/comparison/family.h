// Several cases of one comparison (batches, threads, engines): each verdict corrected for how many
// were asked for, and one geometric mean.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "comparison/comparison.h"
#include "statistics/statistics.h"

namespace lathe {

struct FamilyCase {
  std::string id;
  /// From Comparison (p_regressed, p_improved, verdict), or from CrossRunCase.
  ComparisonVerdict verdict = ComparisonVerdict::kInconclusive;
  double p_regressed = 1;
  double p_improved = 1;
  /// Only gated cases count against each other: what nobody gates cannot raise a false alarm.
  bool gated = true;
  /// Log-ratios a process, in order; for the geometric mean. Empty: left out of it.
  std::vector<std::vector<double>> log_ratios;
};

struct FamilyMember {
  std::string id;
  /// As given; where Holm's correction takes it, regressed becomes inconclusive, improved a pass.
  ComparisonVerdict verdict = ComparisonVerdict::kInconclusive;
  /// Holm-adjusted among the gated cases; as given where not gated.
  double p_regressed = 1;
  double p_improved = 1;
  std::string note;  // why the verdict was changed; else empty
};

struct GeometricMean {
  double ratio = 1;
  Interval interval;
  size_t cases = 0;
};

struct Family {
  std::vector<FamilyMember> members;  // in the given order
  std::optional<GeometricMean> geometric_mean;
};

struct FamilyOptions {
  double confidence = 0.95;
  size_t resamples = 10'000;
  uint64_t seed = 0;
};

Family judge_family(const std::vector<FamilyCase>& cases, const FamilyOptions& options = {});

/// Holm's step-down adjusted p values (Holm 1979), in the given order.
std::vector<double> holm_adjusted(const std::vector<double>& p);

}  // namespace lathe
