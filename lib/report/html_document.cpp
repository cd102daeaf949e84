#include "report/html_document.h"

#include <nlohmann/json.hpp>

#include "report/page_text.h"

namespace lathe {
namespace {

// JSON that cannot end the script element that it stands in, nor begin a comment there.
std::string script_json(const nlohmann::json& value) {
  std::string out;
  for (const char byte : value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)) {
    if (byte == '<')
      out += "\\u003c";
    else
      out += byte;
  }
  return out;
}

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

std::string html_document(const HtmlDocument& document) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta name=\"referrer\" content=\"no-referrer\">\n<title>";
  out += html_escape(document.title) + "</title>\n<style>\n";
  out.append(page_base_style()).append(document.style);
  out += "</style>\n</head>\n<body>\n" + document.body +
         "<script type=\"application/json\" id=\"data\">" + script_json(*document.data) +
         "</script>\n<script>\n";
  return out.append(document.script).append("</script>\n</body>\n</html>\n");
}

}  // namespace lathe
