#include "report/html_sections.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "os/quantity.h"
#include "report/fields.h"
#include "report/headline.h"
#include "report/html_text.h"
#include "report/json_text.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;

std::string absent(const json& object, const char* key) {
  const std::string reason = text_field(object, std::string(key) + "_reason");
  if (reason.empty()) return "–";
  return "<span title=\"" + html_escape(reason) + "\">–</span>";
}

std::string grouped(double value) {
  if (std::fabs(value) >= 1e15) return fmt::format("{:.6g}", value);
  if (std::fabs(value) < 1000 && value != std::floor(value)) return fmt::format("{:.4g}", value);
  std::string digits = fmt::format("{:.0f}", std::fabs(value));
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), "\u202f");
  return (value < 0 ? "−" : "") + digits;
}

std::string change_cell(const json& before, const json& after, const char* key) {
  return html_escape(change_text_of(field(before, key), field(after, key)));
}

std::string gate_figure(const json& gate, const char* key) {
  const auto value = number_field(gate, key);
  if (!value) return "–";
  return html_escape(gate_value_text(gate, *value));
}

std::string op_changes(const json& before, const json& after) {
  HtmlTable table{"Nodes by operator", {"operator", "before", "after"}, "lnn", {}};
  json names = json::object();
  for (const json* model : {&before, &after})
    if (const json& ops = field(*model, "ops"); ops.is_object())
      for (const auto& [name, count] : ops.items()) names[name] = true;
  for (const auto& [name, seen] : names.items()) {
    const double b = number_field(field(before, "ops"), name).value_or(0);
    const double a = number_field(field(after, "ops"), name).value_or(0);
    if (a != b) table.rows.push_back({html_escape(text_of(json(name))), grouped(b), grouped(a)});
  }
  return html_table(table);
}

}  // namespace

std::string shown_time(const json& object, const char* key) {
  const auto value = number_field(object, key);
  return value ? html_escape(duration_text(*value)) : absent(object, key);
}

std::string shown_bytes(const json& object, const char* key) {
  const auto value = number_field(object, key);
  if (!value || std::fabs(*value) > 4e18) return absent(object, key);
  return html_escape(bytes_text(static_cast<int64_t>(*value)));
}

std::string shown_number(const json& object, const char* key) {
  const auto value = number_field(object, key);
  return value ? grouped(*value) : absent(object, key);
}

std::string shown_metric(const json& row, const char* key) {
  const auto value = number_field(row, key);
  if (!value) return absent(row, key);
  const std::string metric = text_field(row, "metric");
  if (metric_is_share(metric)) return fmt::format("{:.4g} %", 100 * *value);
  return fmt::format("{:.4g}{}", *value, metric == "sqnr" ? " dB" : "");
}

std::string html_gates(const json& report) {
  constexpr size_t kManyPassed = 4;
  HtmlTable table{"Each gate with what was measured",
                  {"gate", "verdict", "observed", "interval", "limit", "why"},
                  "wlnnnw",
                  {},
                  false,
                  true};
  HtmlTable passed = table;
  HtmlTable skipped = table;
  const auto add = [&report](const json& gate, HtmlTable& into) {
    std::string interval = "–";
    if (const auto ci = interval_field(gate))
      interval = html_escape(fmt::format("{}–{}", gate_value_text(gate, ci->first),
                                         gate_value_text(gate, ci->second)));
    std::string name = "<code>" + html_escape(text_field(gate, "id")) + "</code>";
    if (const std::string id = text_field(gate, "case"); !id.empty())
      name += " <span class=\"note\">" + html_escape(id) + "</span>";
    std::string why = text_field(gate, "reason");
    if (field(gate, "verdict") == "fail" && metric_is_time(text_field(gate, "metric")))
      if (const std::string blame = blame_of(report, field(gate, "case")); !blame.empty())
        why += (why.empty() ? "slower: " : "; slower: ") + blame;
    into.rows.push_back(
        {name, html_verdict(text_field(gate, "verdict")), gate_figure(gate, "observed"), interval,
         html_escape(text_field(gate, "op")) + " " + gate_figure(gate, "limit"), html_escape(why)});
  };
  for (const json* gate : worst_gates(report)) add(*gate, table);
  for (const json& gate : list_field(report, "gates")) {
    const std::string verdict = text_field(gate, "verdict");
    if (verdict == "pass")
      add(gate, passed);
    else if (verdict != "fail" && verdict != "inconclusive")
      add(gate, skipped);
  }
  table.rows.insert(table.rows.end(), skipped.rows.begin(), skipped.rows.end());
  const bool folded = !table.rows.empty() && passed.rows.size() > kManyPassed;
  if (!folded) table.rows.insert(table.rows.end(), passed.rows.begin(), passed.rows.end());
  std::string html = html_table(table);
  if (folded)
    html += html_details(fmt::format("{} gates hold", passed.rows.size()), html_table(passed));
  return html_section("gates", "Gates", html);
}

