#include "report/html_page.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "os/quantity.h"
#include "report/fields.h"
#include "report/headline.h"
#include "report/html_document.h"
#include "report/measures.h"
#include "report/page_text.h"

namespace lathe {
namespace {

using nlohmann::json;

const char* verdict_class(const std::string& word) {
  if (word == "PASS") return "pass";
  if (word == "FAIL" || word == "ERROR") return "fail";
  return word == "INCONCLUSIVE" ? "open" : "none";
}

std::string subject_of(const json& report) {
  const std::string command = text_field(field(report, "run"), "command");
  const std::string model = text_field(model_after(report), "path_basename");
  return "lathe " + command + (model.empty() ? "" : " · " + model);
}

std::string header_of(const json& report) {
  const json& run = field(report, "run");
  const json& error = field(report, "error");
  const std::string word = verdict_word(report);
  std::string out =
      fmt::format("<header class=\"{0}\"><span class=\"badge {0}\">{1}</span>\n<h1>{2}</h1>\n",
                  verdict_class(word), word, html_escape(report_headline(report)));
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

}  // namespace

std::string to_html(const json& report) {
  std::string body = "<main>\n" + header_of(report);
  body +=
      "<noscript><p>The figures are drawn by a script; the JSON report at the end of this file "
      "holds them all.</p></noscript>\n<footer>lathe " +
      html_escape(text_field(field(report, "tool"), "version")) + " · report " +
      html_escape(text_field(field(report, "run"), "id")) +
      " · made from the JSON report, which holds every figure</footer>\n</main>\n";
  return html_document({verdict_word(report) + ": " + subject_of(report), std::move(body), &report,
                        report_page_style(), report_page_script()});
}

}  // namespace lathe
