// JSON as lathe writes it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lathe {

/// Keys sorted, two spaces, a newline at the end; doubles read back exactly; bytes that are no
/// UTF-8 become U+FFFD. The same value gives the same text. Throws InternalError that names the
/// JSON pointer for NaN and infinity (nlohmann would write null) and for nesting over 64 levels.
std::string json_text(const nlohmann::json& value);

/// The same without white space.
std::string compact_json_text(const nlohmann::json& value);

}  // namespace lathe
