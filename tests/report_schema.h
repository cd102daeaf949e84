// The shipped schema of reports.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lathe {

/// Complaints of the shipped schema, "" when the report is valid.
std::string schema_errors(const nlohmann::json& report);

}  // namespace lathe
