#include "flags/flags.h"

namespace lathe {

void add_common(CLI::App& command, CommonOptions& common, bool writes) {
  command.option_defaults()->always_capture_default();
  if (writes) {
    command.add_option("-o,--output", common.output, "File to write")->type_name("FILE");
    command.add_flag("--dry-run", common.dry_run, "Stop after the plan; write nothing");
  }
  command.add_flag(
      "--force", common.force,
      writes ? "Overwrite existing output and report" : "Overwrite an existing report");
  command.add_option("--report", common.report, "Write the JSON report there")->type_name("FILE");
  command.add_flag("--json", common.json, "Print the report, and nothing else, on stdout");
  command.add_option("--profile", common.profile, "Device: a shipped name or a JSON file")
      ->type_name("NAME|FILE")
      ->capture_default_str();
  // bench has its own, a list.
  if (command.get_option_no_throw("--threads") == nullptr)
    command.add_option("--threads", common.threads, "Threads; 0 = usable CPUs")
        ->check(CLI::Range(0, 4096))
        ->capture_default_str();
  command.add_option("--seed", common.seed, "Seed of everything random")->capture_default_str();
  command
      .add_option("--config", common.config, "Flags from a JSON file, or from a report's recipe")
      ->type_name("FILE");
  command.add_flag("--quiet", common.quiet, "Print errors only");
  command.add_flag("-v,--verbose", common.verbosity, "Print each step");
  command.add_option("--color", common.color, "Colours on the terminal")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  command.add_option("--max-memory", common.max_memory, "End with code 8 beyond this much memory")
      ->type_name("SIZE");
  command.add_option("--limits", common.limits, "Limits on what a file may ask for")
      ->check(CLI::IsMember({"strict", "default", "off"}))
      ->capture_default_str();
  command.add_flag("--follow-links", common.follow_links,
                   "Open external data behind symbolic links");
}

void add_metric_flag(CLI::App& command, std::string& metric, const std::string& help) {
  command.add_option("--metric", metric, help)
      ->check(CLI::IsMember({"top1", "top5", "mse", "mae", "miou", "agreement", "sqnr"}));
}

void add_node_flags(CLI::App& command, std::vector<std::string>& include,
                    const std::string& include_help, std::vector<std::string>& exclude,
                    const std::string& exclude_help) {
  const auto add = [&](const char* flag, std::vector<std::string>& globs, const std::string& help) {
    command.add_option(flag, globs, help)->type_name("GLOB")->expected(1)->take_all();
  };
  add("--include", include, include_help);
  add("--exclude", exclude, exclude_help);
}

void add_opset_limit(CLI::App& command, std::optional<int64_t>& opset) {
  command.add_option("--opset", opset, "Opset of the output at most")
      ->check(CLI::Range(int64_t{7}, int64_t{25}));
}

void add_fit_flag(CLI::App& command, CommonOptions& common) {
  command.add_flag("--require-fit", common.require_fit,
                   "End with code 4 unless the model fits into the profile's flash and RAM");
}

void add_remote_flags(CLI::App& command, CommonOptions& common, const std::string& what) {
  command.add_option("--remote", common.remote, what + ": [user@]host[:port], adb:[serial]")
      ->type_name("HOST");
  add_runner_flag(command, common);
}

void add_runner_flag(CLI::App& command, CommonOptions& common) {
  command
      .add_option("--runner", common.runner,
                  "--remote: the static lathe-runner for there (default: lathe's own for its "
                  "architecture)")
      ->type_name("FILE");
}

void add_model_flags(CLI::App& command, CommonOptions& common) {
  command
      .add_option("--input-shape", common.input_shapes,
                  "An input's shape, letters for free sizes; TorchScript files carry none")
      ->type_name("NAME=1x3x224x224")
      ->expected(1)
      ->take_all();
  command
      .add_option("--input-type", common.input_types,
                  "An input's element type (TorchScript; float when not given)")
      ->type_name("NAME=int64")
      ->expected(1)
      ->take_all();
  command
      .add_option("--input-value", common.input_values,
                  "Fix an int, float or bool input of a TorchScript file")
      ->type_name("NAME=16000")
      ->expected(1)
      ->take_all();
  command.add_flag("--trust", common.trust,
                   "Open TorchScript files that run code while they are loaded");
}

}  // namespace lathe
