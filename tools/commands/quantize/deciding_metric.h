// The metric that --max-drop is about: of --eval-command where there is one, else of --eval.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "commands/quantize/quantize_job.h"
#include "quantize/diagnose/drop_interval.h"
#include "run/metrics.h"

namespace lathe {

struct MetricReading {
  std::optional<double> before;  // absent for errors against the float model
  double after = 0;
  double drop = 0;                       // in the metric's bad direction
  bool points = true;                    // of a metric within 0..1; else the drop is relative
  std::optional<DropInterval> interval;  // of the drop, 95 %
  int64_t samples = 0;
};

struct DecidingMetric {
  std::string name;  // "top1", "eval_command"
  /// What tells this metric on these data from others, for results that are kept.
  std::string key;
  /// Of a quantized network; `candidate` is as it would be written. The float network's part is
  /// computed in the first call.
  std::function<MetricReading(const Graph& candidate)> read;
  /// Computes the float network's part ahead, so that a command that fails on it fails before the
  /// long work; empty where nothing is to be feared.
  std::function<void()> prepare;
};

/// `reference`: the float network. `float_path`: the model that the command is given for "before";
/// empty: `reference`, written. Refers to job. Throws Error (exit 2) when --metric does not fit,
/// or when agreement, by default, would be perfect whatever the candidate says; warns where it says
/// little.
DecidingMetric deciding_metric(const QuantizeJob& job, const Graph& reference,
                               const std::string& float_path);

/// The first output is [N, classes], trailing dimensions of 1 aside, as far as its shape is known:
/// the largest of a row is an answer, and agreement with the float model counts equal answers.
bool has_class_output(const Graph& graph);

/// What follows insertion: operators are fused where --format asks for it, constants and nodes that
/// were left behind are dropped, shapes filled in: the graph as it is written.
void finish_inserted(Graph& graph, const QuantizeOptions& options);

/// "drop 0.5 points (95 %: -0.2 to 1.3)".
std::string drop_text(const MetricReading& reading);

/// Drop of a metric of unknown kind of which more is better: absolute when both values lie within
/// 0..1, else relative.
double command_drop(double before, double after);

}  // namespace lathe
