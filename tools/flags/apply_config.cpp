#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "flags/flags.h"
#include "os/read_file.h"
#include "report/nearest_name.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

using nlohmann::json;

// Where things are written is no part of how they are made.
bool is_place(const std::string& flag) {
  return flag == "output" || flag == "report" || flag == "html" || flag == "export" ||
         flag == "json" || flag == "config" || flag == "force" || flag == "quiet" ||
         flag == "verbose" || flag == "color" || flag == "dry-run" || flag == "help" ||
         flag == "threads";
}

std::string text_of(const json& value, const std::string& file, const std::string& key) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  if (value.is_number()) return value.dump();
  throw bad_usage("config.type",
                  "a flag's value must be a string, number, boolean or list of these",
                  file + ": /" + key);
}

std::string key_of(const CLI::Option& option) {
  return option.get_lnames().empty() ? option.get_name() : option.get_lnames().front();
}

std::vector<std::string> keys_of(const CLI::App& command) {
  std::vector<std::string> keys;
  for (const CLI::Option* option : command.get_options()) keys.push_back(key_of(*option));
  return keys;
}

void apply_key(CLI::App& command, const std::string& file, const std::string& key,
               const json& value) {
  CLI::Option* found = nullptr;
  for (CLI::Option* option : command.get_options())
    if (key_of(*option) == key) found = option;
  if (found == nullptr) {
    const std::string nearest = nearest_name(key, keys_of(command));
    throw bad_usage(
        "config.key", "unknown key '" + escape_untrusted(key) + "'", file,
        nearest.empty() ? "keys are flags without dashes" : "did you mean '" + nearest + "'?");
  }
  if (found->count() > 0) return;  // the command line wins
  try {
    if (value.is_array()) {
      for (const json& element : value) found->add_result(text_of(element, file, key));
    } else {
      if (value.is_boolean() && !value.get<bool>()) return;
      found->add_result(text_of(value, file, key));
    }
    found->run_callback();
  } catch (const CLI::ParseError& error) {
    throw bad_usage("config.value", escape_untrusted(error.what(), 300), file + ": /" + key);
  }
}

std::string recipe_of(const CLI::App& command) {
  json recipe = json::object();
  recipe["command"] = command.get_name();
  for (const CLI::Option* option : command.get_options()) {
    const std::string key = key_of(*option);
    if (is_place(key) || option->count() == 0 || option->get_positional()) continue;
    const auto results = option->results();
    const bool list = option->get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
    if (option->get_expected_max() == 0)
      recipe[key] = true;
    else if (results.size() == 1 && !list)
      recipe[key] = results.front();
    else
      recipe[key] = results;
  }
  return recipe.dump();
}

}  // namespace

void apply_config(CLI::App& command, CommonOptions& common) {
  if (!common.config.empty()) {
    json document = parse_json_strict(
        read_file(common.config, static_cast<int64_t>(kMaxJsonBytes), ExitCode::kUsage),
        common.config);
    if (document.is_object() && document.contains("recipe")) document = document["recipe"];
    if (!document.is_object())
      throw bad_usage("config.type", "a config file holds one JSON object", common.config);
    if (document.contains("command") && document["command"] != command.get_name())
      throw bad_usage("config.command",
                      fmt::format("this recipe is for 'lathe {}'",
                                  escape_untrusted(document["command"].dump())),
                      common.config);
    document.erase("command");
    for (const auto& [key, value] : document.items()) apply_key(command, common.config, key, value);
  }
  common.recipe = recipe_of(command);
}

}  // namespace lathe
