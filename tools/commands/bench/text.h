// A benchmark for people: one screen, verdict first. Made of the report alone, so that one process
// and several, one case and many are shown alike.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "console.h"

namespace lathe {

/// Verdict line, table, gates, how it was measured, and at most three hints; of several cases one
/// row each, the front marked, and what is best.
std::string bench_text(const nlohmann::json& report, const Console& console);

/// First why the models differ, then the slowest op types and nodes, memory, sensors and trace;
/// with several cases only the types of each. Empty without any.
std::string details_text(const nlohmann::json& report, const Console& console);

}  // namespace lathe
