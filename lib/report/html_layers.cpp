// Of quantize and compile: errors by layer, what stayed in float, passes, verification.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

#include "os/quantity.h"
#include "report/fields.h"
#include "report/html_sections.h"
#include "report/html_text.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kMaxLayers = 24;

std::string value_name(const json& row) {
  const std::string name = text_field(row, "value");
  std::string out = html_name(name, 44);
  if (const std::string type = text_field(row, "node_type"); !type.empty())
    out += " <span class=\"note\">" + html_escape(type) + "</span>";
  return out;
}

std::string decibels(const json& row) {
  const auto value = number_field(row, "sqnr_db");
  if (value) return fmt::format("{:.1f} dB", *value);
  const std::string reason = text_field(row, "sqnr_db_reason");
  return reason.empty() ? "–" : "<span title=\"" + html_escape(reason) + "\">–</span>";
}

std::vector<std::string> error_cells(const json& row) {
  const auto cosine = number_field(row, "cosine");
  const auto relative = number_field(row, "relative_max_error");
  return {decibels(row), cosine ? fmt::format("{:.5f}", *cosine) : "–",
          relative ? fmt::format("{:.3g}", *relative) : "–"};
}

std::string error_table(const json& rows, const char* caption, bool bars, size_t at_most) {
  std::vector<const json*> sorted;
  for (const json& row : rows) sorted.push_back(&row);
  const auto level = [](const json* row) { return number_field(*row, "sqnr_db").value_or(1e9); };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const json* a, const json* b) { return level(a) < level(b); });
  HtmlTable table{caption, {"value", "SQNR", "cosine", "max |a−b| / max |a|"}, "wnnn", {}};
  if (bars) {
    table.head.insert(table.head.begin() + 1, "");
    table.align = "wlnnn";
  }
  double most = 0;
  for (const json* row : sorted) most = std::max(most, number_field(*row, "sqnr_db").value_or(0));
  for (size_t i = 0; i < std::min(sorted.size(), at_most); ++i) {
    std::vector<std::string> cells{value_name(*sorted[i])};
    // 0 to 60 dB at least: a short bar is a bad layer, whatever the others are.
    if (bars)
      cells.push_back(html_bar(std::max(0.0, number_field(*sorted[i], "sqnr_db").value_or(0)) /
                               std::max(60.0, most)));
    for (std::string& cell : error_cells(*sorted[i])) cells.push_back(std::move(cell));
    table.rows.push_back(std::move(cells));
  }
  std::string html = html_table(table);
  if (sorted.size() > at_most)
    html +=
        html_note(fmt::format("{} better ones are in the JSON report.", sorted.size() - at_most));
  return html;
}

}  // namespace

std::string html_layers(const json& report) {
  const json& errors = field(report, "error_by_value");
  std::string html = error_table(list_field(errors, "outputs"), "Outputs", false, kMaxLayers);
  html +=
      error_table(list_field(errors, "layers"),
                  "Worst layers: signal to quantization noise, short bars first", true, kMaxLayers);
  return html_section("layers", "Error by layer", html);
}

std::string html_plan(const json& report) {
  const json& plan = field(report, "plan");
  std::string html;
  if (const std::string coverage = text_field(field(report, "quantize"), "coverage");
      !coverage.empty())
    html += "<p>" + html_escape(coverage) + "</p>\n";
  HtmlTable table{"Left in float", {"node", "operator", "why"}, "wlw", {}};
  for (const json& row : list_field(plan, "exceptions"))
    table.rows.push_back({html_escape(text_field(row, "node")),
                          html_escape(text_field(row, "node_type")),
                          html_escape(text_field(row, "reason"))});
  html += html_table(table);
  std::map<std::string, size_t> observers;
  for (const json& row : list_field(plan, "values"))
    if (const std::string name = text_field(row, "observer"); !name.empty()) ++observers[name];
  std::string chosen;
  for (const auto& [name, count] : observers)
    chosen += fmt::format("{}{} {}", chosen.empty() ? "" : ", ", name, count);
  if (!chosen.empty()) html += html_note("Ranges by observer: " + chosen + ".");
  return html_section("plan", "Plan", html);
}

std::string html_verification(const json& report) {
  const json& verification = field(report, "verification");
  if (!verification.is_object()) return {};
  const bool verified = field(verification, "verified") == true;
  std::string html = "<p>" + html_verdict(verified ? "pass" : "fail") + " " +
                     html_escape(verified ? "Before and after agree" : "Not verified");
  if (const std::string failure = text_field(verification, "failure"); !failure.empty())
    html += ": " + html_escape(failure);
  html += "</p>\n" + error_table(list_field(verification, "outputs"),
                                 "Each output, before and after", false, 50);
  std::string note = shown_number(verification, "samples") +
                     " samples, inputs: " + text_field(verification, "inputs");
  if (const auto tolerance = number_field(verification, "tolerance"))
    note += fmt::format(", allowed {:g}", *tolerance);
  return html_section("verification", "Verification", html + html_note(note + "."));
}

std::string html_steps(const json& report) {
  struct Sum {
    double changes = 0;
    double ms = 0;
    int runs = 0;
    std::string skipped;
  };
  std::map<std::string, Sum> sums;
  std::vector<std::string> order;
  for (const json& row : list_field(report, "steps")) {
    const std::string name = text_field(row, "pass");
    if (!sums.contains(name)) order.push_back(name);
    Sum& sum = sums[name];
    sum.changes += number_field(row, "changes").value_or(0);
    sum.ms += number_field(row, "ms").value_or(0);
    ++sum.runs;
    if (sum.skipped.empty()) sum.skipped = text_field(row, "skipped");
  }
  HtmlTable table{"Passes that changed something", {"pass", "changes", "runs", "time"}, "lnnn", {}};
  std::string idle;
  for (const std::string& name : order) {
    const Sum& sum = sums[name];
    if (sum.changes == 0) {
      idle += (idle.empty() ? "" : ", ") + name;
      if (!sum.skipped.empty()) idle += " (" + sum.skipped + ")";
      continue;
    }
    table.rows.push_back({html_escape(name), fmt::format("{:.0f}", sum.changes),
                          std::to_string(sum.runs), html_escape(duration_text(1e6 * sum.ms))});
  }
  std::string html = html_table(table);
  if (!idle.empty()) html += html_note("Nothing to do for: " + idle + ".");
  return html_section("passes", "Passes", html);
}

}  // namespace lathe
