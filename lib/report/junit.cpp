#include "report/junit.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <vector>

#include "report/fields.h"
#include "report/headline.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;

struct TestCase {
  std::string classname;
  std::string name;
  std::string kind;  // "failure", "error", "skipped"; empty: passed
  std::string type;
  std::string message;
};

std::string classname_of(const json& report, const json& gate) {
  const json& id = field(gate, "case");
  for (const json& row : list_field(report, "cases"))
    if (field(row, "id") == id) return case_name(report, row);
  const std::string model = text_field(model_after(report), "path_basename");
  const std::string text = text_of(id);
  if (model.empty()) return text.empty() ? "lathe" : text;
  return text.empty() ? model : model + "/" + text;
}

TestCase gate_test(const json& report, const json& gate) {
  TestCase test{classname_of(report, gate), text_field(gate, "id"), {}, {}, {}};
  if (field(gate, "simulated") == true) test.name += " (simulated)";
  const std::string verdict = text_field(gate, "verdict");
  if (verdict == "pass") return test;
  test.kind = verdict == "fail" ? "failure" : "skipped";
  test.type = "gate." + verdict;
  test.message = gate_sentence(report, gate);
  return test;
}

std::vector<TestCase> tests_of(const json& report) {
  const std::string command = text_field(field(report, "run"), "command");
  std::vector<TestCase> tests;
  for (const json& gate : list_field(report, "gates")) tests.push_back(gate_test(report, gate));
  const json& error = field(report, "error");
  if (!error.is_object() && !tests.empty()) return tests;
  const std::string model = text_field(model_after(report), "path_basename");
  TestCase run{model.empty() ? "lathe" : model, command.empty() ? "run" : command, {}, {}, {}};
  if (error.is_object()) {
    run.kind = "error";
    run.type = text_field(error, "code");
    run.message = report_headline(report);
    if (const std::string hint = text_field(error, "hint"); !hint.empty())
      run.message += "; " + hint;
  } else if (const std::string verdict = verdict_word(report); verdict != "PASS") {
    run.kind = verdict == "INCONCLUSIVE" ? "skipped" : "failure";
    run.type = "verdict";
    run.message = report_headline(report);
  }
  tests.push_back(std::move(run));
  return tests;
}

std::string element(const TestCase& test) {
  std::string out =
      fmt::format("    <testcase classname=\"{}\" name=\"{}\" time=\"0\"",
                  xml_escape(test.classname), xml_escape(test.name.empty() ? "gate" : test.name));
  if (test.kind.empty()) return out + "/>\n";
  return out + fmt::format(">\n      <{0} type=\"{1}\" message=\"{2}\"/>\n    </testcase>\n",
                           test.kind, xml_escape(test.type), xml_escape(test.message));
}

// Ant's schema allows no time zone; the report's times are UTC.
std::string timestamp(const json& report) {
  const std::string utc = text_field(field(report, "run"), "started_utc");
  return utc.size() == 20 && utc.back() == 'Z' ? utc.substr(0, 19) : "1970-01-01T00:00:00";
}

std::string properties(const json& report) {
  std::string out = "    <properties>\n";
  const auto add = [&out](const char* name, const std::string& value) {
    if (!value.empty())
      out += fmt::format("      <property name=\"{}\" value=\"{}\"/>\n", name, xml_escape(value));
  };
  add("lathe.version", text_field(field(report, "tool"), "version"));
  add("verdict", text_field(report, "verdict"));
  add("headline", report_headline(report));
  add("host.fingerprint", text_field(field(report, "host"), "fingerprint"));
  add("report.id", text_field(field(report, "run"), "id"));
  for (const json& gate : list_field(report, "gates"))
    if (number_field(gate, "observed"))
      out += fmt::format("      <property name=\"{}\" value=\"{}\"/>\n",
                         xml_escape("observed: " + classname_of(report, gate) + " " +
                                    text_field(gate, "id")),
                         xml_escape(observed_text(gate)));
  return out + "    </properties>\n";
}

}  // namespace

std::string xml_escape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += c == '\n' ? "&#10;" : c == '\t' ? "&#9;" : "\xef\xbf\xbd";
    } else if (text.substr(i, 3) == "\xef\xbf\xbe" || text.substr(i, 3) == "\xef\xbf\xbf") {
      out += "\xef\xbf\xbd";
      i += 2;
    } else {
      out += c;
    }
  }
  return out;
}

std::string to_junit(const json& report) {
  const std::vector<TestCase> tests = tests_of(report);
  const auto count = [&tests](std::string_view kind) {
    size_t n = 0;
    for (const TestCase& test : tests) n += test.kind == kind ? 1 : 0;
    return n;
  };
  const double seconds = number_field(field(report, "run"), "duration_ns").value_or(0) / 1e9;
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n";
  out += fmt::format(
      "  <testsuite id=\"0\" package=\"lathe\" name=\"lathe {}\" timestamp=\"{}\" "
      "hostname=\"localhost\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" "
      "time=\"{:.3f}\">\n",
      xml_escape(text_field(field(report, "run"), "command")), timestamp(report), tests.size(),
      count("failure"), count("error"), count("skipped"), seconds < 0 ? 0 : seconds);
  out += properties(report);
  for (const TestCase& test : tests) out += element(test);
  return out + "    <system-out/>\n    <system-err/>\n  </testsuite>\n</testsuites>\n";
}

}  // namespace lathe
