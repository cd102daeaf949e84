#include "flags.h"

namespace lathe {

CLI::App* add_quantize(CLI::App& app, QuantizeOptions& options) {
  CLI::App* command = app.add_subcommand("quantize", "Make a float model an int8 model");
  command->add_option("model", options.model, "Model (.onnx, .pt)")->required()->type_name("MODEL");
  command
      ->add_option("--data", options.data,
                   "Calibration data: .npz, .npy, idx, CSV, WAV, folder of images, spec .json, "
                   "or 'random'")
      ->type_name("DATA");
  command->add_option("--mode", options.mode, "What becomes integer, and when")
      ->check(CLI::IsMember({"static"}))
      ->capture_default_str();
  command
      ->add_option("--observer", options.observer,
                   "How ranges are chosen; auto takes the least measured error per value")
      ->check(CLI::IsMember({"auto", "minmax", "percentile", "entropy", "mse"}))
      ->capture_default_str();
  command->add_option("--effort", options.effort, "How hard to try")
      ->check(CLI::IsMember({"fast"}))
      ->capture_default_str();
  command
      ->add_option("--samples", options.samples,
                   "Calibration samples at most (default 256; of random data 16)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command
      ->add_option("--statistics", options.statistics,
                   "Read the calibration's statistics there, or write them there when absent")
      ->type_name("FILE");
  command->add_option("--eval", options.eval, "Evaluate float and int8 model on this data")
      ->type_name("DATA");
  command
      ->add_option("--metric", options.metric,
                   "Metric of --eval (default: top1 with labels, agreement without)")
      ->check(CLI::IsMember({"top1", "top5", "mse", "mae", "miou", "agreement", "sqnr"}));
  command
      ->add_option("--max-drop", options.max_drop,
                   "End with code 4 when the metric falls by more (points, or share)")
      ->type_name("QUANTITY");
  command->add_option("--weight-granularity", options.weight_granularity, "Scales of weights")
      ->check(CLI::IsMember({"channel", "tensor"}))
      ->capture_default_str();
  command->add_option("--include", options.include, "Quantize only these nodes (name or op:TYPE)")
      ->type_name("GLOB")
      ->expected(1)
      ->take_all();
  command->add_option("--exclude", options.exclude, "Leave these nodes in float (name or op:TYPE)")
      ->type_name("GLOB")
      ->expected(1)
      ->take_all();
  command->add_option("--opset", options.opset, "Opset of the output at most")
      ->check(CLI::Range(int64_t{7}, int64_t{25}));
  add_html_flag(*command, options.common);
  add_model_flags(*command, options.common);
  add_common(*command, options.common, true);
  return command;
}

}  // namespace lathe
