// inspect's findings for people and for reports.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "commands/inspect/inspect_graph.h"
#include "commands/inspect/target_figures.h"
#include "console.h"
#include "ir/model.h"
#include "profiles/fit.h"
#include "report/report.h"

namespace lathe {

/// One screen, the verdict first; with `all` every op type and every node.
std::string inspect_text(const Model& model, const ModelFacts& file, const InspectFacts& facts,
                         const Fit& fit, const std::vector<TargetFigure>& targets,
                         const Profile& profile, bool all, const Console& console);

/// The report's section "inspect"; with `all` with every node.
nlohmann::json inspect_json(const Model& model, const InspectFacts& facts, const Profile& profile,
                            bool all);

}  // namespace lathe
