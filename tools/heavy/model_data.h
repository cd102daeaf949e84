// A model with the data it is fed: what run, compare, bench and quantize start from.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "artifact/plan_file.h"
#include "calibration/sample_source.h"
#include "console.h"
#include "ir/model.h"
#include "open_model.h"
#include "options.h"
#include "run/metrics.h"
#include "run/sample_runner.h"

namespace lathe {

/// open_model_file(), its assumptions checked by running the model where that can be done: a first
/// call from saved state against the graph of all calls. Notes are printed as warnings.
Model open_model(const std::string& path, const CommonOptions& common, Console& console);

/// What bench, compare, run and inspect take: a model, or a plan that lathe compiled.
struct RunnableModel {
  Model model;                           // of a plan: plan_graph()
  std::shared_ptr<const PlanFile> plan;  // null: a model
};
/// As open_model(), and open_plan_file() of .lathe files.
RunnableModel open_runnable(const std::string& path, const CommonOptions& common, Console& console);

/// The data set for a model's inputs, at most `samples` of it (0: all); its warnings are printed.
/// State that the model carries (ir/carry.h) is fed back unless the data give it.
DataSet open_data_for(const std::string& data, const Model& model, int64_t samples,
                      const CommonOptions& common, Console& console,
                      FreeBatch free_batch = FreeBatch::kRows);

/// Threads, progress line ("label  34/256 samples, 12 s left") and stop on SIGINT.
SampleRunOptions sample_run(int threads, Console& console, const std::string& label, size_t count);

/// `name`, or top1 with labels and agreement without when it is empty. Throws Error (exit 2) when
/// the metric needs labels and there are none.
Metric choose_metric(const std::string& name, bool has_labels);

/// "0.730", "12.3 dB", "1.2e-04"; "-" when absent.
std::string metric_text(Metric metric, const std::optional<double>& value);

}  // namespace lathe
