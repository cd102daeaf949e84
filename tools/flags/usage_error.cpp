#include "flags/usage_error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "report/nearest_name.h"

namespace lathe {
namespace {

// The subcommand that was being parsed, else the program itself.
const CLI::App* parsed_command(const CLI::App& app) {
  for (const CLI::App* command : app.get_subcommands({}))
    if (command->parsed()) return command;
  return &app;
}

std::vector<std::string> flag_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

// An error's own name may be the command's instead of the kind's.
bool is(const CLI::ParseError& error, CLI::ExitCodes kind) {
  return error.get_exit_code() == static_cast<int>(kind);
}

}  // namespace

Error usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = parsed_command(app);
  const bool top = command == &app;
  const std::string help =
      fmt::format("see 'lathe {}--help'", top ? "" : command->get_name() + " ");
  std::vector<std::string> extra = command->remaining();
  if (extra.empty()) extra = app.remaining(true);
  // CLI11 reports the missing subcommand before it reports the word that was to be one.
  if (!extra.empty() && (top || is(error, CLI::ExitCodes::ExtrasError))) {
    const std::string& word = extra.front();
    const bool flag = word.size() > 1 && word.front() == '-';
    const std::string bare = word.substr(0, word.find('='));
    std::string nearest;
    if (flag)
      nearest = nearest_name(bare, flag_names(*command));
    else if (top)
      nearest = nearest_name(bare, command_names(app));
    const char* kind = flag ? "unknown flag" : top ? "unknown command" : "unexpected argument";
    return bad_usage("usage.unknown", fmt::format("{} '{}'", kind, escape_untrusted(word)), {},
                     nearest.empty() ? help : "did you mean '" + nearest + "'? " + help);
  }
  if (top && is(error, CLI::ExitCodes::RequiredError))
    return bad_usage("usage.command", "no command given", {},
                     fmt::format("one of: {}; {}", fmt::join(command_names(app), ", "), help));
  return bad_usage("usage.invalid", escape_untrusted(error.what(), 500), {}, help);
}

}  // namespace lathe
