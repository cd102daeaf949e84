#include "commands/bench/text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "commands/bench/deployed.h"
#include "commands/bench/emulated.h"
#include "commands/bench/remote.h"
#include "commands/bench/soak.h"
#include "commands/bench/text_parts.h"
#include "heavy/error_rows.h"
#include "ir/error.h"
#include "os/quantity.h"
#include "report/fields.h"
#include "report/headline.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;
using Row = std::vector<std::string>;

const json& element(const json& list, size_t i) {
  static const json nothing;
  return i < list.size() ? list[i] : nothing;
}
const json& candidate_of(const json& report) { return element(list_field(report, "cases"), 0); }
// The case of --against; null without.
const json& against_of(const json& report) { return element(list_field(report, "cases"), 1); }
const json& compared_of(const json& report) {
  return element(list_field(field(report, "comparison"), "cases"), 0);
}

std::string metric_value(const std::string& metric, const json& row, const char* key) {
  const auto value = number_field(row, key);
  if (!value) {
    const std::string reason = text_field(row, std::string(key) + "_reason");
    return reason.starts_with("infinite") ? "equal" : "-";
  }
  if (metric == "sqnr") return decibel_text(*value);
  return metric_is_share(metric) ? fmt::format("{:.3f}", *value) : fmt::format("{:.4g}", *value);
}

// "top1 −0.3 points", "agreement 0.985", "sqnr 31.2 dB".
std::string quality_text(const json& row) {
  const std::string metric = text_field(row, "metric");
  const auto before = number_field(row, "before");
  const auto after = number_field(row, "after");
  if (!before || !after || !metric_is_share(metric))
    return metric + " " + metric_value(metric, row, "after");
  const double points = 100 * (*after - *before);
  if (std::fabs(points) < 0.005) return metric + " ±0 points";
  return fmt::format("{} {}{:.2g} points", metric, points < 0 ? "−" : "+", std::fabs(points));
}

std::string headline(const json& report, const Console& console) {
  std::vector<std::string> parts{verdict_text(report, console)};
  const json& one = candidate_of(report);
  const std::string speed = speed_sentence(compared_of(report));
  if (const auto counted = number_of(at_path(one, "emulated/instructions"))) {
    std::string text = fmt::format("{:.4g} M instructions", *counted / 1e6);
    if (const std::string change = change_text_of(at_path(against_of(report), "emulated/instructions"),
                                                  at_path(one, "emulated/instructions"));
        change != "–")
      text += " (" + change + ")";
    parts.push_back(console.bold(text));
    for (const char* what : {"RAM", "flash"})
      parts.push_back(fmt::format("{} {}", what, cell(*what == 'R' ? "emulated/ram_bytes"
                                                                   : "emulated/flash_bytes",
                                                      bytes_cell)(one)));
  } else if (!speed.empty()) {
    parts.push_back(console.bold(speed));
  } else if (const auto median = number_of(at_path(one, "latency/median"))) {
    std::string text = "median " + duration_text(*median);
    if (const auto ci = interval_field(at_path(one, "latency/median")))
      text += fmt::format(" (CI {}–{})", duration_text(ci->first), duration_text(ci->second));
    parts.push_back(console.bold(text));
    if (const auto rate = number_of(at_path(one, "throughput/items_per_s")))
      parts.push_back(fmt::format("{:.4g} items/s", *rate));
  }
  const std::string change =
      change_text_of(field(against_of(report), "size_bytes"), field(one, "size_bytes"));
  if (change != "–") parts.push_back("size " + change);
  const json& quality = list_field(report, "quality");
  if (!quality.empty()) parts.push_back(quality_text(quality[0]));
  return joined(parts) + "\n\n";
}

