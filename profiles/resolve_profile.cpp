#include "profiles/resolve_profile.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <vector>

#include "ir/error.h"
#include "os/read_file.h"
#include "profiles/embedded_profiles.h"
#include "profiles/profile.h"
#include "report/nearest_name.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kMaxChain = 8;

bool is_file_name(std::string_view text) {
  return text.find('/') != std::string_view::npos || text.ends_with(".json");
}

struct Source {
  std::string identity;  // equal for equal sources
  std::string shown;
  std::string folder;  // of a file; empty for a shipped profile
  json document;
};

Source shipped(const std::string& name, const std::string& where) {
  for (const EmbeddedProfile& profile : embedded_profiles()) {
    if (profile.name != name) continue;
    const std::string shown = "profile " + name;
    return {shown, shown, {}, parse_json_strict(profile.json, shown)};
  }
  throw bad_usage("profile.unknown", fmt::format("no profile is named {}", escape_untrusted(name)),
                  where, name_hint(name, profile_names()));
}

Source from_file(const std::string& path) {
  const std::string text = read_file(path, static_cast<int64_t>(kMaxJsonBytes), ExitCode::kUsage);
  std::error_code problem;
  const auto canonical = std::filesystem::canonical(path, problem);
  return {problem ? path : canonical.string(), path,
          std::filesystem::path(path).parent_path().string() + "/", parse_json_strict(text, path)};
}

Source parent_of(const Source& child, const std::string& name) {
  const std::string where = escape_untrusted(child.shown) + ": /extends";
  if (!is_file_name(name)) return shipped(name, where);
  if (child.folder.empty() || name.find('/') != std::string::npos || name.starts_with('.'))
    throw bad_usage("profile.extends", fmt::format("may not extend {}", escape_untrusted(name)),
                    where, "name a shipped profile or a .json file in the same folder");
  return from_file(child.folder == "/" ? name : child.folder + name);
}

// Objects key by key, everything else replaced, by null taken away (RFC 7396).
void merge_over(json& base, const json& over) {
  if (!base.is_object() || !over.is_object()) {
    base = over;
    return;
  }
  for (const auto& item : over.items())
    if (item.value().is_null())
      base.erase(item.key());
    else
      merge_over(base[item.key()], item.value());
}

}  // namespace

ResolvedProfile resolve_profile(const std::string& name_or_file) {
  std::vector<Source> chain;
  chain.push_back(is_file_name(name_or_file) ? from_file(name_or_file)
                                             : shipped(name_or_file, "profile"));
  for (;;) {
    Source& child = chain.back();
    JsonReader reader(child.document, child.shown);
    const std::optional<std::string> extends = reader.string_if("extends");
    if (!extends) break;
    child.document.erase("extends");
    Source parent = parent_of(child, *extends);
    for (const Source& earlier : chain)
      if (earlier.identity == parent.identity)
        throw bad_usage("profile.extends",
                        fmt::format("{} extends itself", escape_untrusted(parent.shown)),
                        fmt::format("{}: /extends", escape_untrusted(child.shown)));
    if (chain.size() == kMaxChain)
      throw bad_usage("profile.extends",
                      fmt::format("more than {} profiles extend each other", kMaxChain),
                      fmt::format("{}: /extends", escape_untrusted(child.shown)));
    chain.push_back(std::move(parent));
  }
  json document = std::move(chain.back().document);
  for (size_t i = chain.size() - 1; i-- > 0;) merge_over(document, chain[i].document);
  return {std::move(document), chain.front().shown};
}

}  // namespace lathe
