// Pieces of the report page. Everything that is called `html` is markup already; everything that is
// called `text` is escaped here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// For element content and quoted attribute values: & < > " ' and control characters.
std::string html_escape(std::string_view text);

struct HtmlTable {
  std::string caption;            // text; read by screen readers, and shown
  std::vector<std::string> head;  // text
  std::string align;              // per column: 'l' text, 'n' number, 'w' text that may wrap
  std::vector<std::vector<std::string>> rows;  // html
  bool caption_seen = true;                    // false: the heading above says it already
  bool stacks = false;                         // on a phone each row becomes a block of lines
};

/// A table that scrolls by itself when it is wider than the page; empty without rows. At most 200
/// rows are shown, and a line says how many more there are.
std::string html_table(const HtmlTable& table);

/// A heading with its content; empty when the content is. `id` names the place for links.
std::string html_section(std::string_view id, std::string_view title, const std::string& html);

/// Folded away behind its summary until the reader opens it.
std::string html_details(std::string_view summary, const std::string& html);

/// A paragraph in small type.
std::string html_note(std::string_view text);

/// A bar of `share` (0 to 1) of its cell, that begins at `from`.
std::string html_bar(double share, double from = 0, std::string_view kind = "");

/// The verdict as a word in its colour and with a sign before it: pass, fail, inconclusive, …
std::string html_verdict(std::string_view verdict);

/// A name from a model, escaped, that may break after / . _ and -; longer ones are shortened and
/// have the whole as their title.
std::string html_name(std::string_view text, size_t max_letters = 60);

/// At most `max_letters` code points; the middle becomes "…", because names differ at their ends.
std::string shortened(std::string_view text, size_t max_letters);

}  // namespace lathe
