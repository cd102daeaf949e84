#include "heavy/manifest.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

#include "ir/error.h"
#include "model_facts.h"
#include "ops/activation_fusion.h"
#include "qdq/activation_buffers.h"

namespace lathe {
namespace {

using nlohmann::json;

// Sums over the rounds, in the order in which the passes first changed something.
json pass_rows(const Report& report) {
  std::vector<std::pair<std::string, int64_t>> sums;
  for (const StepRow& step : report.steps) {
    if (step.changes == 0) continue;
    const auto it = std::find_if(sums.begin(), sums.end(),
                                 [&](const auto& sum) { return sum.first == step.pass; });
    if (it != sums.end())
      it->second += step.changes;
    else
      sums.emplace_back(step.pass, step.changes);
  }
  json rows = json::array();
  for (const auto& [pass, changes] : sums) rows.push_back({{"pass", pass}, {"changes", changes}});
  return rows;
}

}  // namespace

int64_t count_nodes(const Graph& graph) {
  int64_t count = 0;
  for_each_graph(graph,
                 [&](const Graph& inner) { count += static_cast<int64_t>(inner.node_count()); });
  return count;
}

json coverage_json(const Graph& graph, const Profile& profile) {
  struct Row {
    int64_t nodes = 0;
    OpKind kind = OpKind::kOpaque;
  };
  std::map<std::string, Row> rows;
  for_each_graph(graph, [&](const Graph& inner) {
    for (const NodeId id : inner.node_ids()) {
      const Node& node = inner.node(id);
      Row& row = rows[escape_untrusted(node.type_name())];
      ++row.nodes;
      row.kind = node.kind;
    }
  });
  int64_t integer = 0;
  int64_t moved = 0;
  int64_t total = 0;
  json ops = json::object();
  for (const auto& [type, row] : rows) {
    json configs = json::array();
    for (const PrecisionConfig* config : allowed_configs(profile, row.kind))
      configs.push_back(config->name);
    total += row.nodes;
    if (!configs.empty())
      integer += row.nodes;
    else if (profile.precision.pass_through.contains(row.kind))
      moved += row.nodes;
    ops[type] = {{"nodes", row.nodes}, {"configs", std::move(configs)}};
  }
  return {{"integer_nodes", integer},
          {"pass_through_nodes", moved},
          {"float_nodes", total - integer - moved},
          {"total_nodes", total},
          {"float16", profile.precision.float16},
          {"ops", std::move(ops)}};
}

namespace {

// What a runtime may compute in one pass: markers for whoever executes the artifact.
json fusion_rows(const Graph& graph) {
  json rows = json::array();
  for (const ActivationFusion& pair : plan_activation_fusion(graph).pairs)
    rows.push_back({{"node", escape_untrusted(graph.node(pair.producer).name)},
                    {"activation", escape_untrusted(graph.node(pair.activation).name)},
                    {"form", activation_text(pair.form)}});
  return rows;
}

}  // namespace

json manifest_json(const CommandRun& run, const Graph& before, const Graph& after,
                   std::string_view engine) {
  const Report& report = run.report;
  const Profile& profile = run.profile;
  json manifest = {{"schema", "lathe.manifest"},
                   {"schema_version", "1.0"},
                   {"lathe_version", report.tool.version},
                   {"command", report.run.command},
                   {"source_sha256", report.model->sha256},
                   {"source_bytes", report.model->file_bytes},
                   {"recipe", report.recipe},
                   {"passes", pass_rows(report)},
                   {"nodes_before", count_nodes(before)},
                   {"nodes_after", count_nodes(after)},
                   {"op_coverage", coverage_json(after, profile)},
                   {"activation_fusions", fusion_rows(after)},
                   {"expected_environment",
                    {{"engine", engine}, {"profile", profile.name}, {"isa", profile.cpu.isa}}}};
  put_or_reason(manifest, "arena_bytes",
                planned_arena_bytes(activation_buffers(after), profile.memory.arena_alignment),
                "too many values to plan");
  return manifest;
}

}  // namespace lathe
