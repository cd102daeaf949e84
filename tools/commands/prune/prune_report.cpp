#include "commands/prune/prune_report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "ir/error.h"

namespace lathe {
namespace {

using nlohmann::json;

json head_json(const PruneRequest& request) {
  json section = {{"structure", std::string(structure_name(request.structure))},
                  {"criterion", std::string(criterion_name(request.criterion))},
                  {"scope", request.scope == PruneScope::kGlobal ? "global" : "layer"}};
  json target = json::object();
  switch (request.target) {
    case PruneTarget::kSparsity: target = {{"kind", "sparsity"}, {"share", request.share}}; break;
    case PruneTarget::kBudget:
      target = {{"kind", "budget"}, {"metric", request.budget_metric}, {"share", request.share}};
      break;
    case PruneTarget::kMaxDrop:
      target = {{"kind", "max-drop"}, {"share", request.max_drop.value_or(0)}};
      break;
  }
  section["target"] = std::move(target);
  return section;
}

int64_t removed_of(const GroupPlan& group) {
  return group.size - static_cast<int64_t>(group.kept.size());
}

std::vector<const GroupPlan*> left_alone(const PrunePlan& plan) {
  std::vector<const GroupPlan*> groups;
  for (const GroupPlan& group : plan.groups)
    if (!group.prunable) groups.push_back(&group);
  return groups;
}

}  // namespace

json plan_json(const PruneRequest& request, const PrunePlan& plan) {
  json section = head_json(request);
  json groups = json::array();
  for (const GroupPlan& group : plan.groups) {
    json row = {{"group", escape_untrusted(group.name)},
                {"description", escape_untrusted(group.description, 2000)},
                {"size", group.size},
                {"kept", group.kept.size()},
                {"removed", removed_of(group)},
                {"prunable", group.prunable},
                {"reason", escape_untrusted(group.reason, 500)}};
    if (removed_of(group) > 0) row["kept_channels"] = group.kept;
    groups.push_back(std::move(row));
  }
  section["groups"] = std::move(groups);
  section["channels"] = plan.channels;
  section["removed"] = plan.removed;
  section["blocked"] = left_alone(plan).size();
  if (request.target == PruneTarget::kBudget) section["cost_share"] = plan.cost_share;
  return section;
}

json elements_json(const PruneRequest& request, const std::vector<ElementCount>& counts) {
  json section = head_json(request);
  json weights = json::array();
  for (const ElementCount& count : counts)
    weights.push_back({{"node", escape_untrusted(count.node)},
                       {"constant", escape_untrusted(count.constant)},
                       {"elements", count.elements},
                       {"zeros", count.zeros}});
  section["weights"] = std::move(weights);
  return section;
}

std::string plan_summary(const PrunePlan& plan) {
  const auto touched = std::count_if(plan.groups.begin(), plan.groups.end(),
                                     [](const GroupPlan& group) { return removed_of(group) > 0; });
  return fmt::format("{} of {} channels removed, in {} of {} groups", plan.removed, plan.channels,
                     touched, plan.groups.size());
}

std::string elements_summary(const std::vector<ElementCount>& counts) {
  int64_t elements = 0;
  int64_t zeros = 0;
  for (const ElementCount& count : counts) {
    elements += count.elements;
    zeros += count.zeros;
  }
  return fmt::format(
      "{} of {} weights are zero ({:.1f} %)", zeros, elements,
      elements > 0 ? 100.0 * static_cast<double>(zeros) / static_cast<double>(elements) : 0.0);
}

std::vector<std::vector<std::string>> groups_table(const PrunePlan& plan, size_t count) {
  std::vector<const GroupPlan*> groups;
  for (const GroupPlan& group : plan.groups)
    if (group.prunable) groups.push_back(&group);
  std::stable_sort(groups.begin(), groups.end(), [](const GroupPlan* a, const GroupPlan* b) {
    return removed_of(*a) > removed_of(*b);
  });
  std::vector<std::vector<std::string>> rows{{"group", "channels", "kept", ""}};
  for (size_t i = 0; i < groups.size() && i < count; ++i)
    rows.push_back({escape_untrusted(groups[i]->name, 50), std::to_string(groups[i]->size),
                    std::to_string(groups[i]->kept.size()),
                    escape_untrusted(groups[i]->reason, 70)});
  if (groups.size() > count)
    rows.push_back(
        {fmt::format("and {} more; --report lists all", groups.size() - count), "", "", ""});
  return rows;
}

std::string plan_exceptions(const PrunePlan& plan, size_t count) {
  const std::vector<const GroupPlan*> groups = left_alone(plan);
  std::string text;
  for (size_t i = 0; i < groups.size() && i < count; ++i)
    text += fmt::format("  {}: {}\n", escape_untrusted(groups[i]->name, 60),
                        escape_untrusted(groups[i]->reason, 160));
  if (groups.size() > count)
    text += fmt::format("  and {} more; --report lists all\n", groups.size() - count);
  return text;
}

std::string plan_text(const PrunePlan& plan) {
  std::string text;
  for (const GroupPlan& group : plan.groups) {
    text += fmt::format("  {}: keep {} of {}", escape_untrusted(group.name, 80), group.kept.size(),
                        group.size);
    if (!group.reason.empty()) text += " (" + escape_untrusted(group.reason, 200) + ")";
    text += "\n    " + escape_untrusted(group.description, 300) + "\n";
  }
  return text;
}

}  // namespace lathe
