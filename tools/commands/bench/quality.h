// Accuracy beside speed: which metrics a benchmark takes, and their values.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "calibration/data_set.h"
#include "gates/gate.h"
#include "run/compare.h"

namespace lathe {

/// The metrics to take, the one that gates speak of first: --metric, else sqnr when a gate is in
/// decibels, else top1 with labels and agreement (then sqnr) with --against; none with neither.
/// Throws Error (exit 2) when --metric needs labels or another model, or a gate on accuracy
/// cannot be judged by what is measured; targets of a profile never throw. To be called before
/// anything is measured.
std::vector<Metric> bench_metrics(const std::string& name, std::span<const Gate> gates,
                                  bool has_labels, bool has_against);

/// One model as accuracy sees it: what its engine computes.
struct QualityModel {
  const Graph* graph = nullptr;
  /// Called from several threads at once when `parallel`.
  std::function<std::vector<RuntimeValue>(const std::vector<RuntimeValue>&)> run;
  bool parallel = false;
};

/// The metrics of the candidate, and of the --against model as `before`, over all of `data`, which
/// is laid out for the against model, or the candidate when that is null.
std::vector<MetricPair> bench_quality(const QualityModel& candidate, const QualityModel* against,
                                      const DataSet& data, const std::vector<Metric>& metrics,
                                      const SampleRunOptions& run);

/// How much worse than the --against model; absent for metrics that are a distance from it, apart
/// from agreement, whose best is 1.
std::optional<double> quality_drop(const MetricPair& pair);

}  // namespace lathe
