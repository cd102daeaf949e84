#include "report/html_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe {
namespace {

constexpr size_t kMaxTableRows = 200;

const char* column_class(const std::string& align, size_t column) {
  const char kind = column < align.size() ? align[column] : 'l';
  if (kind == 'n') return " class=\"n\"";
  return kind == 'w' ? " class=\"w\"" : "";
}

// Shown before the cell where the heading is not.
std::string label_of(const std::string& head) { return " data-l=\"" + html_escape(head) + "\""; }

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

std::string html_escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 && c != '\n')
          out += "\xef\xbf\xbd";
        else
          out += c;
    }
  }
  return out;
}

std::string html_table(const HtmlTable& table) {
  if (table.rows.empty()) return {};
  std::string out = "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"" +
                    html_escape(table.caption) + "\"><table" +
                    (table.stacks ? " class=\"stack\"" : "") + "><caption" +
                    (table.caption_seen ? ">" : " class=\"unseen\">") + "<span>" +
                    html_escape(table.caption) + "</span></caption>";
  if (std::any_of(table.head.begin(), table.head.end(), [](const auto& h) { return !h.empty(); })) {
    out += "<thead><tr>";
    for (size_t i = 0; i < table.head.size(); ++i)
      out += fmt::format("<th scope=\"col\"{}>{}</th>", column_class(table.align, i),
                         html_escape(table.head[i]));
    out += "</tr></thead>";
  }
  out += "<tbody>\n";
  for (size_t r = 0; r < std::min(table.rows.size(), kMaxTableRows); ++r) {
    out += "<tr>";
    for (size_t i = 0; i < table.rows[r].size(); ++i)
      out += i == 0 ? fmt::format("<th scope=\"row\"{}>{}</th>", column_class(table.align, i),
                                  table.rows[r][i])
                    : fmt::format("<td{}{}>{}</td>", column_class(table.align, i),
                                  table.stacks ? label_of(table.head[i]) : "", table.rows[r][i]);
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  if (table.rows.size() > kMaxTableRows)
    out += html_note(
        fmt::format("{} more rows are in the JSON report.", table.rows.size() - kMaxTableRows));
  return out;
}

std::string html_section(std::string_view id, std::string_view title, const std::string& html) {
  if (html.empty()) return {};
  return fmt::format("<section id=\"{}\"><h2>{}</h2>\n{}</section>\n", html_escape(id),
                     html_escape(title), html);
}

std::string html_details(std::string_view summary, const std::string& html) {
  return "<details class=\"more\"><summary>" + html_escape(summary) + "</summary>\n" + html +
         "</details>\n";
}

std::string html_name(std::string_view text, size_t max_letters) {
  const std::string shown = shortened(text, max_letters);
  std::string out;
  for (const char c : html_escape(shown)) {
    out += c;
    if (std::string_view("/._-").find(c) != std::string_view::npos) out += "<wbr>";
  }
  if (shown == text) return out;
  return "<span title=\"" + html_escape(text) + "\">" + out + "</span>";
}

std::string html_note(std::string_view text) {
  return fmt::format("<p class=\"note\">{}</p>\n", html_escape(text));
}

std::string html_bar(double share, double from, std::string_view kind) {
  const double left = std::clamp(from, 0.0, 1.0);
  const double width = std::clamp(share, 0.0, 1.0 - left);
  return fmt::format(
      "<span class=\"track\"><span class=\"bar {}\" style=\"margin-left:{:.2f}%;width:{:.2f}%\">"
      "</span></span>",
      html_escape(kind), 100 * left, 100 * width);
}

std::string html_verdict(std::string_view verdict) {
  const char* sign = "–";
  const char* kind = "none";
  if (verdict == "pass" || verdict == "improved" || verdict == "stable") {
    sign = "✓";
    kind = "pass";
  } else if (verdict == "fail" || verdict == "error" || verdict == "regressed") {
    sign = "✗";
    kind = "fail";
  } else if (verdict == "inconclusive" || verdict == "not converged") {
    sign = "?";
    kind = "open";
  }
  return fmt::format("<span class=\"v {}\"><span aria-hidden=\"true\">{}</span> {}</span>", kind,
                     sign, html_escape(verdict));
}

std::string shortened(std::string_view text, size_t max_letters) {
  size_t letters = 0;
  for (const char c : text) letters += continues(c) ? 0 : 1;
  if (letters <= max_letters || max_letters < 3) return std::string(text);
  const size_t tail = (max_letters - 1) * 2 / 3;
  const size_t head = max_letters - 1 - tail;
  size_t first = 0;
  for (size_t n = 0; first < text.size(); ++first)
    if (!continues(text[first]) && n++ == head) break;
  size_t last = text.size();
  for (size_t n = 0; last > 0 && n < tail;)
    if (!continues(text[--last])) ++n;
  return std::string(text.substr(0, first)) + "…" + std::string(text.substr(last));
}

}  // namespace lathe
