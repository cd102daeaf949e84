#include "flags.h"

namespace lathe {

CLI::App* add_bench(CLI::App& app, BenchOptions& options) {
  CLI::App* command = app.add_subcommand("bench", "Measure a model; compare and gate it");
  command->add_option("models", options.models, "Model (.onnx, .pt)")
      ->required()
      ->expected(1)
      ->type_name("MODEL");
  command->add_option("--against", options.against, "Compare with this model, in alternation")
      ->type_name("MODEL");
  command->add_option("--engine", options.engine, "What executes the model")
      ->check(CLI::IsMember({"auto", "interpreter", "torchscript"}))
      ->capture_default_str();
  command->add_option("--data", options.data, "Data for inputs and accuracy (default: random)")
      ->type_name("DATA");
  command
      ->add_option("--metric", options.metric,
                   "Accuracy metric (default: top1 with labels, agreement without)")
      ->check(CLI::IsMember({"top1", "top5", "mse", "mae", "miou", "agreement", "sqnr"}));
  command->add_option("--samples", options.samples, "Samples for accuracy at most; 0 = all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--gate", options.gates, "'METRIC < QUANTITY' that must hold, else code 4")
      ->type_name("EXPR")
      ->expected(1)
      ->take_all();
  command->add_option("--tolerance", options.tolerance, "Smallest change of speed that counts")
      ->type_name("QUANTITY")
      ->capture_default_str();
  command->add_option("--max-time", options.max_time, "Time for measuring at most")
      ->type_name("QUANTITY")
      ->capture_default_str();
  command->add_option("--iterations", options.iterations, "Exactly this many; 0 = until stable")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_model_flags(*command, options.common);
  add_common(*command, options.common, false);
  return command;
}

}  // namespace lathe
