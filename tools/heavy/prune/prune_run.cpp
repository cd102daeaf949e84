#include "heavy/prune/prune_run.h"

#include <chrono>

#include "heavy/model_data.h"
#include "ir/error.h"
#include "os/signals.h"

namespace lathe {
namespace {

RepairOptions repair_options(const PruneContext& context) {
  RepairOptions options;
  options.threads = context.threads;
  options.seed = context.options.common.seed;
  options.check = throw_if_interrupted;
  return options;
}

const char* method_name(RepairMethod method) {
  switch (method) {
    case RepairMethod::kLeastSquares: return "least-squares";
    case RepairMethod::kBias: return "bias";
    case RepairMethod::kStatistics: return "statistics";
    case RepairMethod::kNone: break;
  }
  return "none";
}

}  // namespace

bool repairs(const PruneContext& context) {
  return context.data != nullptr && context.options.repair != "off";
}

void record_stage(const PruneContext& context, const std::string& stage, double seconds,
                  PruneOutcome& outcome) {
  if (context.metrics == nullptr) return;
  StageFigure figure = context.metrics->measure(outcome.graph, stage);
  figure.seconds = seconds;
  if (outcome.stages.empty()) outcome.stages.push_back(context.metrics->dense());
  outcome.stages.push_back(std::move(figure));
}

void repair_stage(const PruneContext& context, const KeptOutputs& kept, PruneOutcome& outcome) {
  if (!repairs(context)) return;
  const auto start = std::chrono::steady_clock::now();
  if (context.data->size() < 1000 && context.options.data != "random")
    context.console.warn(
        "prune.few_samples",
        "repair sees " + std::to_string(context.data->size()) + " samples; 1000 or more are better",
        "give more --data, or raise --samples");
  RepairOptions options = repair_options(context);
  Console& console = context.console;
  options.progress = [&console, started = false](size_t done, size_t all) mutable {
    if (!started) console.progress().start("repairing", static_cast<int64_t>(all), "layers");
    started = true;
    console.progress().update(static_cast<int64_t>(done));
    if (done == all) console.progress().finish();
  };
  outcome.repair =
      repair(context.dense(), outcome.graph, kept, sample_source(*context.data), options);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  record_stage(context, "repaired", seconds, outcome);
}

void repair_candidate(const PruneContext& context, const KeptOutputs& kept, Graph& graph) {
  if (repairs(context))
    repair(context.dense(), graph, kept, sample_source(*context.data), repair_options(context));
}

nlohmann::json repair_json(const std::vector<RepairRow>& rows) {
  nlohmann::json out = nlohmann::json::array();
  for (const RepairRow& row : rows)
    out.push_back({{"node", escape_untrusted(row.node)},
                   {"node_type", escape_untrusted(row.type)},
                   {"method", method_name(row.method)},
                   {"rows", row.rows},
                   {"error_before", row.error_before},
                   {"error_after", row.error_after},
                   {"note", escape_untrusted(row.note)}});
  return out;
}

}  // namespace lathe
