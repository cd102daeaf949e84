// Tables of the bench page.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "os/quantity.h"
#include "report/fields.h"
#include "report/headline.h"
#include "report/html_sections.h"
#include "report/html_text.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;

const json& case_with_id(const json& report, const std::string& id) {
  static const json nothing;
  for (const json& row : list_field(report, "cases"))
    if (field(row, "id") == id) return row;
  return nothing;
}

json rate_of(const json& row) { return field(field(row, "throughput"), "items_per_s"); }

std::string with_interval(const json& object, const char* key) {
  const json& value = field(object, key);
  std::string out = shown_time(object, key);
  if (const auto ci = interval_field(value))
    out += " <span class=\"note\">" +
           html_escape(duration_text(ci->first) + " – " + duration_text(ci->second)) + "</span>";
  return out;
}

const json& percentile_row(const json& row, double wanted) {
  static const json nothing;
  for (const json& one : list_field(field(row, "latency"), "percentiles"))
    if (number_field(one, "p") == wanted) return one;
  return nothing;
}

}  // namespace

std::string html_before_after(const json& report) {
  const json& cases = list_field(report, "cases");
  if (cases.empty()) return {};
  const json& after = cases[0];
  const json& before = case_with_id(report, "against/" + text_field(after, "id"));
  if (!before.is_object() || cases.size() != 2) return {};
  HtmlTable table{"Before and after",
                  {"", case_model(report, before), case_model(report, after), "change"},
                  "lnnn",
                  {},
                  false};
  const auto add = [&table](const std::string& name, const json& b, const json& a,
                            const std::string& shown_b, const std::string& shown_a) {
    if (b.is_null() && a.is_null()) return;
    table.rows.push_back({html_escape(name), shown_b, shown_a, html_escape(change_text_of(b, a))});
  };
  const json& lb = field(before, "latency");
  const json& la = field(after, "latency");
  add("median", field(lb, "median"), field(la, "median"), with_interval(lb, "median"),
      with_interval(la, "median"));
  for (const char* key : {"mean", "min", "max"})
    add(key, field(lb, key), field(la, key), shown_time(lb, key), shown_time(la, key));
  for (const double p : {0.9, 0.95, 0.99, 0.999}) {
    const json& b = percentile_row(before, p);
    const json& a = percentile_row(after, p);
    add(fmt::format("p{:g}", 100 * p), field(b, "value"), field(a, "value"), shown_time(b, "value"),
        shown_time(a, "value"));
  }
  add("items per second", rate_of(before), rate_of(after),
      shown_number(field(before, "throughput"), "items_per_s"),
      shown_number(field(after, "throughput"), "items_per_s"));
  const json& pb = field(before, "phases");
  const json& pa = field(after, "phases");
  for (const auto& [name, key] : std::initializer_list<std::pair<const char*, const char*>>{
           {"load", "load_ns"},
           {"prepare", "compile_ns"},
           {"first inference", "first_inference_ns"}})
    add(name, field(pb, key), field(pa, key), shown_time(pb, key), shown_time(pa, key));
  const json& mb = field(before, "memory");
  const json& ma = field(after, "memory");
  add("arena, planned", field(mb, "arena_planned_bytes"), field(ma, "arena_planned_bytes"),
      shown_bytes(mb, "arena_planned_bytes"), shown_bytes(ma, "arena_planned_bytes"));
  add("peak memory", field(mb, "hwm_bytes"), field(ma, "hwm_bytes"), shown_bytes(mb, "hwm_bytes"),
      shown_bytes(ma, "hwm_bytes"));
  std::string html = html_table(table);
  if (const std::string method = text_field(ma, "hwm_method"); !method.empty())
    html += html_note("Peak memory: " + method + ".");
  return html_section("before-after", "Before and after", html);
}

