#include "report/html_page.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "os/quantity.h"
#include "report/fields.h"
#include "report/headline.h"
#include "report/html_sections.h"
#include "report/html_style.h"
#include "report/html_text.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;

const char* verdict_class(const json& report) {
  const std::string word = verdict_word(report);
  if (word == "PASS") return "pass";
  if (word == "FAIL" || word == "ERROR") return "fail";
  return word == "INCONCLUSIVE" ? "open" : "none";
}

std::string subject_of(const json& report) {
  const std::string command = text_field(field(report, "run"), "command");
  const std::string model = text_field(model_after(report), "path_basename");
  return "lathe " + command + (model.empty() ? "" : " · " + model);
}

std::string head_of(const json& report) {
  const json& run = field(report, "run");
  const json& error = field(report, "error");
  const char* kind = verdict_class(report);
  std::string out =
      fmt::format("<header class=\"{0}\"><span class=\"badge {0}\">{1}</span>\n<h1>{2}</h1>\n",
                  kind, verdict_word(report), html_escape(report_headline(report)));
  if (const std::string hint = text_field(error, "hint"); !hint.empty())
    out += "<p>" + html_escape(hint) + "</p>\n";
  if (field(report, "complete") == false && !error.is_object())
    out += "<p>The run did not come to its end: these figures are a part.</p>\n";
  std::string line = subject_of(report);
  if (const std::string started = text_field(run, "started_utc"); !started.empty())
    line += " · " + started;
  if (const auto duration = number_field(run, "duration_ns"))
    line += " · took " + duration_text(*duration);
  return out + "<p class=\"sub\">" + html_escape(line) + "</p></header>\n";
}

class Tiles {
 public:
  void add(const char* name, const std::string& figure, const std::string& detail) {
    if (figure.empty() || figure.find("–") == 0 || figure.find("<span") == 0) return;
    out_ += fmt::format(
        "<li><span class=\"k\">{}</span><span class=\"f\">{}</span><span "
        "class=\"d\">{}</span></li>\n",
        html_escape(name), figure, html_escape(detail));
  }
  std::string text() const {
    return out_.empty() ? "" : "<ul class=\"tiles\">\n" + out_ + "</ul>\n";
  }

 private:
  std::string out_;
};

std::string against(const json& before, const json& after) {
  const std::string change = change_text_of(before, after);
  return change == "–" ? "" : change;
}

// The best of what was tried, and what one asked to be recommended.
void add_sweep_tiles(const json& report, Tiles& tiles) {
  std::vector<const json*> rows;
  for (const json& row : list_field(report, "cases"))
    if (!text_field(row, "id").starts_with("against/")) rows.push_back(&row);
  const auto labels = case_labels(report, rows);
  const json* fastest = nullptr;
  const json* most = nullptr;
  const auto median = [](const json* row) {
    return number_field(field(*row, "latency"), "median");
  };
  const auto rate = [](const json* row) {
    return number_field(field(*row, "throughput"), "items_per_s");
  };
  for (const json* row : rows) {
    if (median(row) && (fastest == nullptr || *median(row) < *median(fastest))) fastest = row;
    if (rate(row) && (most == nullptr || *rate(row) > *rate(most))) most = row;
  }
  tiles.add("cases", std::to_string(rows.size()), "");
  if (fastest != nullptr)
    tiles.add("least median", shown_time(field(*fastest, "latency"), "median"),
              labels.at(text_field(*fastest, "id")));
  if (most != nullptr)
    tiles.add("most items per second", shown_number(field(*most, "throughput"), "items_per_s"),
              labels.at(text_field(*most, "id")));
  const json& recommended = field(field(report, "sweep"), "recommended");
  for (const json* row : rows)
    if (!recommended.is_null() && field(*row, "id") == field(recommended, "case"))
      tiles.add("recommended", html_escape(labels.at(text_field(*row, "id"))),
                text_field(recommended, "metric"));
}

