#include "commands/training/training_recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <system_error>

#include "ir/error.h"
#include "os/quantity.h"
#include "os/sha256.h"
#include "train/augmentations.h"
#include "train/checkpoint.h"

namespace lathe {
namespace {

constexpr size_t kHashedSamples = 16;

void put(Sha256& hash, std::string_view text) {
  hash.update(fmt::format("{}:", text.size()));
  hash.update(text);
}

void put(Sha256& hash, const Tensor& tensor) {
  put(hash, fmt::format("{} {}", static_cast<int>(tensor.dtype()), shape_text(tensor.shape())));
  hash.update(tensor.bytes());
}

std::string graph_hash(const Graph& graph) {
  Sha256 hash;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    put(hash, node.type_name());
    put(hash, node.name);
    for (const ValueId input : node.inputs) {
      if (!input.valid()) continue;
      put(hash, graph.value(input).name);
      if (const Tensor* constant = graph.constant(input)) put(hash, *constant);
    }
  }
  return hash.hex().substr(0, kHashDigits);
}

std::string data_hash(const DataSet& data) {
  Sha256 hash;
  put(hash, std::to_string(data.size()));
  const size_t taken = std::min(data.size(), kHashedSamples);
  for (size_t i = 0; i < taken; ++i) {
    const size_t index = i * data.size() / taken;
    for (const Tensor& tensor : data.sample(index)) put(hash, tensor);
    if (data.has_labels()) put(hash, data.label(index));
  }
  return hash.hex().substr(0, kHashDigits);
}

}  // namespace

TrainOptions train_options(const TrainingOptions& options, size_t samples, uint64_t seed) {
  TrainOptions train;
  train.epochs = options.epochs;
  train.batch = std::min<int64_t>(options.batch, static_cast<int64_t>(samples));
  train.seed = seed;
  const auto kind = optimizer_from_name(options.optimizer);
  const auto schedule = schedule_from_name(options.lr_schedule);
  if (!kind)
    throw bad_usage("usage.optimizer", "no such optimizer: " + escape_untrusted(options.optimizer),
                    "--optimizer", "one of adam, sgd, adamw");
  if (!schedule)
    throw bad_usage("usage.lr_schedule",
                    "no such schedule: " + escape_untrusted(options.lr_schedule), "--lr-schedule",
                    "one of constant, cosine, step");
  if (!(options.ema >= 0 && options.ema < 1))
    throw bad_usage("usage.ema", fmt::format("weights averaged with a decay of {}", options.ema),
                    "--ema", "0.99 to 0.9999 are usual");
  train.optimizer.kind = *kind;
  train.optimizer.weight_decay = options.weight_decay;
  train.optimizer.nesterov = *kind == OptimizerOptions::Kind::kSgd;
  train.learning_rate.base = options.lr;
  train.learning_rate.schedule = *schedule;
  const int64_t steps =
      steps_per_epoch(samples, train.batch) * std::max<int64_t>(options.epochs, 1);
  if (!options.warmup.empty())
    train.learning_rate.warmup_steps =
        std::llround(parse_fraction(options.warmup, "--warmup") * static_cast<double>(steps));
  // A tenth at each third of the training.
  train.learning_rate.step_size = std::max<int64_t>(1, (steps + 2) / 3);
  train.clip_norm = options.clip_norm;
  train.patience = options.patience;
  if (options.accumulate > 0 && train.batch % options.accumulate != 0)
    throw bad_usage(
        "usage.accumulate",
        fmt::format("a batch of {} cannot be run in {} parts", train.batch, options.accumulate),
        "--accumulate", "the parts must divide the batch");
  return train;
}

std::map<std::string, std::string> training_recipe(const FineTuneTask& task) {
  const TrainingOptions& options = task.options;
  std::map<std::string, std::string> recipe = task.recipe;
  recipe["student's network"] = graph_hash(task.student);
  recipe["teacher's network"] = task.teacher != nullptr ? graph_hash(*task.teacher) : "none";
  recipe["training data"] = data_hash(task.data);
  recipe["temperature"] = fmt::format("{}", options.temperature);
  recipe["alpha"] = options.alpha ? fmt::format("{}", *options.alpha) : "default";
  recipe["augment"] = options.augment;
  recipe["label-smoothing"] = fmt::format("{}", options.label_smoothing);
  recipe["bfloat16"] = options.bfloat16 ? "yes" : "no";
  recipe["channels-last"] = options.channels_last ? "yes" : "no";
  recipe["checkpoint-activations"] = options.checkpoint_activations ? "yes" : "no";
  recipe["ema"] = fmt::format("{}", options.ema);
  recipe["freeze-bn"] = options.freeze_bn ? "yes" : "no";
  recipe["evaluation after every epoch"] = task.validate ? "yes" : "no";
  recipe["classes"] = options.classes ? "yes" : "no";
  return recipe;
}

std::string checkpoint_file(const TrainingOptions& options, bool replace) {
  if (options.checkpoint.empty()) {
    if (options.resume)
      throw bad_usage("usage.resume", "--resume needs --checkpoint DIR", "--resume",
                      "name the folder that the first run was given");
    return {};
  }
  std::error_code failure;
  std::filesystem::create_directories(options.checkpoint, failure);
  if (failure || !std::filesystem::is_directory(options.checkpoint, failure))
    throw bad_output("output.checkpoint", "the folder cannot be made",
                     escape_untrusted(options.checkpoint), "give --checkpoint another one");
  const std::string file = options.checkpoint + "/training.checkpoint";
  if (checkpoint_exists(file) && !options.resume && !replace)
    throw bad_usage("usage.checkpoint", "the folder holds the checkpoint of an earlier run",
                    escape_untrusted(options.checkpoint),
                    "--resume goes on with it, --force replaces it");
  return file;
}

void check_training(const TrainingOptions& options, bool replace) {
  const TrainOptions train = train_options(options, static_cast<size_t>(options.batch), 0);
  check_optimizer(train.optimizer);
  check_learning_rate(train.learning_rate);
  check_augmentations(options.augment);
  if (!(options.temperature > 0 && std::isfinite(options.temperature)))
    throw bad_usage("usage.temperature", fmt::format("a temperature of {}", options.temperature),
                    "--temperature", "it must be above 0; 2 to 8 are usual");
  if (options.alpha && !(*options.alpha >= 0 && *options.alpha <= 1))
    throw bad_usage("usage.alpha", fmt::format("alpha {}", *options.alpha), "--alpha",
                    "the teacher's share is within 0..1");
  checkpoint_file(options, replace);
}

}  // namespace lathe
