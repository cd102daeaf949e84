// Several cases for people.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "commands/bench/text_parts.h"
#include "heavy/error_rows.h"
#include "ir/error.h"
#include "os/quantity.h"
#include "report/fields.h"

namespace lathe {
namespace {

using nlohmann::json;

// Queries that were left waiting make latencies lower bounds.
Cell latency_cell(std::string_view path) {
  return [path](const json& row) {
    const bool is_bound = at_path(row, "latency/is_lower_bound") == true;
    return is_bound ? std::string("-") : cell(path, duration_text)(row);
  };
}

std::string accuracy_text(const json& row) {
  const auto value = number_of(at_path(row, "quality/value"));
  if (!value)
    return text_of(at_path(row, "quality/value_reason")).starts_with("inf") ? "equal" : "-";
  return at_path(row, "quality/metric") == "sqnr" ? decibel_text(*value)
                                                  : fmt::format("{:.3f}", *value);
}

std::string remarks(const json& row) {
  if (row.contains("error")) {
    const std::string what = escape_untrusted(text_of(at_path(row, "error/message")), 120);
    return row.contains("not_tried") ? what : "failed: " + what;
  }
  std::vector<std::string> parts;
  if (is_overloaded(row)) parts.emplace_back("overloaded");
  for (const json& warning : list_field(row, "warnings")) {
    const std::string code = text_field(warning, "code");
    parts.push_back(code.substr(code.find('.') + 1));
  }
  return joined(parts, ", ");
}

std::string headline(const json& report, size_t done, const Console& console) {
  const json& sweep = field(report, "sweep");
  const auto number = [&sweep](const char* key) {
    return static_cast<size_t>(number_field(sweep, key).value_or(0));
  };
  const size_t measured = done - number("failed") - number("not_tried");
  std::vector<std::string> parts{verdict_text(report, console)};
  parts.push_back(console.bold(measured == number("cases")
                                   ? plural(sweep, "cases", "case")
                                   : fmt::format("{} of {} cases", measured, number("cases"))));
  if (number("failed") > 0) parts.push_back(console.bad(count_text(sweep, "failed") + " failed"));
  if (number("not_tried") > 0) parts.push_back(count_text(sweep, "not_tried") + " not tried");
  if (number("resumed") > 0)
    parts.push_back(count_text(sweep, "resumed") + " taken from the resume file");
  return joined(parts) + "\n\n";
}

std::string cases_table(const json& report, const std::vector<const json*>& rows) {
  const auto is_best = [](const json& row) {
    return at_path(row, "pareto/latency_bytes_quality") == true;
  };
  const auto against = [&report](const json& row) -> std::string {
    for (const json& one : list_field(field(report, "comparison"), "cases"))
      if (const auto ratio = number_field(one, "ratio");
          ratio && field(one, "id") == field(row, "id"))
        return fmt::format("{:.2f}x {}", 1 / *ratio, text_field(one, "verdict"));
    return "-";
  };
  // Boards have no times.
  const bool are_counted = std::ranges::all_of(
      rows, [](const json* row) { return field(*row, "emulated").is_object(); });
  std::string text = columns_table(
      rows, {{"", [&](const json& row) { return std::string(is_best(row) ? "*" : ""); }},
             {"case", cell("id")},
             {"median", latency_cell("latency/median"), are_counted},
             {"processes",
              [](const json& row) {
                const auto spread = number_of(at_path(row, "samples/process_spread"));
                return spread ? "±" + percent_text(*spread / 2) : "-";
              },
              true},
             {"p90", latency_cell("latency/p90"), are_counted},
             {"p99", latency_cell("latency/p99"), are_counted},
             {"items/s", cell("throughput/items_per_s",
                              [](double rate) { return fmt::format("{:.4g}", rate); }),
              are_counted},
             {"instructions", cell("emulated/instructions", grouped_text), true},
             {"RAM", cell("emulated/ram_bytes", bytes_cell), true},
             {"flash", cell("emulated/flash_bytes", bytes_cell), true},
             {"size", cell("size_bytes", bytes_cell)},
             {"arena", cell("memory/arena_planned_bytes", bytes_cell)},
             {"peak", cell("memory/hwm_bytes", bytes_cell), are_counted},
             {"accuracy", accuracy_text, true},
             {"against", against, true},
             {"", remarks}});
  if (std::any_of(rows.begin(), rows.end(), [&](const json* row) { return is_best(*row); }))
    text += fmt::format("  * nothing is better in {}, size and accuracy (Pareto front)\n",
                        are_counted ? "instructions" : "latency");
  return text + "\n";
}

}  // namespace

std::string sweep_text(const json& report, const Console& console) {
  std::vector<const json*> rows = rows_of(list_field(report, "cases"));
  std::erase_if(rows,
                [](const json* row) { return text_field(*row, "id").starts_with("against/"); });
  std::string text = headline(report, rows.size(), console);
  if (const std::string gates = gates_table(report, console); !gates.empty()) text += gates + "\n";
  if (rows.empty()) return text;
  text += cases_table(report, rows);
  const json& sweep = field(report, "sweep");
  for (const json& best : list_field(sweep, "optimal_batches"))
    text += fmt::format("  optimal batch ({}): {}, {} an item\n", text_field(best, "what"),
                        count_text(best, "batch"), cell("ns_per_item", duration_text)(best));
  const json& found = field(sweep, "recommended");
  if (!found.is_object()) return text;
  if (field(found, "case").is_null())
    return text + "  " + console.bad("no case to recommend: none passes every expression") + "\n";
  return text + "  " + console.bold("recommended: " + text_field(found, "case")) + "\n    " +
         found.value("command", "") + "\n";
}

}  // namespace lathe
