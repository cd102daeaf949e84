// The frame of the pages that lathe writes: one file that needs no network.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace lathe {

/// For element content and quoted attribute values: & < > " ' and control characters.
std::string html_escape(std::string_view text);

struct HtmlDocument {
  std::string title;           // text
  std::string body;            // markup that can be read without the script
  const nlohmann::json* data;  // what the script reads from the element "data"
  std::string_view style;      // beside the colours and the font of page/base.css
  std::string_view script;
};

/// A complete HTML5 document. Its content security policy allows the style and the script inside
/// and nothing from outside; whatever stands in `data` can neither end its element nor run.
std::string html_document(const HtmlDocument& document);

}  // namespace lathe
