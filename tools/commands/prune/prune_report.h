// What `lathe prune` says: sections of the report and lines for the screen.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "commands/prune/prune_request.h"
#include "prune/element_masks.h"
#include "prune/prune_plan.h"

namespace lathe {

nlohmann::json plan_json(const PruneRequest& request, const PrunePlan& plan);
nlohmann::json elements_json(const PruneRequest& request, const std::vector<ElementCount>& counts);

/// "96 of 192 channels of 8 groups removed".
std::string plan_summary(const PrunePlan& plan);
/// "50,000 of 100,000 weights are zero (50.0 %)".
std::string elements_summary(const std::vector<ElementCount>& counts);

/// Rows group, channels, kept, "why" of the groups that lose most, with a heading.
std::vector<std::vector<std::string>> groups_table(const PrunePlan& plan, size_t count);

/// One line for each of the first `count` groups that are left alone, with the reason.
std::string plan_exceptions(const PrunePlan& plan, size_t count);

/// Every group in words, for --dry-run.
std::string plan_text(const PrunePlan& plan);

}  // namespace lathe
