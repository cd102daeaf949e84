// The search of --max-drop: which layers are left in float, judged by the metric.
#pragma once

#include <optional>
#include <vector>

#include "commands/quantize/deciding_metric.h"
#include "commands/quantize/layer_search.h"
#include "commands/quantize/quantize_job.h"
#include "ir/error.h"
#include "quantize/sensitivity/layer_sensitivity.h"
#include "quantize/sensitivity/mixed_precision.h"

namespace lathe {

/// A drop of 1 - 0.985 is one of 1.5 points, in spite of its last digits.
bool holds_target(double drop, double allowed);

struct TargetSearch {
  MixedPrecision search;        // found() is the best
  MetricReading reading;        // of the best
  std::vector<NodeId> ranking;  // candidates, the worst first
  std::optional<LayerSensitivity> sensitivity;
  double sensitivity_s = 0;
  size_t reused = 0;  // evaluations taken from layers.kept_in
  /// A signal or a failure of the metric ended the search.
  std::optional<Error> stopped_by;

  /// Nodes that the best leaves in float, in the order of the ranking.
  std::vector<NodeId> left_in_float() const;
};

/// `full`: the reading with all layers quantized. Other errors than those of stopped_by are thrown.
/// After a signal lathe has a minute to write the best.
TargetSearch search_target(const QuantizeJob& job, const DecidingMetric& metric,
                           const LayerSearch& layers, double allowed, const MetricReading& full);

}  // namespace lathe
