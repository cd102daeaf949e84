#include "flags/flags.h"

namespace lathe {

void add_inspect(CLI::App& app, InspectOptions& options) {
  CLI::App* command =
      app.add_subcommand("inspect", "Show ops, shapes, parameters, MACs, memory and precision");
  command->add_option("model", options.model, "Model (.onnx, .pt, .tflite)")
      ->required()
      ->type_name("MODEL");
  add_model_flags(*command, options.common);
  add_fit_flag(*command, options.common);
  add_common(*command, options.common, false);
}

void add_profiles(CLI::App& app, ProfilesOptions& options) {
  CLI::App* command =
      app.add_subcommand("profiles", "List the device profiles, show one, or write a host's");
  command
      ->add_option("action", options.action,
                   "list, show, or detect (measures this host, or another)")
      ->check(CLI::IsMember({"list", "show", "detect"}))
      ->capture_default_str();
  command->add_option("name", options.name, "Profile to show")->type_name("NAME|FILE");
  command->add_option("-o,--output", options.common.output, "Where detect writes the profile")
      ->type_name("FILE.json");
  add_remote_flags(*command, options.common, "detect: another machine, over ssh");
  add_common(*command, options.common, false);
}

}  // namespace lathe
