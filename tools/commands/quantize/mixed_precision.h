// --max-drop: the fewest layers of a quantized model given back to float until its metric holds.
#pragma once

#include <optional>
#include <string>

#include "commands/quantize/deciding_metric.h"
#include "commands/quantize/quantize_job.h"
#include "ir/error.h"

namespace lathe {

struct HeldTarget {
  std::string metric;
  MetricReading reading;          // of the model as it is now
  std::optional<double> allowed;  // --max-drop
  bool held = false;
  std::string text;  // lines for the screen: what was given back, or why the target is out of reach
  /// A signal, or a failure of the metric, ended the search; the model is the best so far, to be
  /// written before this is thrown on.
  std::optional<Error> stopped_by;
};

/// Judges job.model.graph. When it misses --max-drop: measures every layer's part in the error,
/// searches (target_search.h) and leaves the best in job.model.graph, with plan, coverage,
/// exceptions and details "sensitivity" and "mixed_precision" in `quantized`. In static mode, with
/// --statistics FILE, evaluations are kept in FILE.search.json, from which the next run goes on.
/// Without --max-drop, or where nothing was quantized: only the reading.
HeldTarget hold_max_drop(const QuantizeJob& job, const DecidingMetric& metric,
                         QuantizedModel& quantized);

}  // namespace lathe
