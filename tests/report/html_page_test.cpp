#include "report/html_page.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "count_of.h"
#include "report/html_document.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr const char* kEvil = "<!--</style></script><script>alert(1)</script>\"'><img src=x>\xff";

// What the page's script reads.
json embedded(const std::string& page) {
  const std::string begin = "<script type=\"application/json\" id=\"data\">";
  const size_t at = page.find(begin) + begin.size();
  return json::parse(page.substr(at, page.find("</script>", at) - at));
}

// The page as far as it can be read without the script.
std::string readable(const std::string& page) {
  const size_t body = page.find("<body>");
  return page.substr(body, page.find("<script", body) - body);
}

json hostile_report() {
  json report{{"verdict", "fail"}, {"run", {{"command", kEvil}, {"argv", {kEvil}}, {"id", kEvil}}}};
  report["model"] = {{"path_basename", kEvil}, {"file_bytes", 1000}, {"ops", {{kEvil, 1}}}};
  report["error"] = {{"code", kEvil}, {"message", kEvil}, {"where", kEvil}, {"hint", kEvil}};
  report["recipe"] = {{kEvil, kEvil}};
  return report;
}

TEST_CASE("names from files end neither the script nor the text that they stand in") {
  const std::string page = to_html(hostile_report());
  CHECK(count_of(page, "</style>") == 1);
  CHECK(count_of(page, "<script") == 2);
  CHECK(count_of(page, "</script>") == 2);
  CHECK(count_of(page, "<img") == 0);
  CHECK(count_of(page, "<!--") == 0);
  CHECK(readable(page).find("&lt;/style&gt;") != std::string::npos);
}

TEST_CASE("the page holds the report") {
  json report{{"verdict", "pass"}, {"run", {{"command", "compile"}}}};
  report["plan"] = {{"nodes", {1, nullptr, 2.5, "a < b & </script>"}}};
  CHECK(embedded(to_html(report)) == report);
  CHECK(embedded(to_html(json::object())) == json::object());
}

TEST_CASE("the page needs no network, knows dark mode, and begins with the verdict") {
  const std::string page = to_html({{"verdict", "pass"}, {"run", {{"command", "compile"}}}});
  CHECK(page.starts_with("<!DOCTYPE html>"));
  CHECK(page.ends_with("</html>\n"));
  CHECK(page.find("default-src 'none'") != std::string::npos);
  // The name of SVG's elements is no address that is opened.
  CHECK(count_of(page, "http:") == count_of(page, "'http://www.w3.org/2000/svg'"));
  CHECK(page.find("https:") == std::string::npos);
  CHECK(page.find("url(") == std::string::npos);
  CHECK(page.find("innerHTML") == std::string::npos);
  CHECK(page.find("prefers-color-scheme: dark") != std::string::npos);
  CHECK(page.find("width=device-width") != std::string::npos);
}

TEST_CASE("verdict, headline and hint are there without the script") {
  json report{{"verdict", "error"}, {"complete", false}, {"run", {{"command", "bench"}}}};
  report["run"]["duration_ns"] = 2.5e9;
  report["error"] = {{"where", "m.onnx"}, {"message", "is empty"}, {"hint", "look at it"}};
  const std::string text = readable(to_html(report));
  for (const char* part : {">ERROR<", "m.onnx: is empty", "look at it", "took 2.5 s", "<noscript>"})
    CHECK(text.find(part) != std::string::npos);
  CHECK(text.find("did not come to its end") == std::string::npos);
  report.erase("error");
  CHECK(readable(to_html(report)).find("did not come to its end") != std::string::npos);
}

TEST_CASE("html_escape makes markup text") {
  CHECK(html_escape("<a b='c\"&\x01") == "&lt;a b=&#39;c&quot;&amp;\xef\xbf\xbd");
}

}  // namespace
}  // namespace lathe
