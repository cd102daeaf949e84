#include "flags/flags.h"

namespace lathe {

void add_quantize(CLI::App& app, QuantizeOptions& options) {
  CLI::App* command = app.add_subcommand("quantize", "Make a float model an int8 model");
  command->add_option("model", options.model, "Model (.onnx, .pt, .tflite)")
      ->required()
      ->type_name("MODEL");
  command
      ->add_option("--data", options.data,
                   "Calibration data: .npz, .npy, idx, CSV, WAV, folder of images, spec .json, "
                   "or 'random'")
      ->type_name("DATA");
  command->add_option("--mode", options.mode, "What becomes integer, and when")
      ->check(CLI::IsMember({"static", "dynamic", "weight-only", "float16", "auto"}))
      ->capture_default_str();
  command
      ->add_option("--observer", options.observer,
                   "How ranges are chosen; auto takes the least measured error per value")
      ->check(CLI::IsMember({"auto", "minmax", "percentile", "entropy", "mse"}))
      ->capture_default_str();
  command
      ->add_option("--effort", options.effort,
                   "fast: ranges and mean shifts alone; balanced: also equalization, compensated "
                   "rounding and biases; "
                   "best: also learned rounding")
      ->check(CLI::IsMember({"fast", "balanced", "best"}))
      ->capture_default_str();
  command
      ->add_option("--time", options.time,
                   "Leave out what would improve the network after that (equalization, rounding, "
                   "search for ranges)")
      ->type_name("QUANTITY");
  command
      ->add_option("--samples", options.samples,
                   "Calibration samples at most (default 256; of random data 16)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command
      ->add_option("--statistics", options.statistics,
                   "Read the calibration's statistics there, or write them there when absent")
      ->type_name("FILE");
  command
      ->add_option("--import-encodings", options.import_encodings,
                   "Ranges of these tensors as they stand there: AIMET's encodings or ONNX "
                   "Runtime's tensor overrides")
      ->type_name("FILE");
  command
      ->add_option("--export-encodings", options.export_encodings,
                   "Write the ranges of all tensors, for AIMET (the default) or ONNX Runtime")
      ->type_name("[aimet|onnxruntime=]FILE");
  command
      ->add_option("--tensor", options.tensors,
                   "What these tensors become: uint8, int8, uint16, int16, symmetric, a range such "
                   "as -1..6, or several with commas")
      ->type_name("GLOB=WORDS")
      ->expected(1)
      ->take_all();
  command->add_option("--eval", options.eval, "Evaluate float and int8 model on this data")
      ->type_name("DATA");
  add_metric_flag(*command, options.metric,
                  "Metric of --eval (default: top1 with labels; without, agreement of classifiers, "
                  "sqnr of others)");
  command
      ->add_option("--max-drop", options.max_drop,
                   "Give the fewest layers back to float until the metric falls by no more "
                   "(points, or share); code 4 when that cannot be reached")
      ->type_name("QUANTITY");
  command
      ->add_option("--eval-command", options.eval_command,
                   "Your own metric: a shell command that gets the model's path as last argument; "
                   "the last number that it prints is the metric, more is better")
      ->type_name("COMMAND");
  command->add_option("--weight-granularity", options.weight_granularity, "Scales of weights")
      ->check(CLI::IsMember({"channel", "tensor"}))
      ->capture_default_str();
  command
      ->add_option("--weight-bits", options.weight_bits,
                   "Bits of a weight in --mode weight-only; 4 bits share scales in blocks")
      ->check(CLI::IsMember({8, 4}))
      ->capture_default_str();
  command
      ->add_option("--block-size", options.block_size,
                   "Weights of 4 bits that share a scale; fewer: nearer to float, larger file")
      ->check(CLI::IsMember({16, 32, 64, 128, 256}))
      ->capture_default_str();
  command
      ->add_option("--format", options.format,
                   "qdq: float ops between QuantizeLinear and DequantizeLinear; qoperator: QLinear "
                   "ops, as older runtimes read them; matmulnbits: products with weights of 4 "
                   "bits as ONNX Runtime's own op, which is faster there")
      ->check(CLI::IsMember({"qdq", "qoperator", "matmulnbits"}))
      ->capture_default_str();
  add_node_flags(*command, options.include, "Quantize only these nodes (name or op:TYPE)",
                 options.exclude, "Leave these nodes in float (name or op:TYPE)");
  add_opset_limit(*command, options.opset);
  add_html_flag(*command, options.common);
  add_model_flags(*command, options.common);
  add_fit_flag(*command, options.common);
  add_common(*command, options.common, true);
}

}  // namespace lathe
