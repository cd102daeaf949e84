#include "flags/flags.h"

namespace lathe {

namespace {

void add_student(CLI::App& command, DistillOptions& options) {
  command
      .add_option("--teacher", options.teacher, "What the student learns from (.onnx, .pt, .tflite)")
      ->type_name("MODEL");
  command
      .add_option("--student", options.student,
                  "The network to train (default with --quantization-aware: the teacher)")
      ->type_name("MODEL");
  command
      .add_option("--student-from-pruned", options.student_from_pruned,
                  "A student that lathe prune made: what is zero stays zero")
      ->type_name("MODEL");
  command
      .add_option("--student-width", options.student_width,
                  "Make the student of this share of the teacher's channels and units: 50%")
      ->type_name("QUANTITY");
  command.add_flag("--student-separable", options.student_separable,
                   "Make the student of the teacher's dense convolutions split in depthwise and "
                   "pointwise ones");
  command
      .add_option("--student-init", options.student_init,
                  "Weights to start from: inherited (the teacher's, repaired; or the file's), or "
                  "fresh (drawn by --seed, with BatchNormalization while training)")
      ->check(CLI::IsMember({"inherited", "fresh"}))
      ->capture_default_str();
  add_node_flags(command, options.include,
                 "Make only these nodes separable or integer (name or op:TYPE)", options.exclude,
                 "Leave these nodes as they are (name or op:TYPE)");
}

void add_loss(CLI::App& command, DistillOptions& options) {
  command
      .add_option("--features", options.features,
                  "Match an inner value of the student with one of the teacher (a wrong name lists "
                  "what there is)")
      ->type_name("TEACHER_VALUE=STUDENT_VALUE")
      ->expected(1)
      ->take_all();
  command
      .add_option("--attention", options.attention,
                  "Match where two inner values are large, whatever their channels")
      ->type_name("TEACHER_VALUE=STUDENT_VALUE")
      ->expected(1)
      ->take_all();
  command
      .add_option("--feature-weight", options.feature_weight, "Weight of each of these in the loss")
      ->check(CLI::Range(1e-9, 1e9))
      ->capture_default_str();
}

void add_integers(CLI::App& command, DistillOptions& options) {
  command.add_flag("--quantization-aware", options.quantization_aware,
                   "Train for integers and write the quantized model");
  command.add_option("--mode", options.mode, "static: activations too; or weight-only")
      ->check(CLI::IsMember({"static", "weight-only"}))
      ->capture_default_str();
  command.add_option("--weight-bits", options.weight_bits, "Bits of an integer weight")
      ->check(CLI::IsMember({int64_t{8}, int64_t{4}}))
      ->capture_default_str();
  command.add_option("--weight-granularity", options.weight_granularity, "One scale for each")
      ->check(CLI::IsMember({"channel", "tensor"}))
      ->capture_default_str();
  command
      .add_option("--step-sizes", options.step_sizes,
                  "Scales are learned, or those of weights follow their largest magnitude")
      ->check(CLI::IsMember({"learned", "follow"}))
      ->capture_default_str();
  command.add_option("--observer", options.observer, "How calibration chooses activation ranges")
      ->check(CLI::IsMember({"auto", "minmax", "percentile", "entropy", "mse"}))
      ->capture_default_str();
}

}  // namespace

void add_distill(CLI::App& app, DistillOptions& options) {
  CLI::App* command =
      app.add_subcommand("distill", "Train a small network to do what a large one does");
  add_student(*command, options);
  command->add_option("--data", options.data, "Training data; labels are used where there are any")
      ->type_name("DATA");
  command
      ->add_option("--eval", options.eval,
                   "Evaluate after every epoch on this data; the best epoch is written")
      ->type_name("DATA");
  add_metric_flag(*command, options.metric,
                  "Metric of --eval (default: top1 with labels; without them agreement with the "
                  "teacher, of outputs that are no scores mse)");
  command
      ->add_option("--max-drop", options.max_drop,
                   "Most that the student may fall below the teacher (else code 4)")
      ->type_name("QUANTITY");
  command->add_option("--latency", options.latency, "Time the teacher and the student")
      ->check(CLI::IsMember({"auto", "off"}))
      ->capture_default_str();
  command
      ->add_option("--patience", options.training.patience,
                   "Stop after so many epochs without a better metric; 0: never")
      ->check(CLI::Range(int64_t{0}, int64_t{100000}))
      ->capture_default_str();
  command
      ->add_option("--samples", options.samples,
                   "Samples of --data at most for calibration (default 256) and repair (2000)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  add_loss(*command, options);
  options.training.epochs = 10;
  add_training_flags(*command, options.training, "--epochs");
  command->add_flag("--keep-sparsity", options.keep_sparsity,
                    "Weights of the student that are zero stay zero");
  add_integers(*command, options);
  add_opset_limit(*command, options.opset);
  add_html_flag(*command, options.common);
  add_model_flags(*command, options.common);
  add_fit_flag(*command, options.common);
  add_common(*command, options.common, true);
}

}  // namespace lathe