std::string html_cases(const json& report) {
  const json& cases = list_field(report, "cases");
  if (cases.empty()) return {};
  struct Column {
    const char* name;
    char align;
    bool always;  // else only when it tells two cases apart
    std::vector<std::string> cells;
  };
  const auto any = [&cases](double p) {
    return std::any_of(cases.begin(), cases.end(), [p](const json& row) {
      return number_field(percentile_row(row, p), "value").has_value();
    });
  };
  std::vector<Column> columns{
      {"engine", 'l', false, {}},     {"batch", 'n', false, {}},   {"threads", 'n', false, {}},
      {"samples", 'n', true, {}},     {"median", 'n', true, {}},   {"p95", 'n', false, {}},
      {"p99", 'n', false, {}},        {"items/s", 'n', true, {}},  {"size", 'n', false, {}},
      {"peak memory", 'n', true, {}}, {"quality", 'n', false, {}}, {"Pareto", 'l', false, {}},
      {"goodput", 'n', false, {}},    {"late", 'n', false, {}},    {"backlog", 'n', false, {}},
      {"stability", 'l', true, {}}};
  for (const json& row : cases) {
    const json& latency = field(row, "latency");
    bool on_front = false;
    if (const json& fronts = field(row, "pareto"); fronts.is_object())
      for (const json& front : fronts) on_front |= front == true;
    const json& schedule = field(row, "schedule");
    const std::string error = text_field(field(row, "error"), "message");
    const std::vector<std::string> cells{
        html_escape(text_field(row, "engine")),
        shown_number(row, "batch"),
        shown_number(field(row, "threads"), "effective"),
        shown_number(field(row, "samples"), "n"),
        shown_time(latency, "median"),
        shown_time(percentile_row(row, 0.95), "value"),
        shown_time(percentile_row(row, 0.99), "value"),
        shown_number(field(row, "throughput"), "items_per_s"),
        shown_bytes(row, "size_bytes"),
        shown_bytes(field(row, "memory"), "hwm_bytes"),
        field(row, "quality").is_object() ? shown_metric(field(row, "quality"), "value") : "",
        on_front ? "yes" : "",
        shown_number(schedule, "goodput_qps"),
        shown_number(schedule, "late"),
        shown_number(schedule, "max_backlog"),
        error.empty()
            ? html_verdict(text_field(field(row, "stability"), "verdict"))
            : html_verdict("error") + " <span class=\"note\">" + html_escape(error) + "</span>"};
    for (size_t i = 0; i < columns.size(); ++i) columns[i].cells.push_back(cells[i]);
  }
  HtmlTable table{"Every case", {"case"}, "w", {}, true, true};
  for (const json& row : cases)
    table.rows.push_back({html_name(text_field(row, "id").empty() ? case_name(report, row)
                                                                  : text_field(row, "id"))});
  std::erase_if(columns, [&any](const Column& column) {
    const std::string_view name = column.name;
    return (name == "p95" && !any(0.95)) || (name == "p99" && !any(0.99));
  });
  for (const Column& column : columns) {
    const auto differs = [&column](const std::string& cell) { return cell != column.cells[0]; };
    if (!column.always && std::none_of(column.cells.begin(), column.cells.end(), differs)) continue;
    table.head.emplace_back(column.name);
    table.align += column.align;
    for (size_t i = 0; i < cases.size(); ++i) table.rows[i].push_back(column.cells[i]);
  }
  return html_section("cases", "Cases", html_table(table));
}

std::string html_comparison(const json& report) {
  const json& comparison = field(report, "comparison");
  HtmlTable table{"Time of the model divided by the baseline's",
                  {"case", "verdict", "ratio", "interval", "threshold", "pairs"},
                  "wlnnnn",
                  {},
                  true,
                  true};
  for (const json& row : list_field(comparison, "cases")) {
    const json& ratio = field(row, "ratio");
    const auto ci = interval_field(ratio);
    const auto delta = number_field(row, "effective_delta");
    const auto value = number_of(ratio);
    table.rows.push_back(
        {html_name(text_field(row, "id")), html_verdict(text_field(row, "verdict")),
         value ? fmt::format("{:.4g}", *value) : "–",
         ci ? fmt::format("{:.4g} – {:.4g}", ci->first, ci->second) : "–",
         delta ? fmt::format("{:.2g} %", 100 * *delta) : "–", shown_number(row, "pairs")});
  }
  std::string html = html_table(table);
  if (html.empty()) return {};
  for (const auto& [key, text] : std::initializer_list<std::pair<const char*, const char*>>{
           {"missing", "Missing here: "}, {"extra", "Not in the baseline: "}}) {
    std::string names;
    for (const json& name : list_field(comparison, key))
      names += (names.empty() ? "" : ", ") + text_of(name);
    if (!names.empty()) html += html_note(text + names);
  }
  const std::string mode = text_field(comparison, "mode");
  html +=
      html_note(mode == "interleaved"
                    ? "Both models ran in turns, in the same processes. Below 1 is faster."
                    : "cross_run: the baseline was measured in another run. Below 1 is faster.");
  html += html_note(
      "Threshold: the smallest change that counts, as asked or as fine as this machine can tell.");
  return html_section("comparison", "Comparison", html);
}

std::string html_measurement(const json& report) {
  HtmlTable table{
      "Runs and samples",
      {"case", "processes", "samples", "stopped by", "warm-up", "drift", "outliers", "spread (CV)"},
      "wnnlnnnn",
      {},
      true,
      true};
  for (const json& row : list_field(report, "cases")) {
    const json& samples = field(row, "samples");
    const json& stability = field(row, "stability");
    const json& outliers = field(stability, "outliers");
    const json& warmup = field(field(row, "phases"), "warmup");
    const auto drift = number_field(stability, "drift_pct");
    const auto cv = number_field(field(row, "latency"), "cv");
    std::string warm = "–";
    if (warmup.is_object())
      warm = shown_number(warmup, "iterations") +
             (field(warmup, "converged") == true ? "" : ", not converged");
    table.rows.push_back(
        {html_name(case_name(report, row)), shown_number(samples, "n_processes"),
         shown_number(samples, "n"), html_escape(text_field(samples, "stop_reason")), warm,
         drift ? fmt::format("{:+.2g} %", *drift) : "–",
         outliers.is_object()
             ? shown_number(outliers, "mild") + " + " + shown_number(outliers, "severe")
             : "–",
         cv ? fmt::format("{:.2g} %", 100 * *cv) : "–"});
  }
  std::string html = html_table(table);
  HtmlTable inputs{"Inputs", {"name", "shape", "type", "source", "samples"}, "wllln", {}};
  for (const json& row : list_field(report, "inputs"))
    inputs.rows.push_back({html_escape(text_field(row, "name")),
                           html_escape(text_field(row, "shape")),
                           html_escape(text_field(row, "dtype")),
                           html_escape(text_field(row, "source")), shown_number(row, "count")});
  if (!html.empty()) html += html_note("Outliers are counted (mild + severe), never dropped.");
  return html_section("measurement", "How it was measured", html + html_table(inputs));
}

}  // namespace lathe
