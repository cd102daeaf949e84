#include "flags.h"

namespace lathe {

namespace {

void add_gates(CLI::App& command, BenchOptions& options) {
  command
      .add_option("--gate", options.gates,
                  "'[CASE:] METRIC < QUANTITY' that must hold, else code 4")
      ->type_name("EXPR")
      ->expected(1)
      ->take_all();
  command.add_option("--gates", options.gates_file, "Gates from a file, one a line, # comments")
      ->type_name("FILE");
  command
      .add_option_function<std::vector<std::string>>(
          "--gate-profile",
          [&options](const std::vector<std::string>& names) {
            options.gate_profile = names.empty() ? "" : names.front();
          },
          "The targets of a device profile as gates (default: of --profile)")
      ->type_name("NAME|FILE")
      ->expected(0, 1);
  command.add_option("--tolerance", options.tolerance, "Smallest change of speed that counts")
      ->type_name("QUANTITY")
      ->capture_default_str();
}

void add_sweep(CLI::App& command, BenchOptions& options) {
  command
      .add_option("--batch", options.batch,
                  "Items an inference, a list such as 1,2,4 or 1..32:x2 (default: the model's)")
      ->type_name("LIST");
  command.add_option("--threads", options.threads, "Threads, a list; 0 = usable CPUs")
      ->type_name("LIST")
      ->capture_default_str();
  command
      .add_option("--engine", options.engine,
                  "What executes the model, a list of: auto, interpreter, torchscript")
      ->type_name("LIST")
      ->capture_default_str();
  command
      .add_option("--processes", options.processes,
                  "Processes that measure each case; several show what one cannot: 3 to 5")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command
      .add_option("--recommend", options.recommend,
                  "'METRIC <= QUANTITY' that the recommended case must hold")
      ->type_name("EXPR")
      ->expected(1)
      ->take_all();
  auto* minimize =
      command.add_option("--minimize", options.minimize, "Recommend the case with the least of it")
          ->type_name("METRIC");
  command.add_option("--maximize", options.maximize, "Recommend the case with the most of it")
      ->type_name("METRIC")
      ->excludes(minimize);
  command
      .add_option("--resume", options.resume,
                  "Keep each finished case there (JSON lines); do not measure it again")
      ->type_name("FILE.jsonl");
  command.add_flag("--dry-run", options.common.dry_run, "List the cases; measure nothing");
  command.add_flag("--self-check", options.self_check,
                   "Compare the model with itself and with 5 % of work added: code 4 or 5 when "
                   "this machine cannot tell them apart");
  command.add_option("--case-child", options.child)->group("");
  command.add_option("--self-check-child", options.self_check_child)->group("");
}

}  // namespace

CLI::App* add_bench(CLI::App& app, BenchOptions& options) {
  CLI::App* command = app.add_subcommand("bench", "Measure models; compare and gate them");
  auto* models = command->add_option("models", options.models, "Models (.onnx, .pt)")
                     ->required()
                     ->expected(-1)
                     ->type_name("MODEL");
  command->add_flag_function(
      "--doctor",
      [&options, models](int64_t count) {
        options.doctor = count > 0;
        models->required(count <= 0);
      },
      "Examine this machine instead of a model: code 5 when it cannot tell --tolerance");
  command->add_option("--against", options.against, "Compare with this model, in alternation")
      ->type_name("MODEL");
  command->add_option("--data", options.data, "Data for inputs and accuracy (default: random)")
      ->type_name("DATA");
  command
      ->add_option("--metric", options.metric,
                   "Accuracy metric (default: top1 with labels, agreement without)")
      ->check(CLI::IsMember({"top1", "top5", "mse", "mae", "miou", "agreement", "sqnr"}));
  command->add_option("--samples", options.samples, "Samples for accuracy at most; 0 = all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_gates(*command, options);
  add_sweep(*command, options);
  command->add_option("--max-time", options.max_time,
                      "Time for measuring at most (default: 60s; of several cases 10s each)")
      ->type_name("QUANTITY");
  command->add_option("--iterations", options.iterations, "Exactly this many; 0 = until stable")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--denormals", options.denormals,
                   "Numbers near 0: keep them, or flush to 0 (a runtime's usual choice)")
      ->check(CLI::IsMember({"keep", "flush"}))
      ->capture_default_str();
  add_html_flag(*command, options.common);
  add_export_flag(*command, options.common);
  add_model_flags(*command, options.common);
  add_common(*command, options.common, false);
  return command;
}

}  // namespace lathe
