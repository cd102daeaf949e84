// How sure a measured drop of a metric is, from the same samples before and after.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace lathe {

/// One sample's share of a metric: numerators of both models, and what both are divided by.
struct PairedScore {
  double before = 0;
  double after = 0;
  double weight = 0;  // items
};

enum class DropKind : uint8_t {
  kPoints,    // drop = before - after, the metric is a share
  kRelative,  // drop = (after - before) / before; errors, of which more is worse
};

struct DropInterval {
  double low = 0;
  double high = 0;
  std::string_view method;  // "paired proportions" or "paired bootstrap"
};

/// 95 % confidence interval of the drop. Samples of one item that is right or wrong: Agresti and
/// Min, "Simple improved confidence intervals for comparing matched proportions", 2005 (their "+2"
/// interval; it has width also when no sample changed). Others: percentiles of 2000 seeded
/// resamplings of the samples (Efron's paired bootstrap). nullopt for fewer than two samples.
std::optional<DropInterval> drop_interval(const std::vector<PairedScore>& scores, DropKind kind,
                                          uint64_t seed);

}  // namespace lathe
