#include "commands/inspect/target_figures.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "profiles/fit_changes.h"
#include "report/fields.h"

namespace lathe {
namespace {

// A value with one change after the other.
struct Changed {
  std::string change;
  double value = 0;
};

std::vector<Changed> latency_changes(const InspectFacts& facts, bool has_pictures) {
  std::vector<Changed> changes;
  std::string names;
  double value = *facts.estimate.ns;
  const auto add = [&](const char* name, double to) {
    names += (names.empty() ? "" : " + ") + std::string(name);
    changes.push_back({names, value = to});
  };
  if (facts.int8_ns && *facts.int8_ns < value) add("int8", *facts.int8_ns);
  if (has_pictures) add("half the resolution", value / 4);
  add("half the channels", value / 4);
  return changes;
}

std::vector<Changed> file_changes(const InspectFacts& facts, int64_t file_bytes,
                                  int64_t weights_bytes) {
  const auto floats = facts.weights_by_dtype.find(std::string(dtype_name(DType::kFloat32)));
  const double narrow =
      floats == facts.weights_by_dtype.end() ? 0 : 0.75 * static_cast<double>(floats->second);
  std::vector<Changed> changes;
  double value = static_cast<double>(file_bytes);
  std::string names;
  if (facts.int8_ns && narrow > 0) changes.push_back({names = "int8", value -= narrow});
  const double weights = static_cast<double>(weights_bytes) - (names.empty() ? 0 : narrow);
  changes.push_back({names + (names.empty() ? "" : " + ") + "half the channels",
                     value - 0.75 * std::min(weights, value)});
  return changes;
}

void judge(TargetFigure& figure, const std::vector<Changed>& changes, bool smaller_is_better,
           double scale = 1) {
  if (!figure.value || !figure.limit) return;
  const auto holds = [&](double value) {
    return smaller_is_better ? value <= *figure.limit : value >= *figure.limit;
  };
  figure.met = holds(*figure.value);
  if (*figure.met) return;
  for (const Changed& each : changes) {
    figure.change = each.change;
    figure.changed = smaller_is_better ? each.value * scale : scale / each.value;
    if (holds(*figure.changed)) return;
  }
}

bool has_pictures(const Graph& graph) {
  return std::ranges::any_of(graph.inputs(), [&](ValueId id) {
    const ValueType& type = graph.value(id).type;
    return type.dims && type.dims->size() == 4;
  });
}

}  // namespace

std::vector<TargetFigure> target_figures(const Graph& graph, const InspectFacts& facts,
                                         int64_t file_bytes, const Fit& fit,
                                         const Profile& profile) {
  const TargetProfile& targets = profile.targets;
  std::vector<TargetFigure> figures;
  const int64_t items = stated_batch(graph);
  const bool is_known = facts.estimate.ns && facts.estimate.unknown_nodes == 0;
  const std::vector<Changed> changes =
      is_known ? latency_changes(facts, has_pictures(graph)) : std::vector<Changed>();
  const char* unknown = "not simulated, shapes are not known";
  const auto most = latency_target_ms(targets, facts.macs / items);
  if (most || !targets.latency_classes.empty()) {
    TargetFigure latency{"latency", "ns", {}, {}, {}, true, {}, {}, {}};
    if (most) latency.limit = 1e6 * *most;
    if (is_known) latency.value = facts.estimate.ns;
    if (!most)
      latency.reason = fmt::format("there is none for networks of more than {} MACs",
                                   count_text(targets.latency_classes.back().max_macs));
    else if (!is_known)
      latency.reason = unknown;
    judge(latency, changes, true);
    figures.push_back(std::move(latency));
  }
  if (targets.throughput_per_s) {
    const double scale = 1e9 * static_cast<double>(items);
    TargetFigure rate{"throughput", "items/s", {}, targets.throughput_per_s, {}, true, {}, {}, {}};
    if (is_known && *facts.estimate.ns > 0)
      rate.value = scale / *facts.estimate.ns;
    else
      rate.reason = unknown;
    judge(rate, changes, false, scale);
    figures.push_back(std::move(rate));
  }
  if (targets.size_bytes) {
    TargetFigure file{"file", "bytes", static_cast<double>(file_bytes),
                      static_cast<double>(*targets.size_bytes), {}, false, {}, {}, {}};
    judge(file, file_changes(facts, file_bytes, fit.weights_bytes), true);
    figures.push_back(std::move(file));
  }
  if (targets.ram_bytes) {
    TargetFigure ram{"RAM", "bytes", static_cast<double>(fit.ram_bytes),
                     static_cast<double>(*targets.ram_bytes), {}, false, {}, {}, {}};
    std::vector<Changed> smaller;
    for (const FitChange& change : fit.changes)
      smaller.push_back({change.what, static_cast<double>(change.ram_bytes)});
    judge(ram, smaller, true);
    figures.push_back(std::move(ram));
  }
  return figures;
}

nlohmann::json target_json(const std::vector<TargetFigure>& figures) {
  using nlohmann::json;
  json rows = json::array();
  for (const TargetFigure& figure : figures) {
    json row{{"what", figure.what}, {"unit", figure.unit}, {"simulated", figure.simulated}};
    put_or_reason(row, "value", figure.value, figure.reason);
    put_or_reason(row, "limit", figure.limit, figure.reason);
    put_or_reason(row, "met", figure.met, figure.reason);
    if (figure.changed)
      row["estimated"] = {{"change", figure.change}, {"value", *figure.changed}};
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace lathe
