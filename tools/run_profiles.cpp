// lathe profiles: the shipped devices, and one of them in full.
#include <fmt/format.h>

#include "commands.h"
#include "model_facts.h"
#include "os/quantity.h"
#include "profiles/profile.h"
#include "report/json_text.h"

namespace lathe {
namespace {

std::string ram_text(const Profile& profile) {
  return profile.memory.ram_bytes ? bytes_text(*profile.memory.ram_bytes) : "-";
}

nlohmann::json row_json(const Profile& profile) {
  nlohmann::json row{{"name", profile.name},     {"version", profile.version},
                     {"hash", profile.hash},     {"description", profile.description},
                     {"arch", profile.cpu.arch}, {"cores", profile.cpu.cores},
                     {"int8", profile.cpu.int8}};
  put_or_reason(row, "ram_bytes", profile.memory.ram_bytes, "the profile does not bound it");
  return row;
}

int list_profiles(const ProfilesOptions& options, Console& console) {
  if (!options.name.empty())
    throw bad_usage("usage.profiles", "list takes no name", escape_untrusted(options.name),
                    "lathe profiles show " + escape_untrusted(options.name));
  std::vector<std::vector<std::string>> rows{{console.bold("profile"), console.bold("cpu"),
                                              console.bold("int8"), console.bold("RAM"),
                                              console.bold("description")}};
  nlohmann::json list = nlohmann::json::array();
  for (const std::string& name : profile_names()) {
    const Profile profile = load_profile(name);
    rows.push_back({name, fmt::format("{} x{}", profile.cpu.arch, profile.cpu.cores),
                    profile.cpu.int8, ram_text(profile), profile.description});
    list.push_back(row_json(profile));
  }
  console.print(fmt::format("{} profiles; '{}' is the default\n{}", rows.size() - 1,
                            kDefaultProfile, table(rows)));
  Report report = start_report("profiles", options.common);
  report.details["profiles"] = std::move(list);
  console.deliver(to_json(report), options.common);
  return 0;
}

int show_profile(const ProfilesOptions& options, Console& console) {
  if (options.name.empty())
    throw bad_usage("usage.profiles", "which profile?", "show",
                    fmt::format("one of: {}", fmt::join(profile_names(), ", ")));
  nlohmann::json document = profile_json(options.name);
  // Nothing but JSON, so that it can become a file of one's own.
  if (!options.common.json) console.print(json_text(document));
  Report report = start_report("profiles", options.common);
  report.details["profile"] = std::move(document);
  console.deliver(to_json(report), options.common);
  return 0;
}

}  // namespace

int run_profiles(const ProfilesOptions& options, Console& console) {
  return options.action == "show" ? show_profile(options, console)
                                  : list_profiles(options, console);
}

}  // namespace lathe
