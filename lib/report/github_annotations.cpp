#include "report/github_annotations.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "report/fields.h"
#include "report/headline.h"
#include "report/markdown.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kMaxAnnotations = 10;
constexpr size_t kMaxSummaryBytes = 1000 * 1000;

std::string escaped(std::string_view text, std::string_view specials) {
  std::string out;
  for (const char c : text) {
    if (specials.find(c) == std::string_view::npos)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string command(const char* level, const std::string& title, const std::string& message) {
  return fmt::format("::{} title={}::{}\n", level, annotation_property(title),
                     annotation_message(message));
}

}  // namespace

std::string annotation_message(std::string_view text) { return escaped(text, "%\r\n"); }
std::string annotation_property(std::string_view text) { return escaped(text, "%\r\n:,"); }

std::string to_github_annotations(const json& report) {
  std::string out;
  size_t count = 0;
  if (const json& error = field(report, "error"); error.is_object()) {
    const std::string hint = text_field(error, "hint");
    out += command("error", "lathe " + text_field(field(report, "run"), "command"),
                   report_headline(report) + (hint.empty() ? "" : "; " + hint));
    ++count;
  }
  for (const json* gate : worst_gates(report)) {
    if (count++ == kMaxAnnotations) break;
    const std::string id = text_field(*gate, "case");
    out += command(field(*gate, "verdict") == "fail" ? "error" : "warning",
                   "lathe gate " + text_field(*gate, "id") + (id.empty() ? "" : " in " + id),
                   gate_sentence(report, *gate));
  }
  for (const json& row : list_field(field(report, "comparison"), "cases")) {
    if (!list_field(report, "gates").empty() || field(row, "verdict") != "regressed") continue;
    if (count++ == kMaxAnnotations) break;
    const std::string blame = blame_of(report, field(row, "id"));
    out += command("warning", "lathe " + text_field(row, "id"),
                   speed_sentence(row) + (blame.empty() ? "" : "; slower: " + blame));
  }
  return out;
}

std::string to_github_summary(const json& report) {
  std::string out = report_markdown(report);
  const size_t end = out.find('\n');
  out.insert(end == std::string::npos ? out.size() : end + 1,
             "\n" + markdown_cell(report_headline(report)) + "\n");
  if (out.size() <= kMaxSummaryBytes) return out;
  const size_t cut = out.rfind('\n', kMaxSummaryBytes);
  out.resize(cut == std::string::npos ? kMaxSummaryBytes : cut + 1);
  return out + "\nThe rest is in the report.\n";
}

}  // namespace lathe
