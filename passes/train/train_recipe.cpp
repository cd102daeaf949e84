#include "train/train_recipe.h"

#include <fmt/format.h>

#include <cmath>

#include "ir/error.h"

namespace lathe {

std::map<std::string, std::string> full_recipe(const TrainOptions& options, size_t samples) {
  std::map<std::string, std::string> recipe = options.recipe;
  const OptimizerOptions& o = options.optimizer;
  const LearningRate& rate = options.learning_rate;
  const auto put = [&](const char* key, auto value) { recipe[key] = fmt::format("{}", value); };
  put("epochs", options.epochs);
  put("batch", options.batch);
  put("seed", options.seed);
  put("samples", samples);
  put("optimizer", optimizer_name(o.kind));
  put("weight-decay", o.weight_decay);
  if (o.kind == OptimizerOptions::Kind::kSgd) {
    put("momentum", o.momentum);
    put("nesterov", o.nesterov);
  } else {
    put("beta1", o.beta1);
    put("beta2", o.beta2);
    put("epsilon", o.epsilon);
  }
  put("lr", rate.base);
  put("lr-schedule", schedule_name(rate.schedule));
  put("warmup-steps", rate.warmup_steps);
  if (rate.schedule == LearningRate::Schedule::kCosine) put("lr-final-share", rate.final_share);
  if (rate.schedule == LearningRate::Schedule::kStep) {
    put("lr-step-size", rate.step_size);
    put("lr-gamma", rate.gamma);
  }
  put("clip-norm", options.clip_norm);
  put("augmentations", options.augment.size());
  put("patience", options.patience);
  return recipe;
}

void check_train_options(const TrainOptions& options) {
  check_learning_rate(options.learning_rate);
  const auto require = [](bool ok, std::string what, std::string hint) {
    if (!ok) throw bad_usage("train.options", std::move(what), {}, std::move(hint));
  };
  require(options.epochs >= 1, fmt::format("{} epochs", options.epochs), "give 1 or more");
  const int64_t processes = options.processes != nullptr ? options.processes->size() : 1;
  require(options.batch >= 1 && options.accumulation >= 1, "an empty batch or part of it",
          "give 1 or more");
  require(
      processes > 1 || options.batch % options.accumulation == 0,
      fmt::format("a batch of {} cannot be run in {} parts", options.batch, options.accumulation),
      "the parts must divide the batch");
  require(options.batch >= processes,
          fmt::format("a batch of {} for {} processes", options.batch, processes),
          "every process needs a sample of each batch: give a larger batch or fewer processes");
  require(options.clip_norm >= 0 && std::isfinite(options.clip_norm),
          fmt::format("gradients clipped to {}", options.clip_norm), "give 0 or a positive norm");
  require(options.patience >= 0 && options.checkpoint_steps >= 0, "a negative number",
          "give 0 or more");
}

}  // namespace lathe
