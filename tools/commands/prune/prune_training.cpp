#include "commands/prune/prune_training.h"

#include <nlohmann/json.hpp>

#include <memory>

namespace lathe {

void fine_tune_stage(const PruneContext& context, const FineTuneHooks& hooks,
                     PruneOutcome& outcome) {
  const TrainingOptions& options = context.options.training;
  if (options.epochs == 0) return;
  const Graph student = outcome.graph;
  FineTuneTask task{student, &context.dense(), *context.training_data, options};
  task.hooks = hooks;
  task.seed = context.options.common.seed;
  task.threads = context.threads;
  task.replace_checkpoint = context.options.common.force;
  const PruneOptions& pruning = context.options;
  task.recipe = {{"structure", std::string(structure_name(context.request.structure))},
                 {"sparsity", pruning.sparsity},
                 {"budget", pruning.budget},
                 {"max-drop", pruning.max_drop},
                 {"criterion", pruning.criterion},
                 {"scope", pruning.scope},
                 {"schedule", pruning.schedule},
                 {"threads", std::to_string(context.threads)},
                 {"round-to", pruning.round_to},
                 {"include", nlohmann::json(pruning.include).dump()},
                 {"exclude", nlohmann::json(pruning.exclude).dump()},
                 {"samples", std::to_string(context.request.samples)},
                 {"repair", pruning.repair}};
  FineTuned tuned = fine_tune(task, context.console);
  outcome.graph = std::move(tuned.graph);
  outcome.training = training_json(tuned);
  for (const std::string& note : tuned.notes) outcome.notes.push_back(note);
  record_stage(context, "fine-tuned", tuned.seconds, outcome);
}

FineTuneHooks gradual_hooks(const PruneContext& context, double final_sparsity,
                            GradualPruning::SetMasks set, nlohmann::json& changes) {
  const auto pruning =
      std::make_shared<GradualPruning>(*context.request.schedule, final_sparsity, std::move(set));
  FineTuneHooks hooks;
  hooks.on_start = [pruning, &changes](TrainableGraph& graph, int64_t done, int64_t steps) {
    pruning->start(graph, done, steps);
    changes = nlohmann::json::array();
    for (const SparsityChange& change : pruning->changes())
      changes.push_back({{"step", change.step}, {"sparsity", change.sparsity}});
  };
  hooks.on_step = [pruning](TrainableGraph& graph, int64_t done, int64_t) {
    pruning->step(graph, done);
  };
  return hooks;
}

}  // namespace lathe
