// The shipped JSON files, compiled in by cmake/embed_profiles.cmake: found wherever the library is.
#pragma once

#include <string_view>
#include <vector>

namespace lathe {

struct EmbeddedProfile {
  std::string_view name;
  std::string_view json;
};

/// In the order of the file names.
const std::vector<EmbeddedProfile>& embedded_profiles();

}  // namespace lathe
