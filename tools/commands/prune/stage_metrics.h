// How good the network is after each stage of pruning or distillation.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "calibration/data_set.h"
#include "console.h"
#include "ir/graph.h"
#include "report/report.h"
#include "run/interpreter.h"
#include "run/metrics.h"
#include "run/sample_runner.h"

namespace lathe {

struct StageFigure {
  std::string stage;              // "dense", "removed", "repaired", "fine-tuned"
  std::optional<double> value;    // of the metric
  std::optional<double> drop;     // against the first stage, in the metric's bad direction
  std::optional<double> sqnr_db;  // of the first output; absent where nothing differs
  int64_t samples = 0;
  double seconds = 0;  // that the stage took, evaluation left out
};

class StageMetrics {
 public:
  /// Evaluates against `dense` on `data`. `name`: what the first stage is called.
  StageMetrics(const Graph& dense, DataSet data, Metric metric, int threads, Console& console,
               std::string name = "dense");

  Metric metric() const { return metric_; }
  /// What the dense network itself has, known after the first measure(): 1 for agreement, 0 for
  /// errors.
  StageFigure dense() const;
  /// On all samples, with a progress line.
  StageFigure measure(const Graph& graph, const std::string& stage);
  /// On the first `limit` samples (0: on all), without one: for scans.
  StageFigure measure_quietly(const Graph& graph, size_t limit);
  /// The drop alone; a value that is no number drops without end.
  double drop(const Graph& graph, size_t limit);

 private:
  StageFigure compare(const Graph& graph, size_t limit, const SampleRunOptions& run);

  Interpreter dense_;
  DataSet data_;
  Metric metric_;
  int threads_;
  Console& console_;
  std::string name_;
  std::optional<double> before_;  // of the metric on all samples
};

/// Measures `graph` and adds its row, behind that of the dense network.
void add_stage(StageMetrics& metrics, const Graph& graph, const std::string& stage, double seconds,
               std::vector<StageFigure>& stages);

/// details["stages"], and `result`, one of them, as the report's row of quality. `against`: what
/// the first one is.
void report_stages(Metric metric, const std::vector<StageFigure>& stages, const StageFigure& result,
                   const std::string& against, Report& report);
/// "verified" and "verification" of a manifest, from that.
void add_stages(const Report& report, nlohmann::json& manifest);

nlohmann::json stages_json(Metric metric, const std::vector<StageFigure>& stages);
/// Heading and one row a stage.
std::vector<std::vector<std::string>> stages_table(Metric metric,
                                                   const std::vector<StageFigure>& stages);

}  // namespace lathe
