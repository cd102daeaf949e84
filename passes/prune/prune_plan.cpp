#include "prune/prune_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <tuple>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr const char* kSingle = "has a single channel";

bool selects(const std::vector<Selector>& selectors, const Graph& graph,
             const ChannelGroup& group) {
  for (const ChannelUse& use : group.uses) {
    if (use.role != ChannelRole::kProduces) continue;
    const Node& node = graph.node(use.node);
    if (matches_any(selectors, node.name, node.type_name())) return true;
  }
  return matches_any(selectors, group.name, {});
}

// Why a group is left alone; empty: it takes part.
std::string obstacle(const Graph& graph, const ChannelGroup& group, const ChoiceOptions& options) {
  if (!group.blocked.empty()) return group.blocked;
  if (options.kind == GroupKind::kChannels && group.hidden_units)
    return "hidden units, not channels: --structure unit";
  if (options.kind == GroupKind::kHiddenUnits && !group.hidden_units)
    return "channels, not hidden units: --structure channel";
  if (!options.include.empty() && !selects(options.include, graph, group))
    return "not among --include";
  if (selects(options.exclude, graph, group)) return "excluded by --exclude";
  if (group.size < 2) return kSingle;
  return {};
}

std::vector<int32_t> ranked(const std::vector<double>& scores) {
  std::vector<int32_t> ranking(scores.size());
  std::iota(ranking.begin(), ranking.end(), 0);
  std::stable_sort(ranking.begin(), ranking.end(), [&](int32_t a, int32_t b) {
    return scores[static_cast<size_t>(a)] < scores[static_cast<size_t>(b)];
  });
  return ranking;
}

bool has_bodies(const Graph& graph) {
  const std::vector<NodeId> nodes = graph.node_ids();
  return std::any_of(nodes.begin(), nodes.end(),
                     [&](NodeId id) { return !graph.node(id).subgraphs.empty(); });
}

[[noreturn]] void throw_nothing_prunable(const Graph& graph, const PrunePlan& plan) {
  constexpr size_t kNamed = 6;
  std::string message = "nothing can be pruned";
  for (size_t i = 0; i < plan.groups.size() && i < kNamed; ++i)
    message += fmt::format("{} {}: {}", i == 0 ? ":" : ";",
                           escape_untrusted(plan.groups[i].name, 60),
                           escape_untrusted(plan.groups[i].reason, 200));
  if (plan.groups.size() > kNamed)
    message += fmt::format("; and {} groups more", plan.groups.size() - kNamed);
  if (plan.groups.empty())
    message += has_bodies(graph)
                   ? ": its layers are in bodies of If, Loop or Scan, which are not entered"
                   : ": no layer has constant weights to slice";
  throw bad_input("prune.nothing", message, {},
                  plan.groups.empty() ? "" : "--structure element can still mask single weights");
}

}  // namespace

KeptChannels PrunePlan::kept() const {
  KeptChannels all;
  for (const GroupPlan& group : groups) all.push_back(group.kept);
  return all;
}

int64_t vector_width(const Profile& profile) {
  const std::set<std::string> isa(profile.cpu.isa.begin(), profile.cpu.isa.end());
  const auto any = [&](std::initializer_list<const char*> names) {
    return std::any_of(names.begin(), names.end(),
                       [&](const char* name) { return isa.contains(name); });
  };
  if (any({"avx512f"})) return 16;
  if (any({"avx", "avx2"})) return 8;
  if (any({"asimd", "neon", "sse", "sse2", "mve", "helium"}) || profile.cpu.arch == "x86_64" ||
      profile.cpu.arch == "aarch64")
    return 4;
  return 1;
}