std::string html_models(const json& report) {
  const json& before = model_before(report);
  const json& after = model_after(report);
  if (!after.is_object()) return {};
  const bool two = before.is_object();
  HtmlTable table{"Model", {"", text_field(after, "path_basename")}, "ln", {}, false};
  if (two) {
    table.head = {"", text_field(before, "path_basename"), text_field(after, "path_basename"),
                  "change"};
    table.align = "lnnn";
  }
  const auto add = [&](const char* name, const char* key, auto shown) {
    if (!number_field(after, key) && !number_field(before, key)) return;
    std::vector<std::string> row{html_escape(name)};
    if (two) row.push_back(shown(before, key));
    row.push_back(shown(after, key));
    if (two) row.push_back(change_cell(before, after, key));
    table.rows.push_back(std::move(row));
  };
  add("file", "file_bytes", shown_bytes);
  add("weights", "weights_bytes", shown_bytes);
  add("parameters", "params", shown_number);
  add("multiply-adds", "macs", shown_number);
  add("nodes", "nodes", shown_number);
  add("opset", "opset", shown_number);
  if (two && !table.rows.empty() && table.rows.back()[0] == "opset") table.rows.back()[3] = "";
  std::string html = html_table(table);
  if (two) html += op_changes(before, after);
  return html_section("models", two ? "Models" : "Model", html);
}

std::string html_quality(const json& report) {
  HtmlTable table{"Quality", {"metric", "before", "after", "drop", "samples"}, "lnnnn", {}, false};
  for (const json& row : list_field(report, "quality")) {
    std::string drop = absent(row, "drop");
    if (const auto value = number_field(row, "drop"))
      drop = metric_is_share(text_field(row, "metric")) ? fmt::format("{:.2f} points", 100 * *value)
                                                        : fmt::format("{:.4g}", *value);
    table.rows.push_back({html_escape(text_field(row, "metric")), shown_metric(row, "before"),
                          shown_metric(row, "after"), drop, shown_number(row, "samples")});
  }
  return html_section("quality", "Quality", html_table(table));
}

std::string html_warnings(const json& report) {
  constexpr size_t kManyWarnings = 4;
  std::string items;
  size_t count = 0;
  const auto add = [&items, &count](const json& warning, const std::string& place) {
    ++count;
    items += "<li><span class=\"v open\"><span aria-hidden=\"true\">!</span> " +
             html_escape(text_field(warning, "code")) + "</span> " + html_escape(place) +
             html_escape(text_field(warning, "message"));
    if (const std::string hint = text_field(warning, "hint"); !hint.empty())
      items += "<br><span class=\"sub\">" + html_escape(hint) + "</span>";
    items += "</li>\n";
  };
  for (const json& warning : list_field(report, "warnings")) add(warning, "");
  for (const json& row : list_field(report, "cases"))
    for (const json& warning : list_field(row, "warnings"))
      add(warning, text_field(row, "id") + ": ");
  for (const json& row : list_field(field(report, "comparison"), "cases"))
    if (const std::string note = text_field(row, "note"); !note.empty())
      add({{"code", "comparison"}, {"message", note}}, text_field(row, "id") + ": ");
  if (items.empty()) return {};
  items = "<ul class=\"plain\">" + items + "</ul>";
  if (count > kManyWarnings) items = html_details(fmt::format("{} warnings", count), items);
  return html_section("warnings", "Warnings", items);
}

