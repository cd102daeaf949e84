#include "comparison/family.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/error.h"

namespace lathe {
namespace {

// The cases are what was asked for, not a sample of others: only the measurements are drawn again.
std::optional<GeometricMean> geometric_mean(const std::vector<FamilyCase>& cases,
                                            const FamilyOptions& options) {
  GroupedEstimate mean;
  mean.degrees = 0;
  double below = 0;
  double above = 0;
  double variance = 0;
  double spent = 0;  // Welch and Satterthwaite: the noisiest case decides about the degrees
  size_t count = 0;
  for (const FamilyCase& one : cases) {
    if (std::all_of(one.log_ratios.begin(), one.log_ratios.end(),
                    [](const auto& group) { return group.empty(); }))
      continue;
    const GroupedEstimate estimate = estimate_location(
        one.log_ratios, {options.confidence, options.resamples, options.seed + count});
    mean.value += estimate.value;
    below += estimate.error_below * estimate.error_below;
    above += estimate.error_above * estimate.error_above;
    const double wider = std::max(estimate.error_below, estimate.error_above);
    const double square = wider * wider;
    variance += square;
    spent += square * square / estimate.degrees;
    ++count;
  }
  if (count == 0) return std::nullopt;
  const double n = static_cast<double>(count);
  mean.value /= n;
  mean.error_below = std::sqrt(below) / n;
  mean.error_above = std::sqrt(above) / n;
  mean.degrees = spent > 0 ? std::max(1.0, variance * variance / spent) : 1;
  const Interval logs = estimate_interval(mean, options.confidence);
  return GeometricMean{std::exp(mean.value), {std::exp(logs.low), std::exp(logs.high)}, count};
}

FamilyMember judge_member(const FamilyCase& one, double alpha) {
  FamilyMember member = {one.id, one.verdict, one.p_regressed, one.p_improved, {}};
  const bool slower = one.verdict == ComparisonVerdict::kRegressed;
  const double p = slower ? one.p_regressed : one.p_improved;
  if ((slower || one.verdict == ComparisonVerdict::kImproved) && p > alpha) {
    // What is not surely faster is still not slower: its interval lies below the limit.
    member.verdict = slower ? ComparisonVerdict::kInconclusive : ComparisonVerdict::kPass;
    member.note =
        fmt::format("{} alone, but not among all gated cases (adjusted p {:.2g} > {:.2g})",
                    comparison_verdict_name(one.verdict), p, alpha);
  }
  return member;
}

}  // namespace

std::vector<double> holm_adjusted(const std::vector<double>& p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&p](size_t a, size_t b) { return p[a] < p[b]; });
  std::vector<double> adjusted(p.size());
  double reached = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const double left = static_cast<double>(order.size() - i);
    reached = std::max(reached, std::min(1.0, left * p[order[i]]));
    adjusted[order[i]] = reached;
  }
  return adjusted;
}

Family judge_family(const std::vector<FamilyCase>& cases, const FamilyOptions& options) {
  Family family;
  std::vector<double> slower;
  std::vector<double> faster;
  for (const FamilyCase& one : cases) {
    if (!one.gated) continue;
    slower.push_back(one.p_regressed);
    faster.push_back(one.p_improved);
  }
  slower = holm_adjusted(slower);
  faster = holm_adjusted(faster);
  // Each direction has half of the error rate, as the two ends of an interval have.
  const double alpha = (1 - options.confidence) / 2;
  size_t gated = 0;
  for (FamilyCase one : cases) {
    if (!one.gated) {
      family.members.push_back({one.id, one.verdict, one.p_regressed, one.p_improved, {}});
      continue;
    }
    one.p_regressed = slower[gated];
    one.p_improved = faster[gated++];
    family.members.push_back(judge_member(one, alpha));
  }
  family.geometric_mean = geometric_mean(cases, options);
  return family;
}

}  // namespace lathe
