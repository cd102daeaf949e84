// The report as one page: no network, no script, readable on a phone, light and dark.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lathe {

/// A complete HTML5 document with its style and pictures inside; a content security policy forbids
/// everything else. The verdict comes first. Sections whose figures are absent are left out. Text
/// from files is escaped: whatever a model's author chose for a name stays text.
std::string to_html(const nlohmann::json& report);

}  // namespace lathe
