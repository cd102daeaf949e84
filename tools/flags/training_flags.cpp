#include "flags/flags.h"

namespace lathe {
namespace {

void add_optimizer(CLI::App& command, TrainingOptions& options) {
  command.add_option("--optimizer", options.optimizer, "How weights follow their gradients")
      ->check(CLI::IsMember({"adam", "sgd", "adamw"}))
      ->capture_default_str();
  command.add_option("--lr", options.lr, "Learning rate")
      ->check(CLI::Range(1e-12, 1e3))
      ->capture_default_str();
  command.add_option("--lr-schedule", options.lr_schedule, "What the learning rate does over time")
      ->check(CLI::IsMember({"constant", "cosine", "step"}))
      ->capture_default_str();
  command
      .add_option("--weight-decay", options.weight_decay,
                  "adamw: decoupled; adam and sgd: added to the gradient")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--warmup", options.warmup,
                  "Raise the learning rate from 0 over this share of the steps: 5%")
      ->type_name("QUANTITY");
  command
      .add_option("--clip-norm", options.clip_norm,
                  "Largest norm of all gradients together; 0: not clipped")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  command
      .add_option("--label-smoothing", options.label_smoothing,
                  "Share of the labels that is spread over all classes")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
}

void add_memory(CLI::App& command, TrainingOptions& options) {
  command
      .add_option("--accumulate", options.accumulate,
                  "Run a batch in this many parts (default: as many as memory asks for)")
      ->check(CLI::Range(int64_t{1}, int64_t{65536}));
  command.add_flag("--checkpoint-activations", options.checkpoint_activations,
                   "Compute activations anew in the backward pass instead of keeping them");
  command.add_flag("--bfloat16", options.bfloat16,
                   "Products in bfloat16 where the processor has it, weights in float32");
  command.add_flag("--channels-last", options.channels_last,
                   "Pictures lie channels-last in memory while training");
}

void add_teacher(CLI::App& command, TrainingOptions& options) {
  command
      .add_option("--temperature", options.temperature,
                  "Softens the teacher's and the student's class scores")
      ->check(CLI::Range(0.01, 1000.0))
      ->capture_default_str();
  command
      .add_option("--alpha", options.alpha,
                  "Share of the teacher in the loss, the rest is the labels' (default 0.7; without "
                  "labels 1)")
      ->check(CLI::Range(0.0, 1.0));
  command.add_flag("--classes", options.classes,
                   "The first output is class scores: for unlabelled data and no Softmax");
}

}  // namespace

void add_training_flags(CLI::App& command, TrainingOptions& options, const char* epochs_flag) {
  // Without epochs prune does not train.
  const int64_t least = options.epochs > 0 ? 1 : 0;
  command.add_option(epochs_flag, options.epochs, "Times that training sees all of --data")
      ->check(CLI::Range(least, int64_t{100000}))
      ->capture_default_str();
  command.add_option("--batch", options.batch, "Samples a step")
      ->check(CLI::Range(int64_t{1}, int64_t{65536}))
      ->capture_default_str();
  add_optimizer(command, options);
  add_teacher(command, options);
  add_memory(command, options);
  command
      .add_option("--augment", options.augment,
                  "Change pictures at random, a list of: flip, crop, jitter")
      ->type_name("LIST");
  command.add_option("--ema", options.ema, "Average the weights over the steps with this decay")
      ->check(CLI::Range(0.0, 0.999999));
  command.add_flag("--freeze-bn", options.freeze_bn,
                   "BatchNormalization keeps its averages while training");
  command
      .add_option("--checkpoint", options.checkpoint,
                  "Keep the state of the training in this folder")
      ->type_name("DIR");
  command.add_flag("--resume", options.resume, "Go on from --checkpoint");
}

}  // namespace lathe
