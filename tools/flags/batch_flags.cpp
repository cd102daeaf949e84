#include "flags/flags.h"

namespace lathe {

void add_batch(CLI::App& app, BatchOptions& options) {
  CLI::App* command = app.add_subcommand(
      "batch", "Take many models through steps; finished jobs are not run again");
  command->add_option("jobs", options.jobs, "Models and steps (.json)")
      ->required()
      ->type_name("JOBS.json");
  command->add_option("--shard", options.shard, "Only every N-th job, from the K-th")
      ->type_name("K/N")
      ->capture_default_str();
  command->add_flag("--fresh", options.fresh, "Run finished jobs again");
  add_common(*command, options.common, true);
}

}  // namespace lathe
