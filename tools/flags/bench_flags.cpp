#include <fmt/format.h>
#include <fmt/ranges.h>

#include "flags/flags.h"
#include "names/engines.h"

namespace lathe {

namespace {

constexpr int64_t kMostIterations = 1'000'000'000'000;

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
  command.add_flag("--allow-simulated", options.allow_simulated,
                   "Judge the times of a device that this host is not by its stated rates");
  command
      .add_option("--tolerance", options.tolerance,
                  "Slowdown that still passes (default 2%, with --baseline 10%); when given, more "
                  "than it is code 4 and doubt code 5")
      ->type_name("QUANTITY");
}

void add_sweep(CLI::App& command, BenchOptions& options) {
  command
      .add_option("--batch", options.batch,
                  "Items an inference, a list such as 1,2,4 or 1..32:x2, or auto: doubled until it "
                  "brings nothing (default: the model's)")
      ->type_name("LIST");
  command.add_option("--threads", options.threads, "Threads, a list; 0 = usable CPUs")
      ->type_name("LIST")
      ->capture_default_str();
  command
      .add_option("--engine", options.engine,
                  fmt::format("What executes the model, a list of: {}; qemu-…: generated C on an "
                              "emulated board, counted",
                              fmt::join(kEngineChoices, ", ")))
      ->type_name("LIST")
      ->capture_default_str();
  command
      .add_option("--remote", options.remotes,
                  "Measure the native engine on another machine over ssh: [user@]host[:port], a "
                  "list")
      ->type_name("HOST")
      ->delimiter(',')
      ->expected(1)
      ->take_all();
  add_runner_flag(command, options.common);
  command
      .add_option(
          "--processes", options.processes,
          "Processes that measure each case (default 1, with --against 5 to 20 as the verdict "
          "needs, with --baseline 10)")
      ->check(CLI::Range(1, 100));
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
}

void add_scenario(CLI::App& command, BenchOptions& options) {
  command
      .add_option("--scenario", options.scenario,
                  "single: one loop; multi: several; server: queries arrive; offline: all at once")
      ->check(CLI::IsMember({"single", "multi", "server", "offline"}))
      ->capture_default_str();
  command
      .add_option("--streams", options.streams,
                  "Loops of multi, workers of server and offline, each with its own engine")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command.add_flag("--lockstep", options.lockstep, "multi: all streams start each round together");
  command
      .add_option("--rate", options.rate,
                  "server: queries a second (default: half of what the workers can serve)")
      ->type_name("NUMBER");
  command
      .add_option("--arrival", options.arrival,
                  "server: poisson (default, many users) or constant (a camera)")
      ->check(CLI::IsMember({"poisson", "constant"}));
  command
      .add_option("--slo", options.slo,
                  "server: count the answers within this time of when they were due")
      ->type_name("QUANTITY");
  command
      .add_option("--max-queue-delay", options.max_queue_delay,
                  "server: how long a query waits for its --batch to fill (default: the profile's)")
      ->type_name("QUANTITY");
  command.add_flag("--find-peak", options.find_peak,
                   "server: the highest rate at which 99 % of the answers keep --slo");
  command
      .add_option("--frames", options.frames,
                  "Simulate a camera of so many frames a second on the measured times")
      ->type_name("FPS");
  command
      .add_option("--power-mode", options.power_mode,
                  "The profile's power mode for --frames (default: each)")
      ->type_name("NAME");
  command
      .add_option("--early-exit", options.early_exit,
                  "--frames: this share of the executions ends early, at this share of the cost")
      ->type_name("SHARE:COST");
}

}  // namespace

void add_bench(CLI::App& app, BenchOptions& options) {
  CLI::App* command = app.add_subcommand("bench", "Measure models; compare and gate them");
  auto* models = command->add_option("models", options.models, "Models (.onnx, .pt, .tflite)")
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
  auto* against =
      command->add_option("--against", options.against, "Compare with this model, in alternation")
          ->type_name("MODEL");
  command
      ->add_option("--baseline", options.baseline,
                   "Compare with a stored report of the same benchmark on this host")
      ->type_name("REPORT")
      ->excludes(against);
  command->add_flag("--allow-host-mismatch", options.allow_host_mismatch,
                    "Compare with a baseline of another host or setting all the same");
  command->add_option("--data", options.data, "Data for inputs and accuracy (default: random)")
      ->type_name("DATA");
  add_metric_flag(*command, options.metric,
                  "Accuracy metric (default: top1 with labels, agreement without)");
  command->add_option("--samples", options.samples, "Samples for accuracy at most; 0 = all")
      ->check(CLI::Range(int64_t{0}, kMostIterations))
      ->capture_default_str();
  add_gates(*command, options);
  add_sweep(*command, options);
  add_scenario(*command, options);
  command
      ->add_option("--max-time", options.max_time,
                   "Time for measuring at most (default: 60s; of several cases 10s each)")
      ->type_name("QUANTITY");
  command
      ->add_option("--duration", options.duration,
                   "Run for so long and judge whether latency and memory keep their level")
      ->type_name("TIME");
  command
      ->add_option("--warmup", options.warmup,
                   "Exactly this many iterations before (default: "
                   "until stable)")
      ->check(CLI::Range(int64_t{0}, kMostIterations));
  command->add_option("--iterations", options.iterations, "Exactly this many; 0 = until stable")
      ->check(CLI::Range(int64_t{0}, kMostIterations))
      ->capture_default_str();
  command
      ->add_option("--denormals", options.denormals,
                   "Numbers near 0: keep them, or flush to 0 (a runtime's usual choice)")
      ->check(CLI::IsMember({"keep", "flush"}))
      ->capture_default_str();
  add_code_flags(*command, options.code,
                 "Of an emulated board: run the first layers in parts, so that the arena takes no "
                 "more, as far as that goes");
  command->add_flag("--profile-ops", options.profile_ops,
                    "Then profile each model node by node: shares, bottlenecks, differences");
  command
      ->add_option("--trace", options.trace,
                   "Then record a traced pass (Chrome trace; FILE.ort.json as ONNX Runtime's)")
      ->type_name("FILE");
  add_html_flag(*command, options.common);
  add_export_flag(*command, options.common);
  add_model_flags(*command, options.common);
  add_common(*command, options.common, false);
  // An unset variable in a script (--gates "$GATES") must not leave a flag out in silence.
  for (CLI::Option* option : command->get_options([](const CLI::Option*) { return true; }))
    option->check([](const std::string& value) {
      return value.empty() ? std::string("the value is empty") : std::string();
    });
}

}  // namespace lathe
