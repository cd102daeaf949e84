#include "flags/flags.h"
#include "names/code_cores.h"
#include "names/targets.h"

namespace lathe {

void add_code_flags(CLI::App& command, CodeOptions& code, const std::string& max_ram_help) {
  command
      .add_option("--rounding", code.rounding,
                  "Whose integer operators C code equals to the bit: ONNX Runtime's, or those of "
                  "TensorFlow Lite Micro")
      ->check(CLI::IsMember(std::vector<std::string>{"ort", "tflite"}))
      ->capture_default_str();
  command.add_option("--max-ram", code.max_ram, max_ram_help)->type_name("SIZE");
  command
      .add_option("--fast-ram", code.fast_ram,
                  "C code takes a second region of memory, of at most so much beside --max-ram, for "
                  "what it reads and writes most")
      ->type_name("SIZE");
}

void add_compile(CLI::App& app, CompileOptions& options) {
  CLI::App* command =
      app.add_subcommand("compile", "Optimize a model's graph, and prove that nothing changed");
  command->add_option("model", options.model, "Model (.onnx, .pt, .tflite)")
      ->required()
      ->type_name("MODEL");
  command->add_option("--target", options.target, "What to make")
      ->check(CLI::IsMember(target_names()))
      ->capture_default_str();
  command->add_option("--opset", options.opset, "Opset of the output")
      ->check(CLI::Range(int64_t{7}, int64_t{25}));
  command->add_flag("--float16", options.float16,
                    "float16 weights and arithmetic; inputs and outputs keep their types");
  command->add_flag("--dynamic-batch", options.dynamic_batch,
                    "Make a fixed batch free on inputs and outputs");
  command->add_flag("--external-data", options.external_data,
                    "Keep weights of 1 KiB and more in OUT.data beside the model (onnx)");
  CLI::Option* tune = command->add_flag(
      "--tune", options.tune,
      "Choose how each layer is computed by times measured on this machine (native)");
  command->add_option("--tune-time", options.tune_time, "Look for faster ways no longer than this")
      ->type_name("DURATION")
      ->needs(tune)
      ->capture_default_str();
  command->add_option("--prefix", options.prefix, "What names begin with (c99; default OUT's name)")
      ->type_name("NAME");
  command->add_flag("--weights-file", options.weights_file,
                    "Put the weights into OUT_weights.c, for a memory of their own (c99)");
  add_code_flags(*command, options.code,
                 "Run the first layers in parts, so that the arena takes no more; end with 4 where "
                 "it does, the code is written (c99)");
  command
      ->add_option("--core", options.core,
                   "Leave out of the source what other processors' instructions need (c99)")
      ->check(CLI::IsMember(code_core_names()))
      ->capture_default_str();
  command->add_option("--disable-pass", options.disabled, "Leave a pass out")
      ->type_name("NAME")
      ->expected(1)
      ->take_all();
  command
      ->add_option("--verify", options.verify,
                   "Compare before and after on seeded inputs, on this data, or not at all")
      ->type_name("random|DATA|off")
      ->capture_default_str();
  command
      ->add_option("--tolerance", options.tolerance,
                   "Largest max|a-b|/max|a| of an output (default by precision)")
      ->check(CLI::Range(0.0, 1e6));
  add_html_flag(*command, options.common);
  add_model_flags(*command, options.common);
  add_fit_flag(*command, options.common);
  add_common(*command, options.common, true);
}

}  // namespace lathe
