// From a name or file to the JSON of a profile with `extends` merged.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lathe {

struct ResolvedProfile {
  nlohmann::json document;  // without "extends"
  std::string file;         // what messages call it: the path, or "profile NAME"
};

/// See load_profile.
ResolvedProfile resolve_profile(const std::string& name_or_file);

}  // namespace lathe