RemovalOrder::RemovalOrder(const Graph& graph, const std::vector<ChannelGroup>& groups,
                           const std::vector<GroupScores>& scores, const ChoiceOptions& options)
    : options_(options), ranking_(groups.size()) {
  if (scores.size() != groups.size()) throw InternalError("scores do not fit the groups");
  for (size_t i = 0; i < groups.size(); ++i) {
    const ChannelGroup& group = groups[i];
    GroupPlan row{group.name, group.description, group.size, {}, {}, {}, false};
    row.kept.resize(static_cast<size_t>(group.size));
    std::iota(row.kept.begin(), row.kept.end(), 0);
    row.reason = obstacle(graph, group, options);
    row.prunable = row.reason.empty() && scores[i].scores.size() == row.kept.size();
    if (row.prunable) {
      row.reason = scores[i].note;
      row.scores = scores[i].scores;
      start_.channels += group.size;
      ranking_[i] = ranked(row.scores);
      for (int32_t rank = 0; rank + 1 < group.size; ++rank) {
        const int32_t index = ranking_[i][static_cast<size_t>(rank)];
        const double key = options.scope == PruneScope::kGlobal
                               ? row.scores[static_cast<size_t>(index)]
                               : static_cast<double>(rank + 1) / group.size;
        order_.push_back({key, static_cast<int32_t>(i), rank});
      }
    }
    // The last channel of a group that was pruned before still counts for the whole.
    if (row.reason == kSingle && original_size(row) > 1) {
      ++lone_;
      lone_original_ += original_size(row);
    }
    start_.groups.push_back(std::move(row));
  }
  if (order_.empty() && !options.allow_nothing) throw_nothing_prunable(graph, start_);
  std::stable_sort(order_.begin(), order_.end(), [](const Channel& a, const Channel& b) {
    return std::tie(a.key, a.group, a.index) < std::tie(b.key, b.group, b.index);
  });
}

int64_t RemovalOrder::rounded_up(int64_t kept, int64_t size) const {
  const int64_t unit = std::max<int64_t>(1, options_.round_to);
  if (unit == 1 || (options_.round_large_only && size < 4 * unit)) return kept;
  return std::min(size, (kept + unit - 1) / unit * unit);
}

PrunePlan RemovalOrder::finish(std::vector<int64_t> removed) const {
  PrunePlan plan = start_;
  for (size_t i = 0; i < plan.groups.size(); ++i) {
    GroupPlan& group = plan.groups[i];
    if (!group.prunable) continue;
    const int64_t kept = rounded_up(group.size - removed[i], group.size);
    if (kept == group.size && removed[i] > 0)
      group.reason = fmt::format("all {} kept: multiples of {}", kept, options_.round_to);
    const std::vector<int32_t>& ranking = ranking_[i];
    group.kept.assign(ranking.end() - static_cast<std::ptrdiff_t>(kept), ranking.end());
    std::sort(group.kept.begin(), group.kept.end());
    plan.removed += group.size - kept;
  }
  return plan;
}

PrunePlan RemovalOrder::plan(int64_t count) const {
  std::vector<int64_t> removed(start_.groups.size(), 0);
  const int64_t last = std::min(count, removable());
  for (int64_t i = 0; i < last; ++i)
    ++removed[static_cast<size_t>(order_[static_cast<size_t>(i)].group)];
  return finish(std::move(removed));
}

int64_t RemovalOrder::original_size(const GroupPlan& group) const {
  const auto found = options_.original_sizes.find(group.name);
  return found == options_.original_sizes.end() ? group.size
                                                : std::max<int64_t>(group.size, found->second);
}

PrunePlan RemovalOrder::plan_counts(const std::vector<int64_t>& removed) const {
  std::vector<int64_t> counts(start_.groups.size(), 0);
  for (size_t i = 0; i < counts.size() && i < removed.size(); ++i)
    if (start_.groups[i].prunable)
      counts[i] = std::clamp<int64_t>(removed[i], 0, start_.groups[i].size - 1);
  return finish(std::move(counts));
}

PrunePlan RemovalOrder::plan_sparsity(double sparsity) const {
  if (options_.scope == PruneScope::kGlobal) {
    int64_t original = 0;
    for (const GroupPlan& group : start_.groups)
      if (group.prunable) original += original_size(group);
    const int64_t kept = kept_count(sparsity, original + lone_original_);
    return plan(std::max<int64_t>(0, start_.channels + lone_ - kept));
  }
  std::vector<int64_t> removed(start_.groups.size(), 0);
  for (size_t i = 0; i < removed.size(); ++i)
    removed[i] = start_.groups[i].size - kept_count(sparsity, original_size(start_.groups[i]));
  return plan_counts(removed);
}

}  // namespace lathe
