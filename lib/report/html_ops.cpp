// Where the time goes: the profile of each case, and what changed against the baseline.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "os/quantity.h"
#include "report/fields.h"
#include "report/html_sections.h"
#include "report/html_text.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kMaxOps = 40;
constexpr size_t kMaxDeltas = 20;

std::string op_name(const json& op) {
  const std::string name = text_field(op, "name");
  const std::string type = text_field(op, "type");
  std::string out = html_name(name.empty() ? type : name, 48);
  if (!name.empty() && !type.empty() && type != name)
    out += " <span class=\"note\">" + html_escape(type) + "</span>";
  return out;
}

// In the order of execution, each bar where the one before ends; small ones become one row.
std::string waterfall(const json& report, const json& row) {
  const json& profile = field(row, "profile");
  struct Op {
    const json* op;
    double ns;
  };
  std::vector<Op> ops;
  double total = 0;
  for (const json& op : list_field(profile, "ops")) {
    auto ns = number_field(op, "total_ns");
    if (!ns) ns = number_field(op, "median_ns");
    if (!ns || *ns < 0) continue;
    ops.push_back({&op, *ns});
    total += *ns;
  }
  if (total <= 0) return {};
  std::vector<double> sizes;
  for (const Op& op : ops) sizes.push_back(op.ns);
  std::sort(sizes.rbegin(), sizes.rend());
  const double least = sizes.size() > kMaxOps ? sizes[kMaxOps - 1] : 0;
  HtmlTable table{"Operators in order, " + case_name(report, row),
                  {"operator", "time line", "time", "share", "calls"},
                  "wlnnn",
                  {}};
  double at = 0;
  double small = 0;
  size_t small_count = 0;
  for (const Op& op : ops) {
    if (op.ns < least || table.rows.size() == kMaxOps) {
      small += op.ns;
      ++small_count;
    } else {
      table.rows.push_back(
          {op_name(*op.op), html_bar(op.ns / total, at / total), html_escape(duration_text(op.ns)),
           fmt::format("{:.1f} %", 100 * op.ns / total), shown_number(*op.op, "calls")});
    }
    at += op.ns;
  }
  if (small_count > 0)
    table.rows.push_back({fmt::format("{} smaller ones", small_count), html_bar(small / total),
                          html_escape(duration_text(small)),
                          fmt::format("{:.1f} %", 100 * small / total), ""});
  std::string html = html_table(table);
  std::string note = "A pass of its own measured this, never the timed one";
  if (const auto overhead = number_field(profile, "overhead_ratio"))
    note += fmt::format("; profiling made it {:.3g} times as slow", *overhead);
  if (const auto rest = number_field(profile, "unattributed_ns"))
    note += "; unattributed " + duration_text(*rest);
  return html + html_note(note + ".");
}

// "inserted", "was Conv", "fused into conv1".
std::string change_html(const json& op) {
  if (const std::string type = text_field(op, "from_type"); !type.empty())
    return "was " + html_escape(type);
  if (const std::string into = text_field(op, "into"); !into.empty())
    return "fused into " + html_name(into, 48);
  return html_escape(text_field(op, "change"));
}

std::string deltas(const json& row) {
  struct Delta {
    const json* op;
    double ns;
  };
  std::vector<Delta> rows;
  double most = 0;
  for (const json& op : list_field(row, "op_deltas"))
    if (const auto ns = number_field(op, "delta_ns")) {
      rows.push_back({&op, *ns});
      most = std::max(most, std::fabs(*ns));
    }
  if (most <= 0) return {};
  std::stable_sort(rows.begin(), rows.end(), [](const Delta& a, const Delta& b) {
    return std::fabs(a.ns) > std::fabs(b.ns);
  });
  HtmlTable table{"What changed against the baseline, " + text_field(row, "id"),
                  {"operator", "", "time a run"},
                  "wln",
                  {}};
  for (size_t i = 0; i < std::min(rows.size(), kMaxDeltas); ++i)
    table.rows.push_back(
        {op_name(*rows[i].op) + " <span class=\"note\">" + change_html(*rows[i].op) + "</span>",
         html_bar(std::fabs(rows[i].ns) / most, 0, rows[i].ns > 0 ? "b1" : ""),
         (rows[i].ns > 0 ? "+" : "−") + html_escape(duration_text(std::fabs(rows[i].ns)))});
  std::string html;
  for (const BlameSentence& blame : blame_sentences(row))
    html += "<li>" + html_escape(blame.text) + "</li>";
  if (!html.empty()) html = "<ul>" + html + "</ul>";
  html += html_table(table);
  if (rows.size() > kMaxDeltas)
    html += html_note(
        fmt::format("{} smaller changes are in the JSON report.", rows.size() - kMaxDeltas));
  return html;
}

}  // namespace

std::string html_ops(const json& report) {
  std::string html;
  for (const json& row : list_field(field(report, "comparison"), "cases")) html += deltas(row);
  size_t shown = 0;
  for (const json& row : list_field(report, "cases")) {
    const std::string one = waterfall(report, row);
    if (one.empty() || ++shown > 4) continue;
    html += one;
  }
  if (shown > 4)
    html += html_note(fmt::format("{} more profiles are in the JSON report.", shown - 4));
  return html_section("ops", "Operators", html);
}

}  // namespace lathe
