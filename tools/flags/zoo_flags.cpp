#include "flags/flags.h"

namespace lathe {

void add_zoo(CLI::App& app, ZooOptions& options) {
  CLI::App* command =
      app.add_subcommand("zoo", "List well-known networks, or write one with seeded weights");
  command->add_option("name", options.name, "Network to write; list shows them")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_option("--opset", options.opset, "Opset of the output")
      ->check(CLI::Range(int64_t{7}, int64_t{25}));
  add_common(*command, options.common, true);
}

}  // namespace lathe
