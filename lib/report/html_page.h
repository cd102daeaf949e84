// The report as one page: no network, readable on a phone, light and dark.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lathe {

/// A complete HTML5 document that holds the whole report. The verdict and the headline come first
/// and need no script; page/*.js draws the rest, and leaves sections out whose figures are absent.
/// Whatever a model's author chose for a name stays text.
std::string to_html(const nlohmann::json& report);

}  // namespace lathe
