// Two models of one network side by side: error per output and per layer, and task metrics of both.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "run/metrics.h"
#include "run/sample_runner.h"

namespace lathe {

/// Sums from which the error figures of one value are computed; `a` is the reference.
struct ErrorSums {
  double signal = 0;   // sum of a²
  double other = 0;    // sum of b²
  double product = 0;  // sum of a·b
  double noise = 0;    // sum of (a - b)²
  double max_abs_error = 0;
  double max_abs = 0;  // of a
  int64_t count = 0;
  int64_t unequal_non_finite = 0;  // NaN or infinity in one and not the same in the other

  void merge(const ErrorSums& next);
  /// 10·log10(signal / noise); infinite without noise.
  double sqnr_db() const;
  double cosine() const;
  /// max|a - b| / max|a|; 0 when both are zero.
  double relative_max_error() const;
};

ErrorSums error_sums(const at::Tensor& a, const at::Tensor& b);

/// Of each of a run's outputs. Throws Error (exit 3) for one that is no tensor of numbers, or of
/// another shape.
std::vector<ErrorSums> output_sums(const std::vector<RuntimeValue>& wanted,
                                   const std::vector<RuntimeValue>& got);

struct ValueError {
  std::string value;  // name in the reference graph
  std::string node;   // its producer there
  std::string node_type;
  ErrorSums sums;
};

/// The graph's outputs, without errors yet.
std::vector<ValueError> output_errors(const Graph& graph);

struct CompareOptions {
  SampleRunOptions run;
  bool layers = true;
  /// With SampleSource::carry: the candidate goes on from its own outputs, as it will where it
  /// runs. False: from the reference's, so that a sample shows only its own errors.
  bool own_carry = false;
  /// Metrics of both models on the first output; labels by sample (empty: no labels).
  std::vector<Metric> metrics;
  std::function<std::vector<int64_t>(size_t sample)> labels;
  /// RunOptions::compute of the two runs: a device's arithmetic in place of the exact one.
  decltype(RunOptions::compute) reference_compute;
  decltype(RunOptions::compute) candidate_compute;
};

struct MetricPair {
  Metric metric = Metric::kTop1;
  std::optional<double> before;  // of the reference; nullopt for metrics that compare with it
  std::optional<double> after;
  int64_t items = 0;
};

struct CompareResult {
  std::vector<ValueError> outputs;  // in graph order
  std::vector<ValueError> layers;   // values of equal name, lowest SQNR first
  std::vector<MetricPair> metrics;
  size_t samples = 0;
};

/// One side of a comparison. `run` is Interpreter::run, or that of something which shows no inner
/// values and has its own arithmetic: then it ignores the hooks, and there are no layers.
struct ComparedModel {
  const Graph& graph;
  std::function<std::vector<RuntimeValue>(std::vector<RuntimeValue> inputs, const RunOptions&)> run;
};
ComparedModel compared(const Interpreter& interpreter);

/// Runs both on every sample. Inputs and outputs are matched by name, else by position. Throws
/// Error (exit 3) when they do not fit. The sums are added in sample order.
CompareResult compare_models(const ComparedModel& reference, const ComparedModel& candidate,
                             const SampleSource& source, const CompareOptions& options);
CompareResult compare_graphs(const Interpreter& reference, const Interpreter& candidate,
                             const SampleSource& source, const CompareOptions& options);

}  // namespace lathe
