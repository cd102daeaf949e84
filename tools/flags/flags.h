// Flags of the subcommands: each function adds one subcommand to the parser, bound to its options.
#pragma once

#include <CLI/CLI.hpp>

#include "options.h"

namespace lathe {

void add_quantize(CLI::App& app, QuantizeOptions& options);
void add_prune(CLI::App& app, PruneOptions& options);
void add_distill(CLI::App& app, DistillOptions& options);
void add_compile(CLI::App& app, CompileOptions& options);
void add_inspect(CLI::App& app, InspectOptions& options);
void add_run(CLI::App& app, RunOptionsCli& options);
void add_compare(CLI::App& app, CompareOptionsCli& options);
void add_bench(CLI::App& app, BenchOptions& options);
void add_batch(CLI::App& app, BatchOptions& options);
void add_zoo(CLI::App& app, ZooOptions& options);
void add_trace(CLI::App& app, TraceOptionsCli& options);
void add_profiles(CLI::App& app, ProfilesOptions& options);

/// The flags that every subcommand has. `writes`: it has an output.
void add_common(CLI::App& command, CommonOptions& common, bool writes);

/// --html FILE, and --export KIND=FILE; see export_report.h.
void add_html_flag(CLI::App& command, CommonOptions& common);
void add_export_flag(CLI::App& command, CommonOptions& common);

/// The flags of training, shared by prune and distill. `epochs_flag`: "--finetune-epochs" or
/// "--epochs".
void add_training_flags(CLI::App& command, TrainingOptions& options, const char* epochs_flag);

/// --metric with the names of all metrics, --include and --exclude with selectors of nodes, and
/// --opset as the newest that may be written.
void add_metric_flag(CLI::App& command, std::string& metric, const std::string& help);
void add_node_flags(CLI::App& command, std::vector<std::string>& include,
                    const std::string& include_help, std::vector<std::string>& exclude,
                    const std::string& exclude_help);
void add_opset_limit(CLI::App& command, std::optional<int64_t>& opset);

/// --rounding, --max-ram and --fast-ram, of subcommands that make C code.
void add_code_flags(CLI::App& command, CodeOptions& code, const std::string& max_ram_help);

/// --require-fit, of subcommands that say whether a model fits into the device.
void add_fit_flag(CLI::App& command, CommonOptions& common);

/// --remote and --runner of one host; `what` is done there.
void add_remote_flags(CLI::App& command, CommonOptions& common, const std::string& what);
/// --runner alone, where there are several hosts.
void add_runner_flag(CLI::App& command, CommonOptions& common);

/// The flags of every subcommand that reads a model.
void add_model_flags(CLI::App& command, CommonOptions& common);

/// Sets every flag of `command` that the command line left out from the JSON object in
/// common.config (keys are flags without dashes; a report's `recipe` is used). Throws Error
/// (exit 2) for unknown keys, naming the nearest. Then fills common.recipe.
void apply_config(CLI::App& command, CommonOptions& common);

}  // namespace lathe
