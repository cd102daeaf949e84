#include "flags/flags.h"

namespace lathe {

void add_trace(CLI::App& app, TraceOptionsCli& options) {
  CLI::App* command = app.add_subcommand(
      "trace", "Show where the time of a trace went (bench --trace, ONNX Runtime profiles)");
  command->add_option("file", options.file, "Trace in Chrome's JSON format")
      ->required()
      ->type_name("FILE");
  command->add_option("--top", options.top, "Rows of each table")
      ->check(CLI::Range(int64_t{1}, int64_t{100000}))
      ->capture_default_str();
  command->add_option("--name", options.name, "Only stages whose name matches; op:Conv by type")
      ->type_name("GLOB");
  command->add_option("--thread", options.thread, "Only the thread with this number")
      ->type_name("N");
  command->add_option("--from", options.from, "From this time after the first event (10ms)")
      ->type_name("TIME");
  command->add_option("--to", options.to, "To this time after the first event")->type_name("TIME");
  command->add_option("--html", options.html, "Write a page with a timeline to zoom into")
      ->type_name("FILE");
  add_common(*command, options.common, false);
}

}  // namespace lathe
