// What inspect tells of a .lathe file.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "artifact/plan_file.h"
#include "console.h"
#include "ir/graph.h"
#include "report/report.h"

namespace lathe {

/// One screen; with `all` every step. `graph`: plan_graph() of it.
std::string plan_text(const PlanFile& file, const Graph& graph, const ModelFacts& facts, bool all,
                      const Console& console);

/// The report's section "plan".
nlohmann::json plan_json(const PlanFile& file, const Graph& graph);

}  // namespace lathe
