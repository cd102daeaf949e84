#include "commands/inspect/inspect_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "fit_report.h"
#include "os/quantity.h"
#include "peaks_report.h"

namespace lathe {
namespace {

using Rows = std::vector<std::vector<std::string>>;

constexpr size_t kShownTypes = 14;
constexpr size_t kShownValues = 8;
constexpr size_t kShownNames = 3;

std::string share_text(int64_t part, int64_t whole) {
  if (whole <= 0) return "-";
  return fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string plural(int64_t count, const std::string& word) {
  return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

// The precision that most of the work is done in; "mixed" below nine tenths.
std::string main_precision(const InspectFacts& facts) {
  if (facts.precision.empty()) return "no compute nodes";
  const auto most = std::max_element(
      facts.precision.begin(), facts.precision.end(), [](const auto& a, const auto& b) {
        return std::pair(a.second.macs, a.second.nodes) < std::pair(b.second.macs, b.second.nodes);
      });
  const bool by_work = facts.macs > 0;
  const int64_t part = by_work ? most->second.macs : most->second.nodes;
  const int64_t whole = by_work ? facts.macs : facts.compute_nodes;
  const bool clear = static_cast<double>(part) >= 0.9 * static_cast<double>(whole);
  return (clear ? "" : "mixed, mostly ") + most->first;
}

std::string macs_text(const InspectFacts& facts) {
  if (facts.unknown_nodes == 0) return count_text(facts.macs);
  return facts.macs > 0 ? "? (at least " + count_text(facts.macs) + ")" : "?";
}

void add_values(Rows& rows, const Graph& graph, const std::vector<ValueId>& ids,
                const std::string& label, bool all) {
  const size_t shown = all ? ids.size() : std::min(ids.size(), kShownValues);
  for (size_t i = 0; i < shown; ++i) {
    const Value& value = graph.value(ids[i]);
    rows.push_back({label, escape_untrusted(value.name) + "  " + type_text(value.type)});
  }
  if (shown < ids.size()) rows.push_back({label, fmt::format("… {} more", ids.size() - shown)});
}

std::string histogram_text(const std::map<std::string, int64_t>& counts,
                           std::string (*text)(int64_t)) {
  std::string out;
  for (const auto& [name, count] : counts)
    out += (out.empty() ? "" : ", ") + name + " " + text(count);
  return out.empty() ? "none" : out;
}

std::string arena_text(const InspectFacts& facts) {
  if (!facts.arena_bytes) return "?  (too many values to plan here)";
  std::string out = bytes_text(*facts.arena_bytes) + (facts.free_batch ? " at batch 1" : "");
  if (facts.unknown_values > 0)
    out = "at least " + out +
          fmt::format("  ({} of unknown size)", plural(facts.unknown_values, "value"));
  if (facts.has_subgraphs) out += "  (without subgraphs)";
  return out;
}

// "simulated 12.3 ms at the rates of raspberry_pi_4 (40 % of it bound by memory)".
std::string estimate_text(const InspectFacts& facts, const Profile& profile) {
  const EstimatedLatency& estimate = facts.estimate;
  if (!estimate.ns) return "?  (" + estimate.reason + ")";
  std::string out = fmt::format(
      "{}simulated {} at the {} rates of {}", estimate.unknown_nodes > 0 ? "at least " : "",
      duration_text(*estimate.ns), profile.rates ? escape_untrusted(profile.rates->source) : "",
      escape_untrusted(profile.name));
  if (*estimate.ns > 0)
    out += fmt::format(", {:.0f} % of it bound by memory",
                       100 * estimate.memory_bound_ns / *estimate.ns);
  return out;
}

std::string figure_text(const TargetFigure& figure, double value) {
  if (figure.unit == "ns") return duration_text(value);
  if (figure.unit == "bytes") return bytes_text(static_cast<int64_t>(value));
  return value < 1000 ? fmt::format("{:.3g}/s", value)
                      : count_text(static_cast<int64_t>(value)) + "/s";
}

// Whether the profile's targets are met, as far as a simulation and the file tell, and what would
// help; {} without targets.
Rows target_rows(const std::vector<TargetFigure>& figures, const Profile& profile,
                 const Console& console) {
  Rows rows;
  for (const TargetFigure& figure : figures) {
    std::string text = figure.what;
    if (!figure.met) {
      if (figure.limit) text += " of " + figure_text(figure, *figure.limit);
      text += ": " + figure.reason;
    } else {
      text += fmt::format(" {} of {}{}: {}", figure_text(figure, *figure.value),
                          figure_text(figure, *figure.limit),
                          figure.simulated ? ", simulated" : "",
                          *figure.met ? console.good("met") : console.bad("missed"));
      if (figure.changed) {
        const bool is_rate = figure.unit == "items/s";
        const bool holds =
            is_rate ? *figure.changed >= *figure.limit : *figure.changed <= *figure.limit;
        text += fmt::format("; with {} about {}{}", figure.change,
                            figure_text(figure, *figure.changed), holds ? ", met" : "");
      }
    }
    rows.push_back({rows.empty() ? "targets" : "", std::move(text)});
  }
  if (!rows.empty())
    rows.push_back({"", "more of them: lathe bench MODEL --gate-profile " +
                            escape_untrusted(profile.name, 60)});
  return rows;
}

std::string precision_text(const InspectFacts& facts) {
  std::string out;
  for (const auto& [name, share] : facts.precision) {
    if (!out.empty()) out += ", ";
    out +=
        fmt::format("{} {} of {}", name, share.nodes, plural(facts.compute_nodes, "compute node"));
    if (facts.macs > 0) out += fmt::format(" ({} of MACs)", share_text(share.macs, facts.macs));
  }
  return out.empty() ? "-" : out;
}

// Types that lathe does not know, with the first of their nodes.
std::string custom_text(const InspectFacts& facts) {
  std::string out;
  for (const InspectOpType& type : facts.types) {
    if (type.understood) continue;
    if (!out.empty()) out += "; ";
    out += fmt::format("{} ({}:", type.type, plural(type.nodes, "node"));
    size_t shown = 0;
    for (const InspectNode& node : facts.nodes)
      if (node.type == type.type && shown < kShownNames)
        out += (shown++ > 0 ? ", " : " ") + node.name;
    out += static_cast<int64_t>(shown) < type.nodes ? ", …)" : ")";
  }
  return out;
}

std::string support_text(const InspectOpType& type) {
  if (!type.understood) return "unknown op";
  switch (type.support) {
    case Support::kInteger: return fmt::format("{}", fmt::join(type.configs, ", "));
    case Support::kPassThrough: return "pass-through";
    case Support::kAlready: return "integer already";
    case Support::kFloat: break;
  }
  // A clamp becomes a part of the integer op before it.
  return type.type == "Relu" || type.type == "Clip" ? "float, unless fused" : "float";
}

std::string types_text(const InspectFacts& facts, const Profile& profile, bool all,
                       const Console& console) {
  Rows rows{{console.bold("op"), console.bold("nodes"), console.bold("MACs"), console.bold("share"),
             console.bold("on " + escape_untrusted(profile.name))}};
  const bool fits = all || facts.types.size() <= kShownTypes + 1;
  const size_t shown = fits ? facts.types.size() : kShownTypes;
  for (size_t i = 0; i < shown; ++i) {
    const InspectOpType& type = facts.types[i];
    std::string macs = type.computes ? count_text(type.macs) : "";
    if (type.unknown_nodes > 0) macs = type.macs > 0 ? "> " + macs : "?";
    rows.push_back({type.type, std::to_string(type.nodes), macs,
                    type.macs > 0 ? share_text(type.macs, facts.macs) : "", support_text(type)});
  }
  std::string out = table(rows);
  if (shown < facts.types.size()) {
    int64_t nodes = 0;
    for (size_t i = shown; i < facts.types.size(); ++i) nodes += facts.types[i].nodes;
    out += console.dim(fmt::format("  … {} more types, {} (-v lists them)\n",
                                   facts.types.size() - shown, plural(nodes, "node")));
  }
  return out;
}

std::string nodes_text(const InspectFacts& facts, const Console& console) {
  Rows rows{{console.bold("node"), console.bold("op"), console.bold("output"), console.bold("MACs"),
             console.bold("precision"), console.bold("support")}};
  for (const InspectNode& node : facts.nodes)
    rows.push_back({(node.in_subgraph ? "  " : "") + node.name, node.type, node.output,
                    !node.computes ? ""
                    : node.macs    ? count_text(*node.macs)
                                   : "?",
                    node.precision, support_name(node.support)});
  return "\n" + table(rows);
}

std::string origin_text(const Model& model, const ModelFacts& file) {
  std::string out = fmt::format("{}, opset {}, IR {}", bytes_text(file.file_bytes), model.opset,
                                model.ir_version);
  for (const auto& [domain, version] : model.other_opsets)
    out += fmt::format(", {} {}", escape_untrusted(domain, 60), version);
  if (!model.producer_name.empty()) out += ", by " + escape_untrusted(model.producer_name, 60);
  if (!model.producer_version.empty()) out += " " + escape_untrusted(model.producer_version, 60);
  return out;
}

nlohmann::json value_json(const Value& value) {
  nlohmann::json shape;
  if (value.type.dims) {
    shape = nlohmann::json::array();
    for (const Dim& dim : *value.type.dims) {
      if (dim.known())
        shape.push_back(dim.size);
      else if (dim.symbol.empty())
        shape.push_back(nullptr);
      else
        shape.push_back(escape_untrusted(dim.symbol));
    }
  }
  return {{"name", escape_untrusted(value.name)},
          {"dtype", value.type.is_tensor() ? std::string(dtype_name(value.type.dtype))
                                           : type_text(value.type)},
          {"shape", std::move(shape)}};
}

nlohmann::json values_json(const Graph& graph, const std::vector<ValueId>& ids) {
  nlohmann::json out = nlohmann::json::array();
  for (const ValueId id : ids) out.push_back(value_json(graph.value(id)));
  return out;
}

std::optional<double> ratio(int64_t part, int64_t whole) {
  if (whole <= 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

nlohmann::json type_json(const InspectOpType& type, int64_t all_macs) {
  nlohmann::json out{{"type", type.type},
                     {"nodes", type.nodes},
                     {"known_macs", type.macs},
                     {"unknown_macs_nodes", type.unknown_nodes},
                     {"understood", type.understood},
                     {"support", support_name(type.support)},
                     {"configs", type.configs}};
  put_or_reason(out, "macs_share", ratio(type.macs, all_macs), "no MACs are known");
  return out;
}

}  // namespace

std::string inspect_text(const Model& model, const ModelFacts& file, const InspectFacts& facts,
                         const Fit& fit, const std::vector<TargetFigure>& targets,
                         const Profile& profile, bool all, const Console& console) {
  const Graph& graph = model.graph;
  const std::string custom = custom_text(facts);
  std::string out = fmt::format(
      "{}: {}, {} parameters, {} MACs, {}\n", console.bold(escape_untrusted(file.path_basename)),
      main_precision(facts), count_text(file.params.value_or(0)), macs_text(facts),
      custom.empty() ? "every op is known" : console.bad("has ops that lathe does not know"));

  Rows rows{{"file", origin_text(model, file)}};
  add_values(rows, graph, graph.inputs(), "input", all);
  add_values(rows, graph, graph.outputs(), "output", all);
  rows.push_back({"parameters", histogram_text(file.dtype_histogram, count_text)});
  rows.push_back({"weights", histogram_text(facts.weights_by_dtype, bytes_text)});
  std::string macs = macs_text(facts) + (facts.free_batch ? " at batch 1" : "");
  if (facts.unknown_nodes > 0)
    macs += fmt::format("  ({} of {} compute nodes have unknown shapes)", facts.unknown_nodes,
                        facts.compute_nodes);
  rows.push_back({"MACs", macs});
  rows.push_back({"arena", arena_text(facts)});
  rows.push_back({"precision", precision_text(facts)});
  std::string coverage =
      fmt::format("{}: {} of {} nodes can be integer", escape_untrusted(profile.name),
                  facts.integer_nodes, facts.nodes.size());
  if (facts.macs > 0)
    coverage += fmt::format(" ({} of MACs)", share_text(facts.integer_macs, facts.macs));
  rows.push_back({"profile", coverage});
  rows.push_back({"latency", estimate_text(facts, profile)});
  if (!custom.empty()) rows.push_back({"unknown", custom});
  for (std::vector<std::string>& row : fit_rows(fit, profile, console))
    rows.push_back(std::move(row));
  for (std::vector<std::string>& row : target_rows(targets, profile, console))
    rows.push_back(std::move(row));
  out += table(rows) + "\n" + types_text(facts, profile, all, console);
  if (all) out += nodes_text(facts, console);
  return out;
}

nlohmann::json inspect_json(const Model& model, const InspectFacts& facts, const Profile& profile,
                            bool all) {
  using nlohmann::json;
  json types = json::array();
  json unknown = json::array();
  for (const InspectOpType& type : facts.types) {
    types.push_back(type_json(type, facts.macs));
    if (!type.understood) unknown.push_back(type.type);
  }
  json precision = json::array();
  for (const auto& [name, share] : facts.precision)
    precision.push_back({{"precision", name}, {"nodes", share.nodes}, {"known_macs", share.macs}});
  json memory{{"alignment", profile.memory.arena_alignment},
              {"unknown_values", facts.unknown_values},
              {"without_subgraphs", facts.has_subgraphs}};
  put_or_reason(memory, "arena_bytes", facts.arena_bytes, "too many values to plan");
  json coverage{{"profile", profile.name},
                {"nodes", static_cast<int64_t>(facts.nodes.size())},
                {"integer_nodes", facts.integer_nodes},
                {"integer_macs", facts.integer_macs}};
  put_or_reason(coverage, "macs_share", ratio(facts.integer_macs, facts.macs), "no MACs are known");
  json out{{"inputs", values_json(model.graph, model.graph.inputs())},
           {"outputs", values_json(model.graph, model.graph.outputs())},
           {"ir_version", model.ir_version},
           {"producer", escape_untrusted(model.producer_name)},
           {"producer_version", escape_untrusted(model.producer_version)},
           {"batch_counts_as_one", facts.free_batch},
           {"known_macs", facts.macs},
           {"compute_nodes", facts.compute_nodes},
           {"unknown_macs_nodes", facts.unknown_nodes},
           {"ops", std::move(types)},
           {"unknown_ops", std::move(unknown)},
           {"precision", std::move(precision)},
           {"weights_bytes_by_dtype", facts.weights_by_dtype},
           {"memory", std::move(memory)},
           {"coverage", std::move(coverage)},
           {"estimated_latency", estimate_json(facts.estimate, all)}};
  if (profile.rates) out["estimated_latency"]["rates_note"] = escape_untrusted(profile.rates->note);
  if (!all) return out;
  json nodes = json::array();
  for (const InspectNode& node : facts.nodes) {
    json row{{"name", node.name},
             {"type", node.type},
             {"output", node.output},
             {"in_subgraph", node.in_subgraph},
             {"support", support_name(node.support)}};
    if (node.computes) row["precision"] = node.precision;
    put_or_reason(row, "macs", node.macs, "shapes are not known");
    nodes.push_back(std::move(row));
  }
  out["nodes"] = std::move(nodes);
  return out;
}

}  // namespace lathe