std::string html_host(const json& report) {
  const json& host = field(report, "host");
  const json& profile = field(report, "device_profile");
  HtmlTable table{"Where it ran", {"", ""}, "lw", {}, false};
  const auto add = [&table](const char* name, const std::string& html) {
    if (!html.empty()) table.rows.push_back({html_escape(name), html});
  };
  if (host.is_object()) {
    const json& cpu = field(host, "cpu");
    add("processor", html_escape(text_field(cpu, "model")));
    std::string isa;
    for (const json& name : list_field(cpu, "isa")) isa += (isa.empty() ? "" : " ") + text_of(name);
    add("instructions", html_escape(isa));
    add("usable CPUs", shown_number(host, "cpus_usable"));
    add("memory", shown_bytes(host, "mem_bytes"));
    add("system", html_escape(text_field(host, "os") + ", " + text_field(host, "kernel") + ", " +
                              text_field(host, "virt")));
    for (const char* key : {"governor", "turbo", "aslr", "cgroup_quota"})
      add(key, field(host, key).is_null() ? absent(host, key) : html_escape(text_field(host, key)));
    const json& noise = field(host, "noise");
    if (const auto width = number_field(noise, "aa_half_width"))
      add("noise floor (A/A)", fmt::format("± {:.2g} %", 100 * *width));
    else if (noise.is_object())
      add("noise floor (A/A)", html_escape(text_field(noise, "aa_half_width_reason")));
    if (const auto steal = number_field(noise, "steal_pct"))
      add("stolen time", fmt::format("{:.2g} %", *steal));
    if (const auto psi = number_field(noise, "psi_cpu"))
      add("CPU pressure", fmt::format("{:.3g} %", *psi));
    add("fingerprint", html_escape(text_field(host, "fingerprint")));
  }
  if (profile.is_object())
    add("device profile", html_escape(text_field(profile, "name") +
                                      (field(profile, "simulated") == true ? " (simulated)" : "")));
  return html_section("host", "Host and noise", html_table(table));
}

std::string html_run(const json& report) {
  const json& run = field(report, "run");
  std::string line = "lathe";
  for (const json& argument : list_field(run, "argv")) {
    const std::string text = text_of(argument);
    const bool plain = !text.empty() && text.find_first_of(" '\"\\$`&|;<>()*?#~!") == text.npos;
    std::string quoted = text;
    for (size_t at = 0; !plain && (at = quoted.find('\'', at)) != quoted.npos; at += 4)
      quoted.replace(at, 1, "'\\''");
    line += plain ? " " + text : " '" + quoted + "'";
  }
  std::string html =
      "<details><summary>How to repeat it</summary>\n<pre>" + html_escape(line) + "</pre>\n" +
      html_note("The report's recipe does the same: save it and give it to --config.");
  if (const json& recipe = field(report, "recipe"); recipe.is_object())
    html += "<pre>" + html_escape(recipe.dump(2, ' ', false, json::error_handler_t::replace)) +
            "</pre>\n";
  HtmlTable table{"Files that were written", {"kind", "path", "size", "SHA-256"}, "lwnw", {}};
  for (const json& row : list_field(report, "artifacts"))
    table.rows.push_back({html_escape(text_field(row, "kind")),
                          html_escape(text_field(row, "path")), shown_bytes(row, "bytes"),
                          "<code>" + html_escape(text_field(row, "sha256")) + "</code>"});
  return "<section id=\"run\">" + html + html_table(table) + "</details></section>\n";
}

}  // namespace lathe
