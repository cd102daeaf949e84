// Fine-tuning as a stage of pruning: what is zero or gone stays so.
#pragma once

#include "commands/prune/prune_run.h"
#include "commands/training/fine_tune.h"
#include "prune/training_masks.h"

namespace lathe {

/// Trains `outcome.graph` on all of --data, with the dense network as teacher, and records the
/// stage. Nothing without --finetune-epochs.
void fine_tune_stage(const PruneContext& context, const FineTuneHooks& hooks,
                     PruneOutcome& outcome);

/// Hooks that let sparsity grow from step to step by --schedule; `set` makes the masks for a
/// sparsity from the present weights. The changes go to `training.sparsity` of the report.
FineTuneHooks gradual_hooks(const PruneContext& context, double final_sparsity,
                            GradualPruning::SetMasks set, nlohmann::json& changes);

}  // namespace lathe
