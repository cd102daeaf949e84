// What the stages of one `lathe prune` share, and what each leaves behind.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "calibration/data_set.h"
#include "commands/prune/prune_request.h"
#include "commands/prune/stage_metrics.h"
#include "console.h"
#include "ir/model.h"
#include "options.h"
#include "profiles/profile.h"
#include "prune/repair.h"

namespace lathe {

/// What all stages read. References outlive the run.
struct PruneContext {
  const PruneOptions& options;
  const PruneRequest& request;
  const Profile& profile;
  const Model& model;            // simplified, dense
  const DataSet* data;           // --data, at most request.samples of it; nullptr without
  const DataSet* training_data;  // all of --data
  StageMetrics* metrics;         // nullptr without --eval
  int threads;
  Console& console;

  const Graph& dense() const { return model.graph; }
};

struct PruneOutcome {
  Graph graph;                                  // pruned
  nlohmann::json plan;                          // section of the report
  std::string summary;                          // "12 of 14 groups, 96 of 192 channels removed"
  std::string plan_lines;                       // every group in words
  std::vector<std::vector<std::string>> table;  // groups that lose most
  std::string exceptions;                       // lines on what was left alone
  std::vector<StageFigure> stages;
  std::vector<RepairRow> repair;
  nlohmann::json sensitivity;  // null without --sensitivity
  nlohmann::json training;     // null without fine-tuning
  std::vector<std::string> notes;
  int64_t removed = 0;                          // channels or weights
  std::map<std::string, std::string> metadata;  // for the model
};

/// Whether --data repair what is pruned.
bool repairs(const PruneContext& context);

/// Evaluates `outcome.graph` and appends the row, when there is something to evaluate on.
void record_stage(const PruneContext& context, const std::string& stage, double seconds,
                  PruneOutcome& outcome);

/// Repairs `outcome.graph` unless --repair off or there are no data.
void repair_stage(const PruneContext& context, const KeptOutputs& kept, PruneOutcome& outcome);

/// Repairs a candidate quietly, for searches; nothing without data.
void repair_candidate(const PruneContext& context, const KeptOutputs& kept, Graph& graph);

nlohmann::json repair_json(const std::vector<RepairRow>& rows);

}  // namespace lathe
