#include "flags/flags.h"
#include "names/engines.h"

namespace lathe {

void add_run(CLI::App& app, RunOptionsCli& options) {
  CLI::App* command = app.add_subcommand("run", "Run a model on data and save its outputs as .npz");
  command->add_option("model", options.model, "Model (.onnx, .pt, .tflite, .lathe)")
      ->required()
      ->type_name("MODEL");
  command->add_option("--data", options.data, "Input data, or 'random'")
      ->required()
      ->type_name("DATA");
  command->add_option("--samples", options.samples, "Samples at most; 0 = all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--values", options.values, "Save these inner values too")
      ->type_name("GLOB")
      ->expected(1)
      ->take_all();
  command
      ->add_option("--engine", options.engine,
                   "What computes it; auto: the interpreter, native for a compiled plan")
      ->check(CLI::IsMember(
          std::vector<std::string>(std::begin(kEngineChoices), std::end(kEngineChoices))))
      ->capture_default_str();
  add_remote_flags(*command, options.common, "Compute it on another machine over ssh");
  add_model_flags(*command, options.common);
  add_common(*command, options.common, true);
}

void add_compare(CLI::App& app, CompareOptionsCli& options) {
  CLI::App* command = app.add_subcommand(
      "compare",
      "Error of one model against another, per output and layer (of .lathe plans per output)");
  command->add_option("reference", options.first, "Reference model (.onnx, .pt, .tflite, .lathe)")
      ->required()
      ->type_name("A");
  command->add_option("candidate", options.second, "Model to judge (.onnx, .pt, .tflite, .lathe)")
      ->required()
      ->type_name("B");
  command->add_option("--data", options.data, "Input data, or 'random'")
      ->required()
      ->type_name("DATA");
  command->add_option("--samples", options.samples, "Samples at most; 0 = all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--tolerance", options.tolerance,
                   "End with code 4 when max|a-b|/max|a| of an output is larger")
      ->check(CLI::Range(0.0, 1e6));
  command->add_option("--min-sqnr", options.min_sqnr,
                      "End with code 4 when an output's SQNR in dB is smaller");
  add_metric_flag(*command, options.metric, "Metric of both models on the data's labels");
  command
      ->add_option("--arithmetic", options.arithmetic,
                   "Integer arithmetic of the device: exact (vnni), with sums of two products "
                   "saturating at 16 bits (maddubs), or with powers of two for scales and halves "
                   "rounded up (power-of-two)")
      ->check(CLI::IsMember({"vnni", "maddubs", "power-of-two"}));
  add_remote_flags(*command, options.common,
                   "Compute B's plan on another machine over ssh, A here");
  add_model_flags(*command, options.common);
  add_common(*command, options.common, false);
}

}  // namespace lathe