// Of prune: what is left of each size, the speed, and the metric at each stage.
void add_prune_tiles(const json& report, Tiles& tiles) {
  const json& before = field(field(report, "sizes"), "before");
  const json& after = field(field(report, "sizes"), "after");
  const auto add = [&](const char* name, const char* key, auto shown) {
    const auto b = number_field(before, key);
    const auto a = number_field(after, key);
    if (!a) return;
    std::string detail;
    if (b && *b > 0) detail = fmt::format("{:.3g} % of {}", 100 * *a / *b, shown(before, key));
    tiles.add(name, shown(after, key), detail);
  };
  add("file", "file_bytes", shown_bytes);
  add("parameters", "params", shown_count);
  add("multiply-adds", "macs", shown_count);
  const json& latency = main_latency(report);
  if (const auto speedup = number_field(latency, "speedup"))
    tiles.add(
        "speed-up", fmt::format("{:.3g}x", *speedup),
        text_field(latency, "engine") + (field(latency, "simulated") == true ? ", simulated" : ""));
  for (const json& row : list_field(report, "stages")) {
    const std::string metric = text_field(row, "metric");
    const auto drop = number_field(row, "drop");
    const std::string name = metric + ", " + text_field(row, "stage");
    tiles.add(name.c_str(), shown_metric(row, "value"),
              drop && *drop != 0 ? "drop " + drop_text(metric, *drop) : "");
  }
}

// Every row of `quality` is the metric of a stage, too.
bool stages_say_quality(const json& report) {
  const json& stages = list_field(report, "stages");
  const json& rows = list_field(report, "quality");
  return !stages.empty() && std::all_of(rows.begin(), rows.end(), [&stages](const json& row) {
    return field(row, "metric") == field(stages.back(), "metric");
  });
}

std::string tiles_of(const json& report) {
  Tiles tiles;
  const json& cases = list_field(report, "cases");
  if (cases.size() == 1 || cases.size() == 2) {
    const json& after = cases[0];
    static const json nothing;
    const json& before = cases.size() == 2 ? cases[1] : nothing;
    const json& latency = field(after, "latency");
    tiles.add("median", shown_time(latency, "median"),
              against(field(field(before, "latency"), "median"), field(latency, "median")));
    const json& rate = field(after, "throughput");
    tiles.add(
        "items per second", shown_number(rate, "items_per_s"),
        against(field(field(before, "throughput"), "items_per_s"), field(rate, "items_per_s")));
    const json& memory = field(after, "memory");
    tiles.add("peak memory", shown_bytes(memory, "hwm_bytes"),
              against(field(field(before, "memory"), "hwm_bytes"), field(memory, "hwm_bytes")));
  } else if (!cases.empty()) {
    add_sweep_tiles(report, tiles);
  }
  const json& before = model_before(report);
  const json& after = model_after(report);
  const bool sized = number_field(field(field(report, "sizes"), "after"), "file_bytes").has_value();
  if (!sized)
    tiles.add("file", shown_bytes(after, "file_bytes"),
              against(field(before, "file_bytes"), field(after, "file_bytes")));
  add_prune_tiles(report, tiles);
  if (cases.empty() && !sized)
    tiles.add("nodes", shown_number(after, "nodes"),
              against(field(before, "nodes"), field(after, "nodes")));
  for (const json& row : list_field(report, "quality")) {
    if (stages_say_quality(report)) break;
    std::string detail;
    if (const auto drop = number_field(row, "drop");
        drop && metric_is_share(text_field(row, "metric")))
      detail = *drop == 0 ? "no drop"
                          : fmt::format("{}{:.2g} points", *drop > 0 ? "−" : "+",
                                        100 * (*drop > 0 ? *drop : -*drop));
    tiles.add(text_field(row, "metric").c_str(), shown_metric(row, "after"), detail);
  }
  return tiles.text();
}

}  // namespace

std::string to_html(const json& report) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta name=\"referrer\" content=\"no-referrer\">\n";
  out += "<title>" + html_escape(verdict_word(report) + ": " + subject_of(report)) + "</title>\n";
  out += "<style>" + std::string(html_style()) + "</style>\n</head>\n<body>\n<main>\n";
  out += head_of(report) + tiles_of(report) + html_gates(report) + html_warnings(report) +
         html_prune(report) + html_before_after(report) + html_figures(report) +
         html_comparison(report);
  if (!stages_say_quality(report)) out += html_quality(report);
  if (list_field(report, "cases").size() != 2 || !html_before_after(report).size())
    out += html_cases(report);
  out += html_ops(report) + html_verification(report) + html_quantize(report) +
         html_layers(report) + html_plan(report) + html_models(report) + html_steps(report) +
         html_measurement(report) + html_host(report) + html_run(report);
  out += "<footer>lathe " + html_escape(text_field(field(report, "tool"), "version")) +
         " · report " + html_escape(text_field(field(report, "run"), "id")) +
         " · made from the JSON report, which holds every figure</footer>\n";
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace lathe
