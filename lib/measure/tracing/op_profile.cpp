#include "tracing/op_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "statistics/statistics.h"
#include "tracing/observed_engine.h"

namespace lathe {
namespace {

// Durations that are kept: 128 MiB of them.
constexpr size_t kMaxDurations = 16u << 20;

std::string producer_name(const Graph& graph, const Node& node) {
  for (const ValueId input : node.inputs) {
    if (!input.valid() || graph.constant(input) != nullptr) continue;
    const NodeId producer = graph.value(input).producer;
    return producer.valid() ? graph.node(producer).name : std::string();
  }
  return {};
}

OpTime describe(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  OpTime op;
  op.node = id;
  op.name = node.name;
  op.type = std::string(node.type_name());
  if (node.output(0).valid()) op.output = graph.value(node.output(0)).name;
  op.producer = producer_name(graph, node);
  op.cost = op_cost(graph, id);
  return op;
}

}  // namespace

OpProfile profile_ops(Engine& engine, const Graph& graph, std::span<const Shape> shapes,
                      const OpProfileOptions& options, const Conduct& conduct) {
  OpProfile profile;
  if (!engine.observe([](NodeId, int64_t) {})) {
    profile.reason =
        fmt::format("the {} engine does not tell the times of its nodes", engine.name());
    return profile;
  }
  engine.observe({});
  const std::vector<NodeId> order = graph.order();
  size_t slots = 0;
  for (const NodeId id : order) slots = std::max(slots, static_cast<size_t>(id.index) + 1);
  const size_t max_runs =
      std::clamp<size_t>(kMaxDurations / std::max<size_t>(1, order.size()), 1, options.max_runs);
  const size_t min_runs = std::min(options.min_runs, max_runs);
  std::vector<std::vector<double>> durations(slots);

  std::vector<double> plain;
  std::vector<double> profiled;
  const auto timed = [&](size_t iteration) {
    const int64_t start = conduct.clock();
    engine.execute(iteration);
    return static_cast<double>(conduct.clock() - start);
  };
  const int64_t start = conduct.clock();
  for (size_t run = 0; run < max_runs; ++run) {
    if (conduct.interrupted()) {
      profile.interrupted = true;
      break;
    }
    if (run >= min_runs && conduct.clock() - start >= options.max_ns) break;
    plain.push_back(timed(run));
    const ObservedEngine observed(engine, [&](NodeId id, int64_t duration_ns) {
      durations[static_cast<size_t>(id.index)].push_back(static_cast<double>(duration_ns));
    });
    profiled.push_back(timed(run));
  }
  profile.runs = profiled.size();
  if (profiled.empty()) {
    profile.reason = "interrupted before the first run";
    return profile;
  }

  profile.plain_ns = median(plain);
  profile.profiled_ns = median(profiled);
  profile.overhead_ratio = profile.plain_ns > 0 ? profile.profiled_ns / profile.plain_ns : 1;
  double whole = 0;
  for (const double run : profiled) whole += run;
  const Graph shaped = with_input_shapes(graph, shapes);
  double attributed = 0;
  for (const NodeId id : order) {
    std::vector<double>& calls = durations[static_cast<size_t>(id.index)];
    if (calls.empty()) continue;
    OpTime op = describe(shaped, id);
    op.calls = calls.size();
    for (const double call : calls) op.total_ns += call;
    op.share = whole > 0 ? op.total_ns / whole : 0;
    op.median_ns = median(calls);
    attributed += op.total_ns;
    profile.ops.push_back(std::move(op));
  }
  profile.unattributed_ns = std::max(0.0, whole - attributed) / static_cast<double>(profile.runs);
  profile.unattributed_share = whole > 0 ? std::max(0.0, 1 - attributed / whole) : 0;
  return profile;
}

std::vector<OpTypeTime> time_by_type(const OpProfile& profile) {
  std::map<std::string, OpTypeTime> types;
  for (const OpTime& op : profile.ops) {
    const auto [place, is_new] = types.try_emplace(op.type);
    OpTypeTime& type = place->second;
    if (is_new) type.macs = 0;
    type.type = op.type;
    ++type.nodes;
    type.calls += op.calls;
    type.total_ns += op.total_ns;
    type.share += op.share;
    int64_t bytes = 0;
    type.bytes = __builtin_add_overflow(type.bytes, op.cost.bytes(), &bytes)
                     ? std::numeric_limits<int64_t>::max()
                     : bytes;
    int64_t macs = 0;
    if (!type.macs || !op.cost.macs || __builtin_add_overflow(*type.macs, *op.cost.macs, &macs))
      type.macs = std::nullopt;
    else
      type.macs = macs;
  }
  std::vector<OpTypeTime> out;
  for (auto& [name, type] : types) out.push_back(std::move(type));
  std::stable_sort(out.begin(), out.end(), [](const OpTypeTime& a, const OpTypeTime& b) {
    return a.total_ns > b.total_ns;
  });
  return out;
}

std::vector<size_t> slowest_ops(const OpProfile& profile) {
  std::vector<size_t> indices(profile.ops.size());
  for (size_t i = 0; i < indices.size(); ++i) indices[i] = i;
  std::stable_sort(indices.begin(), indices.end(), [&](size_t a, size_t b) {
    return profile.ops[a].total_ns > profile.ops[b].total_ns;
  });
  return indices;
}

}  // namespace lathe