// One row a figure: the candidate, and with --against the other and the change.
std::string figures_text(const json& report) {
  const json& one = candidate_of(report);
  const json& against = against_of(report);
  const bool both = !against.is_null();
  const auto name = [&report](std::initializer_list<const char*> path) {
    const json* model = &report;
    for (const char* key : path) model = &field(*model, key);
    return escape_untrusted(text_field(*model, "path_basename"), 32);
  };
  std::vector<Row> rows{{"", "against", "model", "change"},
                        {"", name({"models", "against"}), name({"model"}), ""}};
  if (!both) rows = {{"", name({"model"})}};
  const auto add = [&](const std::string& label, const std::string& model, const std::string& other,
                       const std::string& change) {
    if (model != "-" || other != "-")
      rows.push_back(both ? Row{label, other, model, change} : Row{label, model});
  };
  for (const Figure& figure : figures()) {
    const Cell shown = cell(figure.path, figure.text);
    const json& here = at_path(one, figure.path);
    const json& there = at_path(against, figure.path);
    const bool compared = figure.compared && number_of(here) && number_of(there);
    add(std::string(figure.label), shown(one), shown(against),
        compared ? change_text_of(there, here) : "");
  }
  for (const json& row : list_field(report, "quality")) {
    const std::string metric = text_field(row, "metric");
    const auto drop = number_field(row, "drop");
    std::string change;
    if (drop && number_field(row, "before") && metric_is_share(metric))
      change = fmt::format("{:+.2f} points", -100 * *drop);
    const std::string label = fmt::format("{} ({})", metric, count_text(row, "samples"));
    const std::string other = metric_value(metric, row, "before");
    rows.push_back(both ? Row{label, other, metric_value(metric, row, "after"), change}
                        : Row{label, metric_value(metric, row, "after")});
  }
  return table(rows);
}

std::vector<std::string> hints(const json& report) {
  std::vector<std::string> found;
  const std::string note = text_field(compared_of(report), "note");
  if (!note.empty() && field(report, "error").is_null())
    found.push_back(note + "; give it more time (--max-time) or a quieter machine");
  for (std::string& hint : case_hints(report, candidate_of(report)))
    found.push_back(std::move(hint));
  if (inputs_text(report).ends_with("random inputs") && !list_field(report, "quality").empty())
    found.emplace_back("accuracy on random inputs says little; give --data");
  return found;
}

std::string conduct_text(const json& report) {
  const json& one = candidate_of(report);
  if (const std::string counted = emulated_text(one); !counted.empty())
    return counted + inputs_text(report) + "\n";
  std::string text = fmt::format("\n  {}, {}{}", text_field(one, "engine"),
                                 plural(one, "threads/effective", "thread"), inputs_text(report));
  if (const json& samples = field(one, "samples"); number_field(samples, "n").value_or(0) > 0) {
    text +=
        fmt::format(", {} samples in {} ({})", count_text(samples, "n"),
                    cell("time_ns", duration_text)(samples), text_field(samples, "stop_reason"));
    if (number_field(samples, "n_processes").value_or(1) > 1)
      text += fmt::format(" of {} processes", count_text(samples, "n_processes"));
    if (const auto spread = number_field(samples, "process_spread"))
      text += fmt::format(" that differ by {}", percent_text(*spread));
  }
  if (number_field(compared_of(report), "pairs"))
    text += fmt::format("\n  compared in {} pairs of blocks, in alternation",
                        count_text(compared_of(report), "pairs"));
  else if (text_field(field(report, "comparison"), "mode") == "cross_run")
    text += "\n  compared with a stored run of another time";
  text += soak_text(one);
  text += "\n  " + phases_text(one);
  if (const std::string remote = remote_text(one); !remote.empty()) text += "\n  " + remote;
  if (const std::string deployed = deployed_text(one); !deployed.empty()) text += "\n  " + deployed;
  const auto add = [&](const char* key, std::string_view sentence) {
    if (number_field(one, key)) text += fmt::format(fmt::runtime(sentence), count_text(one, key));
  };
  add("bfloat16_products", "\n  {} float products rounded to bfloat16");
  add("batch_parts", "\n  the batch runs in {} parts, which threads take one by one");
  add("lone_runs", "\n  {} runs on one thread, as more had taken longer");
  if (const json& left = field(one, "interpreted"); left.is_object()) {
    std::vector<std::string> ops;
    for (const auto& [op, count] : left.at("nodes").items())
      ops.push_back(fmt::format("{} {}", count.get<int64_t>(), escape_untrusted(op)));
    text += fmt::format("\n  without a native kernel: {} ({:.0f} % of a run)", joined(ops, ", "),
                        100 * left.at("share").get<double>());
  }
  return text + "\n";
}

}  // namespace

std::string bench_text(const json& report, const Console& console) {
  const json& one = candidate_of(report);
  const bool is_one =
      number_of(at_path(report, "sweep/cases")) == 1 && one.is_object() && !one.contains("failed");
  if (!is_one) return sweep_text(report, console);
  if (is_load_row(one)) return load_text(report, console);
  std::string text = headline(report, console) + figures_text(report) + frames_text(one);
  if (const std::string gates = gates_table(report, console); !gates.empty()) text += "\n" + gates;
  return text + conduct_text(report) + hints_text(hints(report), console);
}

}  // namespace lathe
