// --max-drop: the fewest layers of a static int8 model given back to float until its metric holds.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "heavy/quantize/deciding_metric.h"
#include "heavy/quantize/quantize_job.h"
#include "ir/error.h"
#include "quantize/layer_sensitivity.h"

namespace lathe {

struct HeldTarget {
  std::string metric;
  MetricReading reading;  // of the model as it is now
  std::optional<double> allowed;  // --max-drop
  bool held = false;
  std::string text;  // lines for the screen: what was given back, or why the target is out of reach
  /// A signal, or a failure of the metric, ended the search; the model is the best so far, to be
  /// written before this is thrown on.
  std::optional<Error> stopped_by;
};

/// Judges job.model.graph. When it misses --max-drop and has quantized.parts: measures every
/// layer's part in the error, searches (passes/quantize/mixed_precision.h) and leaves the best in
/// job.model.graph, with plan, coverage, exceptions and details "sensitivity" and
/// "mixed_precision" in `quantized`. With --statistics FILE evaluations are kept in
/// FILE.search.json, from which the next run goes on. Without --max-drop: only the reading.
HeldTarget hold_max_drop(const QuantizeJob& job, const DecidingMetric& metric,
                         QuantizedModel& quantized);

/// {samples, probes, seconds, nodes: [{node, node_type, part, weight_sqnr_db, values_sqnr_db,
/// sqnr_db, estimate}], values: [{value, sqnr_db, estimate}]}: `part` is the share in all noise,
/// sqnr_db the one that the network would have if this alone were rounded.
nlohmann::json sensitivity_section(const Graph& graph, const LayerSensitivity& sensitivity,
                                   double seconds);

}  // namespace lathe
