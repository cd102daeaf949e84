#include "commands/prune/prune_run.h"

#include <nlohmann/json.hpp>

#include "heavy/model_data.h"
#include "heavy/step_progress.h"
#include "ir/error.h"
#include "os/signals.h"
#include "prune/output_noise.h"
#include "stopwatch.h"

namespace lathe {
namespace {

RepairOptions repair_options(const PruneContext& context) {
  RepairOptions options;
  options.threads = context.threads;
  options.seed = context.options.common.seed;
  options.check = throw_if_interrupted;
  return options;
}

// Every layer's fit is judged by its own output; this is the judge of all of them together.
bool is_nearer(const PruneContext& context, const Graph& before, const Graph& after) {
  const bool none_held = context.data->size() < 8 || !context.data->carry().empty();
  return none_held || output_noise(context.dense(), after, *context.data, context.threads) <=
                          output_noise(context.dense(), before, *context.data, context.threads);
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
  // Noise is not what the network will see: a fit to it harms.
  return context.data != nullptr && context.options.repair != "off" &&
         context.options.data != "random";
}

void record_stage(const PruneContext& context, const std::string& stage, double seconds,
                  PruneOutcome& outcome) {
  if (context.metrics != nullptr)
    add_stage(*context.metrics, outcome.graph, stage, seconds, outcome.stages);
}

void repair_stage(const PruneContext& context, const KeptOutputs& kept, PruneOutcome& outcome) {
  if (context.options.data == "random" && context.options.repair != "off")
    outcome.notes.emplace_back("random data repair nothing: give real --data");
  if (!repairs(context)) return;
  const Stopwatch start;
  if (context.data->size() < 1000)
    context.console.warn(
        "prune.few_samples",
        "repair sees " + std::to_string(context.data->size()) + " samples; 1000 or more are better",
        "give more --data, or raise --samples");
  RepairOptions options = repair_options(context);
  options.progress = step_progress(context.console, "repairing", "layers");
  Graph repaired = outcome.graph;
  outcome.repair = repair(context.dense(), repaired, kept, sample_source(*context.data), options);
  if (is_nearer(context, outcome.graph, repaired)) {
    outcome.graph = std::move(repaired);
  } else {
    outcome.repair.clear();
    outcome.notes.emplace_back(
        "repair was left out: on samples that it had not seen, the outputs came no nearer to the "
        "dense network's");
    return;
  }
  record_stage(context, "repaired", start.seconds(), outcome);
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
