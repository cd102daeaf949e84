// A load scenario for people: one screen, verdict first.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "console.h"

namespace lathe {

/// Whether a case's row is of another scenario than single.
bool is_load_row(const nlohmann::json& row);

/// The server's queue was never empty again in the second half of its run: the rate is above
/// capacity.
bool is_overloaded(const nlohmann::json& row);

/// Of a report whose first case is_load_row(): what its scenario gave, gates, how it was measured,
/// and at most three hints.
std::string load_text(const nlohmann::json& report, const Console& console);

}  // namespace lathe
