// Of prune: what is left at each stage, sizes, speed, which channels and weights went, and repair.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>

#include "os/quantity.h"
#include "report/fields.h"
#include "report/headline.h"
#include "report/html_sections.h"
#include "report/html_text.h"
#include "report/measures.h"
#include "report/svg_plot.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kSeenGroups = 24;
constexpr size_t kRepairRows = 12;

// The first rows; the others are folded away.
std::string long_table(HtmlTable table, const char* what) {
  HtmlTable rest = table;
  if (table.rows.size() > kSeenGroups + 3) {
    const auto split = static_cast<std::ptrdiff_t>(kSeenGroups);
    rest.rows.erase(rest.rows.begin(), rest.rows.begin() + split);
    table.rows.resize(kSeenGroups);
    return html_table(table) +
           html_details(fmt::format("{} more {}", rest.rows.size(), what), html_table(rest));
  }
  return html_table(table);
}

std::string share_text(double share) { return fmt::format("{:.3g} %", 100 * share); }

// "1 group", "12 groups".
std::string counted(double count, const char* noun) {
  return count_text(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string shown_seconds(const json& row) {
  const auto seconds = number_field(row, "seconds");
  return seconds.value_or(0) > 0 ? html_escape(duration_text(1e9 * *seconds)) : "–";
}

// Bars of the metric where there is one, of the outputs' SQNR otherwise (60 dB and more is full).
std::string stages_section(const json& report) {
  const json& rows = list_field(report, "stages");
  std::string metric;
  double most = 0;
  for (const json& row : rows) {
    if (metric.empty() && number_field(row, "value")) metric = text_field(row, "metric");
    most = std::max(most, number_field(row, "value").value_or(0));
  }
  HtmlTable table{
      "What is left of the quality at each stage",
      {"stage", metric.empty() ? "metric" : metric, "", "drop", "output SQNR", "samples", "time"},
      "lnlnnnn",
      {},
      false};
  for (const json& row : rows) {
    const auto value = number_field(row, "value");
    const auto level = number_field(row, "output_sqnr_db");
    std::string bar;
    if (!metric.empty())
      bar = value && most > 0 ? html_bar(*value / most) : "";
    else if (level)
      bar = html_bar(*level / 60);
    std::string name = html_escape(text_field(row, "stage"));
    if (const std::string own = text_field(row, "metric"); own != metric && !metric.empty())
      name += " <span class=\"note\">" + html_escape(own) + "</span>";
    const auto drop = number_field(row, "drop");
    table.rows.push_back({std::move(name), shown_metric(row, "value"), std::move(bar),
                          drop ? drop_text(text_field(row, "metric"), *drop) : "–",
                          level ? fmt::format("{:.1f} dB", *level) : "–",
                          shown_number(row, "samples"), shown_seconds(row)});
  }
  return html_section("stages", "Stages", html_table(table));
}

std::string sizes_section(const json& report) {
  const json& before = field(field(report, "sizes"), "before");
  const json& after = field(field(report, "sizes"), "after");
  HtmlTable table{"Sizes", {"", "before", "after", "left", ""}, "lnnnl", {}, false};
  const auto add = [&](const char* name, const char* key, auto shown) {
    if (!number_field(before, key) && !number_field(after, key)) return;
    const auto b = number_field(before, key);
    const auto a = number_field(after, key);
    const bool both = b && a && *b > 0;
    table.rows.push_back({html_escape(name), shown(before, key), shown(after, key),
                          both ? share_text(*a / *b) : "–", both ? html_bar(*a / *b) : ""});
  };
  add("parameters", "params", shown_count);
  add("multiply-adds", "macs", shown_count);
  add("file", "file_bytes", shown_bytes);
  add("file, compressed", "compressed_bytes", shown_bytes);
  add("weights", "weights_bytes", shown_bytes);
  add("activation memory", "arena_bytes", shown_bytes);
  return html_section("sizes", "Size", html_table(table));
}

// The pairs of runs say faster and the medians slower, or the other way round.
bool medians_disagree(const json& row) {
  const auto before = number_field(row, "before_ns");
  const auto after = number_field(row, "after_ns");
  const auto speedup = number_field(row, "speedup");
  return before && after && speedup && (*before - *after) * (*speedup - 1) < 0;
}

std::string latency_section(const json& report) {
  HtmlTable table{"Time of one inference, before and after",
                  {"engine", "threads", "before", "after", "speed-up", "note"},
                  "lnnnnw",
                  {},
                  false,
                  true};
  bool simulated = false;
  bool paired = false;
  for (const json& row : list_field(report, "latency")) {
    const bool model = field(row, "simulated") == true;
    simulated |= model;
    std::string speedup = "–";
    if (const auto value = number_field(row, "speedup")) {
      speedup = fmt::format("{:.3g}x", *value);
      const auto ci = interval_field(row);
      paired |= ci.has_value();
      if (ci) speedup += fmt::format(" ({:.3g}–{:.3g})", ci->first, ci->second);
    }
    std::string note = text_field(row, "note");
    if (medians_disagree(row))
      note += (note.empty() ? "" : "; ") +
              std::string("times and ratio disagree: the machine was busy");
    table.rows.push_back({html_escape(text_field(row, "engine")) +
                              (model ? " <span class=\"note\">simulated</span>" : ""),
                          shown_number(row, "threads"), shown_time(row, "before_ns"),
                          shown_time(row, "after_ns"), speedup, html_escape(note)});
  }
  std::string html = html_table(table);
  if (paired)
    html += html_note(
        "Before and after are of undisturbed runs (the 15th percentile). The speed-up with its 95 "
        "% interval is of runs "
        "in turns, which other work on the machine moves less.");
  if (simulated)
    html += html_note("Simulated: computed from the device profile's rates, not measured.");
  return html_section("latency", "Speed", html);
}

std::string notes_section(const json& report) {
  std::string items;
  for (const json& note : list_field(report, "notes"))
    if (const std::string text = text_of(note); !text.empty())
      items += "<li>" + html_escape(text) + "</li>\n";
  return html_section("notes", "Notes",
                      items.empty() ? "" : "<ul class=\"plain\">" + items + "</ul>\n");
}

// "Structure channel, criterion l1, scope layer; asked for a sparsity of 30 %."
std::string plan_sentence(const json& plan) {
  std::string text;
  for (const char* key : {"structure", "criterion", "scope"})
    if (const std::string value = text_field(plan, key); !value.empty())
      text += (text.empty() ? "" : ", ") + std::string(key) + " " + value;
  const json& target = field(plan, "target");
  if (const auto share = number_field(target, "share")) {
    const std::string kind = text_field(target, "kind");
    text += text.empty() ? "" : "; ";
    if (kind == "budget")
      text += "asked for at most " + share_text(*share) + " of " + text_field(target, "metric");
    else if (kind == "max-drop")
      text += "asked for a drop of at most " + share_text(*share);
    else
      text += "asked for a " + kind + " of " + share_text(*share);
  }
  if (const auto left = number_field(plan, "cost_share"); left && *left < 1)
    text += ", " + share_text(*left) + " is left";
  if (text.starts_with("structure")) text[0] = 'S';
  return text.empty() ? "" : text + ".";
}

// In grey: the group was not touched.
std::string grey_bar() {
  return "<span class=\"track\"><span class=\"bar\" style=\"background:var(--c5)\"></span></span>";
}

std::string group_tables(const json& plan) {
  HtmlTable pruned{"Channels that stay in each group", {"group", "stay", ""}, "lnlw", {}};
  HtmlTable untouched{
      "Groups that were left alone, and why", {"group", "channels", "", "why"}, "lnlw", {}, false};
  HtmlTable words{"What each group is", {"group", "in words"}, "lw", {}, false};
  double groups = 0;
  double channels = 0;
  double kept_channels = 0;
  bool noted = false;
  for (const json& row : list_field(plan, "groups")) {
    const std::string name = text_field(row, "group");
    const double size = number_field(row, "size").value_or(0);
    const double kept = number_field(row, "kept").value_or(size);
    std::string why = text_field(row, "reason");
    if (const std::string note = text_field(row, "note"); !note.empty())
      why += (why.empty() ? "" : "; ") + note;
    if (field(row, "prunable") == false) {
      untouched.rows.push_back({"<span class=\"sub\">" + html_name(name, 40) + "</span>",
                                shown_number(row, "size"), grey_bar(), html_escape(why)});
    } else {
      ++groups;
      channels += size;
      kept_channels += kept;
      noted |= !why.empty();
      pruned.rows.push_back({html_name(name, 40), fmt::format("{:.0f} of {:.0f}", kept, size),
                             kept < size ? html_bar(kept / size) : grey_bar(), html_escape(why)});
    }
    if (const std::string text = text_field(row, "description"); !text.empty())
      words.rows.push_back({html_name(name, 40), html_escape(text)});
  }
  if (noted)
    pruned.head.push_back("note");
  else
    for (std::vector<std::string>& row : pruned.rows) row.pop_back();
  std::string html;
  if (channels > 0)
    html += fmt::format("<p>{} of {} channels of {} stay ({}).</p>\n", count_text(kept_channels),
                        count_text(channels), counted(groups, "group"),
                        share_text(kept_channels / channels));
  html += long_table(std::move(pruned), "groups");
  const auto blocked = number_field(plan, "blocked");
  const double left =
      untouched.rows.empty() ? blocked.value_or(0) : static_cast<double>(untouched.rows.size());
  const std::string heading =
      counted(left, "group") + (left == 1 ? " was left alone" : " were left alone");
  if (untouched.rows.size() > 6)
    html += html_details(heading, html_table(untouched));
  else if (left > 0)
    html += html_note(heading + ".") + html_table(untouched);
  if (!words.rows.empty()) html += html_details("What the groups are", html_table(words));
  return html;
}

std::string zero_table(const json& plan) {
  HtmlTable table{"Zeros in each weight", {"node", "zeros", "", "of"}, "lnln", {}};
  double elements = 0;
  double zeros = 0;
  for (const json& row : list_field(plan, "weights")) {
    const double all = number_field(row, "elements").value_or(0);
    const double none = number_field(row, "zeros").value_or(0);
    if (all <= 0) continue;
    elements += all;
    zeros += none;
    std::string name = text_field(row, "node");
    if (name.empty()) name = text_field(row, "constant");
    table.rows.push_back({html_name(name, 40), share_text(none / all), html_bar(none / all),
                          shown_count(row, "elements")});
  }
  if (zeros <= 0) return {};
  return fmt::format("<p>{} of {} weights are zero ({}).</p>\n", count_text(zeros),
                     count_text(elements), share_text(zeros / elements)) +
         long_table(std::move(table), "weights");
}

std::string plan_section(const json& report) {
  const json& plan = field(report, "plan");
  std::string html = group_tables(plan) + zero_table(plan);
  if (html.empty()) return {};
  if (const std::string sentence = plan_sentence(plan); !sentence.empty())
    html += html_note(sentence);
  return html_section("kept", "What stays", html);
}

std::string error_text(double error) { return fmt::format("{:.3g}", error); }
std::string error_tick(double value) { return fmt::format("{:.4g}", value); }

struct Repaired {
  const json* row;
  double before;
  double after;
};

// Each layer's error as a line from what it was to a dot, what it is.
std::string repair_figure(const std::vector<Repaired>& rows) {
  RangePlot plot;
  plot.title = "Worst layers before and after repair: the dot is what is left";
  plot.x = {"squared error of the layer's output, relative", true, error_tick, {}};
  for (size_t i = 0; i < std::min(rows.size(), kRepairRows); ++i) {
    const auto& [row, before, after] = rows[i];
    if (before <= 0 || after <= 0) plot.x.logarithmic = false;
    const std::string name = text_field(*row, "node");
    const std::string text = error_text(before) + " → " + error_text(after);
    plot.description += name + ": " + text + ". ";
    plot.rows.push_back(
        {name, std::min(before, after), std::max(before, after), {after, after}, after, text});
  }
  return svg_ranges(plot);
}

std::string repair_section(const json& report) {
  std::vector<Repaired> rows;
  std::map<std::string, size_t> methods;
  HtmlTable table{"Layers by their error before repair",
                  {"layer", "before", "after", "method", "rows", "note"},
                  "wnnlnw",
                  {}};
  for (const json& row : list_field(report, "repair")) {
    ++methods[text_field(row, "method")];
    rows.push_back({&row, number_field(row, "error_before").value_or(0),
                    number_field(row, "error_after").value_or(0)});
  }
  if (rows.empty()) return {};
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Repaired& a, const Repaired& b) { return a.before > b.before; });
  for (const auto& [row, before, after] : rows) {
    std::string name = html_name(text_field(*row, "node"), 44);
    if (const std::string type = text_field(*row, "node_type"); !type.empty())
      name += " <span class=\"note\">" + html_escape(type) + "</span>";
    table.rows.push_back({std::move(name), error_text(before), error_text(after),
                          html_escape(text_field(*row, "method")), shown_number(*row, "rows"),
                          html_escape(text_field(*row, "note"))});
  }
  std::string sum;
  for (const auto& [name, count] : methods)
    sum += fmt::format("{}{} {}", sum.empty() ? "" : ", ", name.empty() ? "unknown" : name, count);
  return html_section("repair", "Repair without labels",
                      repair_figure(rows) + html_note("Layers by method: " + sum + ".") +
                          html_details("All layers", html_table(table)));
}

}  // namespace

std::string count_text(double count) {
  const double size = std::fabs(count);
  if (size >= 1e12) return fmt::format("{:.4g} T", count / 1e12);
  if (size >= 1e9) return fmt::format("{:.4g} G", count / 1e9);
  if (size >= 1e6) return fmt::format("{:.4g} M", count / 1e6);
  return shown_number(json{{"count", count}}, "count");
}

std::string shown_count(const json& object, const char* key) {
  const auto value = number_field(object, key);
  return value ? count_text(*value) : shown_number(object, key);
}

std::string metric_text(const std::string& metric, double value) {
  return shown_metric(json{{"metric", metric}, {"value", value}}, "value");
}

std::string drop_text(const std::string& metric, double drop) {
  return metric_is_share(metric) ? fmt::format("{:.2f} points", 100 * drop)
                                 : fmt::format("{:.4g}", drop);
}

std::string html_prune(const json& report) {
  return stages_section(report) + sizes_section(report) + latency_section(report) +
         notes_section(report) + plan_section(report) + repair_section(report) +
         html_sensitivity(report) + html_training(report);
}

}  // namespace lathe
