// The cases of a report as a table for spreadsheets and data frames.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lathe {

/// RFC 4180: one heading, one row a case, CRLF; absent figures are empty. Times in nanoseconds.
/// Text that a spreadsheet would take for a formula begins with an apostrophe.
std::string to_csv(const nlohmann::json& report);

}  // namespace lathe
