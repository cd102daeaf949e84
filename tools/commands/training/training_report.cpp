// The report's section "training".
#include "commands/training/fine_tune.h"

#include <nlohmann/json.hpp>

#include "ir/error.h"

namespace lathe {

nlohmann::json training_json(const FineTuned& result) {
  nlohmann::json epochs = nlohmann::json::array();
  for (const EpochRecord& record : result.epochs) {
    nlohmann::json row = {{"loss", record.loss}, {"learning_rate", record.learning_rate}};
    row["metric"] = record.metric ? nlohmann::json(*record.metric) : nlohmann::json();
    epochs.push_back(std::move(row));
  }
  nlohmann::json outputs = nlohmann::json::array();
  nlohmann::json features = nlohmann::json::array();
  for (const TaughtOutput& output : result.taught) {
    if (output.feature) {
      features.push_back(
          {{"teacher", escape_untrusted(output.feature->teacher)},
           {"student", escape_untrusted(output.feature->student)},
           {"kind", output.feature->kind == FeatureKind::kAttention ? "attention" : "features"},
           {"weight", output.feature->weight},
           {"projected", output.projected}});
      continue;
    }
    outputs.push_back({{"output", output.name},
                       {"loss", output.loss},
                       {"classes", output.classes},
                       {"teacher_share", output.teacher_share},
                       {"label_share", output.label_share}});
  }
  nlohmann::json section = {{"epochs", std::move(epochs)},
                            {"outputs", std::move(outputs)},
                            {"features", std::move(features)},
                            {"loss", result.loss},
                            {"teacher", result.teacher},
                            {"teacher_cached", result.teacher_cached},
                            {"labels", result.labels},
                            {"seconds", result.seconds},
                            {"samples_per_s", result.samples_per_s},
                            {"steps", result.steps},
                            {"steps_before_resume", result.steps_before},
                            {"batch", result.batch},
                            {"parts_of_a_batch", result.accumulation},
                            {"batch_norm", result.batch_norm},
                            {"stopped_early", result.stopped_early},
                            {"bfloat16", result.bfloat16},
                            {"checkpointed_activations", result.checkpointed_activations},
                            {"processes", result.processes},
                            {"notes", result.notes}};
  section["best_epoch"] = result.best_epoch ? nlohmann::json(*result.best_epoch) : nlohmann::json();
  return section;
}

}  // namespace lathe
