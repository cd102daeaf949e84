#include "commands/inspect/inspect_plan.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "commands/inspect/inspect_graph.h"
#include "os/quantity.h"

namespace lathe {
namespace {

using Rows = std::vector<std::vector<std::string>>;

struct KindCount {
  std::string kind;
  int64_t steps = 0;
  int64_t macs = 0;
};

// Most MACs first, then most steps.
std::vector<KindCount> count_kinds(const Graph& graph) {
  std::map<std::string, KindCount> by_name;
  for (const NodeId id : graph.node_ids()) {
    const Node& node = graph.node(id);
    KindCount& count = by_name[std::string(node.type_name())];
    count.kind = node.type_name();
    ++count.steps;
    count.macs += node.attributes.int_or("macs", 0);
  }
  std::vector<KindCount> kinds;
  for (auto& [name, count] : by_name) kinds.push_back(std::move(count));
  std::stable_sort(kinds.begin(), kinds.end(), [](const KindCount& a, const KindCount& b) {
    return std::pair(a.macs, a.steps) > std::pair(b.macs, b.steps);
  });
  return kinds;
}

std::string batch_text(const PlanFile& file) { return file.batch_two.empty() ? "fixed" : "free"; }

void add_ends(Rows& rows, const Graph& graph, const std::vector<ValueId>& ids,
              const std::string& label) {
  for (const ValueId id : ids)
    rows.push_back(
        {label, escape_untrusted(graph.value(id).name) + "  " + type_text(graph.value(id).type)});
}

}  // namespace

std::string plan_text(const PlanFile& file, const Graph& graph, const ModelFacts& facts, bool all,
                      const Console& console) {
  const NativePlan& plan = file.plan;
  const PlanMetadata& metadata = file.metadata;
  std::string out = fmt::format("{}: a native plan of {} steps, {} MACs, {}\n",
                                console.bold(escape_untrusted(facts.path_basename)),
                                plan.steps.size(), count_text(facts.macs.value_or(0)),
                                file.partitions.empty()
                                    ? "runs anywhere on x86_64 with liblathe_rt"
                                    : console.bad("needs lathe: nodes without a native kernel"));
  Rows rows{{"file", fmt::format("{}, by {}", bytes_text(facts.file_bytes),
                                 escape_untrusted(metadata.producer, 60))}};
  rows.push_back({"made from", "sha256 " + escape_untrusted(metadata.source_sha256.substr(0, 16))});
  rows.push_back({"profile", escape_untrusted(metadata.profile, 60)});
  if (!metadata.fingerprint.empty())
    rows.push_back({"tuned for", escape_untrusted(metadata.fingerprint, 80)});
  add_ends(rows, graph, graph.inputs(), "input");
  add_ends(rows, graph, graph.outputs(), "output");
  rows.push_back({"batch", batch_text(file)});
  rows.push_back({"constants", bytes_text(static_cast<int64_t>(plan.constants.size()))});
  rows.push_back({"arena", fmt::format("{} (at least {})", bytes_text(plan.arena_bytes),
                                       bytes_text(plan.arena_lower_bound))});
  out += table(rows) + "\n";
  rows = {{console.bold("step"), console.bold("number"), console.bold("MACs")}};
  for (const KindCount& kind : count_kinds(graph))
    rows.push_back({kind.kind, std::to_string(kind.steps),
                    kind.macs > 0 ? count_text(kind.macs) : std::string()});
  out += table(rows);
  if (!all) return out;
  rows = {
      {console.bold("node"), console.bold("step"), console.bold("output"), console.bold("MACs")}};
  for (const NodeId id : graph.node_ids()) {
    const Node& node = graph.node(id);
    const int64_t macs = node.attributes.int_or("macs", 0);
    rows.push_back({escape_untrusted(node.name), std::string(node.type_name()),
                    node.outputs.empty() ? "" : type_text(graph.value(node.outputs[0]).type),
                    macs > 0 ? count_text(macs) : std::string()});
  }
  return out + "\n" + table(rows);
}

nlohmann::json plan_json(const PlanFile& file, const Graph& graph) {
  nlohmann::json kinds = nlohmann::json::object();
  for (const KindCount& kind : count_kinds(graph))
    kinds[kind.kind] = {{"steps", kind.steps}, {"macs", kind.macs}};
  const PlanMetadata& metadata = file.metadata;
  return {{"producer", escape_untrusted(metadata.producer)},
          {"source_sha256", escape_untrusted(metadata.source_sha256)},
          {"profile", escape_untrusted(metadata.profile)},
          {"fingerprint", escape_untrusted(metadata.fingerprint)},
          {"batch", batch_text(file)},
          {"needs_lathe", !file.partitions.empty()},
          {"constants_bytes", file.plan.constants.size()},
          {"arena_bytes", file.plan.arena_bytes},
          {"arena_lower_bound_bytes", file.plan.arena_lower_bound},
          {"kinds", std::move(kinds)}};
}

}  // namespace lathe
