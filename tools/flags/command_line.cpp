#include "flags/command_line.h"

#include <iostream>

#include "flags/flags.h"
#include "flags/usage_error.h"

namespace lathe {

struct CommandLine::Parser {
  CLI::App app{"lathe: shapes trained networks for the device they must run on", "lathe"};

  CLI::App* named() {
    for (CLI::App* command : app.get_subcommands({}))
      if (command->parsed()) return command;
    return nullptr;
  }
};

CommandLine::CommandLine(Options& options) : parser_(std::make_unique<Parser>()) {
  CLI::App& app = parser_->app;
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("lathe ") + LATHE_VERSION);
  app.failure_message(CLI::FailureMessage::simple);
  add_quantize(app, options.quantize);
  add_prune(app, options.prune);
  add_distill(app, options.distill);
  add_compile(app, options.compile);
  add_bench(app, options.bench);
  add_inspect(app, options.inspect);
  add_run(app, options.run);
  add_compare(app, options.compare);
  add_batch(app, options.batch);
  add_zoo(app, options.zoo);
  add_trace(app, options.trace);
  add_profiles(app, options.profiles);
}

CommandLine::~CommandLine() = default;

bool CommandLine::parse(int argc, const char* const* argv) {
  CLI::App& app = parser_->app;
  // CLI11 takes the next word for the value, another flag perhaps.
  for (int i = 1; i < argc; ++i)
    if (const std::string_view word = argv[i];
        word.starts_with("--") && word.ends_with('=') && word.find('=') == word.size() - 1)
      throw bad_usage("usage.value", "no value", escape_untrusted(std::string(word), 100),
                      "leave the flag out, or give a value behind '='");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    app.exit(success);
    if (!std::cout.flush()) throw bad_output("output.stdout", "standard output cannot be written");
    return false;
  } catch (const CLI::ParseError& error) {
    throw usage_error(app, error);
  }
  return true;
}

std::string CommandLine::command() const {
  const CLI::App* named = parser_->named();
  return named == nullptr ? "" : named->get_name();
}

void CommandLine::apply_config(CommonOptions& common) {
  lathe::apply_config(*parser_->named(), common);
}

}  // namespace lathe
