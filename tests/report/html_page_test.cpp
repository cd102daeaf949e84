#include "report/html_page.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

#include "report/html_text.h"
#include "report/svg_plot.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr const char* kEvil = "</style></script><script>alert(1)</script>\"'><img src=x onerror=1>";

// Every start tag is closed in order, and every name is one that the page uses.
std::string tag_errors(const std::string& page) {
  const std::vector<std::string> empty{"meta", "br", "wbr", "line", "rect", "circle", "path"};
  std::vector<std::string> open;
  for (size_t at = page.find("<html"); (at = page.find('<', at)) != std::string::npos; ++at) {
    const bool close = page[at + 1] == '/';
    const size_t from = at + (close ? 2 : 1);
    const size_t end = page.find_first_of(" >/\n", from);
    const std::string name = page.substr(from, end - from);
    if (name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyz123") != name.npos)
      return "odd tag '" + name + "'";
    if (name == "script" || name == "img" || name == "link" || name == "iframe") return name;
    if (close) {
      if (open.empty() || open.back() != name) return "unexpected </" + name + ">";
      open.pop_back();
    } else if (std::find(empty.begin(), empty.end(), name) == empty.end()) {
      open.push_back(name);
      if (name == "style" && page.find("</style>", at) == std::string::npos) return "style";
    }
  }
  return open.empty() ? "" : "open <" + open.back() + ">";
}

json hostile_report() {
  json bins = json::array();
  for (int i = 0; i < 20; ++i)
    bins.push_back({{"low", 1e6 + i}, {"high", 1e6 + i + 1}, {"count", i}});
  json report{{"verdict", "fail"}, {"run", {{"command", kEvil}, {"argv", {kEvil}}, {"id", kEvil}}}};
  report["model"] = {{"path_basename", kEvil}, {"file_bytes", 1000}, {"ops", {{kEvil, 1}}}};
  report["models"]["against"] = {{"path_basename", kEvil}, {"file_bytes", 2000}};
  report["gates"] = {{{"id", kEvil}, {"metric", kEvil}, {"verdict", kEvil}, {"reason", kEvil}}};
  report["warnings"] = {{{"code", kEvil}, {"message", kEvil}, {"hint", kEvil}}};
  json one{{"id", kEvil},
           {"engine", kEvil},
           {"samples", {{"n", 3}, {"histogram", {{"bins", bins}}}}},
           {"latency", {{"median", 1e6}, {"min", 1e6}, {"max", 2e6}, {"min_reason", kEvil}}},
           {"throughput", {{"items_per_s", 3}}}};
  one["profile"]["ops"] = {{{"name", kEvil}, {"type", kEvil}, {"total_ns", 5}}};
  report["cases"] = {one, one, one};
  report["cases"][1]["batch"] = 8;
  report["comparison"] = {{"mode", kEvil}};
  report["comparison"]["cases"] = {{{"id", kEvil},
                                    {"verdict", kEvil},
                                    {"note", kEvil},
                                    {"block_ratios", {{0.9, 1.1}, {1.2, 1.0}}},
                                    {"ratio", {{"value", 1.1}, {"ci95", {0.9, 1.2}}}},
                                    {"op_deltas", {{{"name", kEvil}, {"delta_ns", 3}}}}}};
  report["quality"] = {{{"metric", kEvil}, {"after", 1}}};
  report["error_by_value"]["layers"] = {{{"value", kEvil}, {"sqnr_db", 12}}};
  report["plan"]["exceptions"] = {{{"node", kEvil}, {"node_type", kEvil}, {"reason", kEvil}}};
  report["verification"] = {{"failure", kEvil}, {"inputs", kEvil}};
  report["steps"] = {{{"pass", kEvil}, {"changes", 1}}};
  report["host"] = {{"os", kEvil}, {"cpu", {{"model", kEvil}}}};
  report["recipe"] = {{kEvil, kEvil}};
  report["artifacts"] = {{{"kind", kEvil}, {"path", kEvil}}};
  return report;
}

TEST_CASE("names from files stay text everywhere on the page") {
  const std::string page = to_html(hostile_report());
  CHECK(tag_errors(page) == "");
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("<img") == std::string::npos);
  CHECK(page.find("&lt;/style&gt;") != std::string::npos);
  for (const char* title : {"Gates", "Figures", "Operators", "Quality", "Plan", "Verification"})
    CHECK(page.find(std::string("<h2>") + title) != std::string::npos);
  json error = hostile_report();
  error["error"] = {{"code", kEvil}, {"message", kEvil}, {"where", kEvil}, {"hint", kEvil}};
  CHECK(tag_errors(to_html(error)) == "");
}

TEST_CASE("the page needs no network, knows dark mode, and begins with the verdict") {
  const std::string page = to_html({{"verdict", "pass"}, {"run", {{"command", "compile"}}}});
  CHECK(page.starts_with("<!DOCTYPE html>"));
  CHECK(page.find("default-src 'none'") != std::string::npos);
  CHECK(page.find("http:") == std::string::npos);
  CHECK(page.find("https:") == std::string::npos);
  CHECK(page.find("url(") == std::string::npos);
  CHECK(page.find("prefers-color-scheme:dark") != std::string::npos);
  CHECK(page.find("width=device-width") != std::string::npos);
  const size_t main = page.find("<main>");
  CHECK(page.find("PASS", main) < page.find("<section", main));
  CHECK(tag_errors(page) == "");
  CHECK(tag_errors(to_html(json::object())) == "");
}

TEST_CASE("figures appear when the report has what they show") {
  json report = hostile_report();
  CHECK(to_html(report).find("Distribution of latency") != std::string::npos);
  CHECK(to_html(report).find("Ratio of each pair of blocks") != std::string::npos);
  CHECK(to_html(report).find("Latency by batch") != std::string::npos);
  for (json& row : report["cases"]) row["samples"].erase("histogram");
  report["comparison"]["cases"][0].erase("block_ratios");
  CHECK(to_html(report).find("Distribution of latency") == std::string::npos);
  CHECK(to_html(report).find("Ratio of each pair of blocks") == std::string::npos);
}

// One model against another: two engines at two batches each.
json sweep_report() {
  const auto hash = [](char c) { return std::string(64, c); };
  json report{{"verdict", "fail"}, {"run", {{"command", "bench"}}}};
  report["models"] = {{"q", {{"path_basename", "q.onnx"}, {"sha256", hash('a')}}},
                      {"against", {{"path_basename", "m.onnx"}, {"sha256", hash('b')}}}};
  report["models"]["q"]["file_bytes"] = 1000;
  report["models"]["against"]["file_bytes"] = 4000;
  report["comparison"] = {{"mode", "interleaved"}, {"cases", json::array()}};
  for (const char* engine : {"interpreter", "torchscript"})
    for (const int batch : {1, 4}) {
      const std::string id = "q/batch" + std::to_string(batch) + "/" + engine;
      json row{{"id", id},
               {"engine", engine},
               {"batch", batch},
               {"model_sha256", hash('a')},
               {"size_bytes", 1000},
               {"samples", {{"n", 3}, {"histogram", {{"bins", {{1e6, 2e6, 2}, {4e6, 5e6, 1}}}}}}},
               {"quality", {{"metric", "top1"}, {"value", 0.9}}},
               {"pareto", {{"latency_bytes_quality", batch == 1}}},
               {"latency", {{"median", 1e6 * batch}, {"min", 9e5}, {"max", 5e6}}},
               {"throughput", {{"items_per_s", 1000}}}};
      report["cases"].push_back(row);
      row["id"] = "against/" + id;
      row["model_sha256"] = hash('b');
      row["size_bytes"] = 4000;
      row["latency"]["median"] = 2e6 * batch;
      row.erase("pareto");
      report["cases"].push_back(row);
      report["comparison"]["cases"].push_back({{"id", id},
                                               {"verdict", "improved"},
                                               {"block_ratios", {{0.5, 0.6, 0.4}}},
                                               {"ratio", {{"value", 0.5}, {"ci95", {0.4, 0.6}}}}});
    }
  for (int i = 0; i < 8; ++i)
    report["gates"].push_back({{"id", "size < 2kB"},
                               {"metric", "size"},
                               {"op", "<"},
                               {"limit", 2000},
                               {"observed", 1000},
                               {"verdict", i == 7 ? "fail" : "pass"}});
  return report;
}

TEST_CASE("a sweep: short names, the best ones first, gates that hold folded away") {
  const std::string page = to_html(sweep_report());
  CHECK(tag_errors(page) == "");
  // In legends only what tells the cases apart; the compared ones are all of one model.
  CHECK(page.find("q, interpreter, batch 4<") != std::string::npos);
  CHECK(page.find("Ratio of each pair of blocks, torchscript, batch 1 ") != std::string::npos);
  CHECK(page.find("least median</span><span class=\"f\">1 ms</span><span "
                  "class=\"d\">interpreter, batch 1<") != std::string::npos);
  CHECK(page.find("Size and speed") != std::string::npos);
  CHECK(page.find("Pareto front") != std::string::npos);
  CHECK(page.find("Quality and speed") == std::string::npos);  // all alike
  const size_t gates = page.find("<h2>Gates");
  const size_t folded = page.find("<summary>7 gates hold</summary>");
  CHECK(gates < page.find("✗</span> fail", gates));
  CHECK(page.find("✗</span> fail", gates) < folded);
  CHECK(folded != std::string::npos);
}

TEST_CASE("axis ticks are round and inside") {
  CHECK(axis_ticks(0, 1.06, false, 5) == std::vector<double>{0, 0.5, 1});
  CHECK(axis_ticks(1, 1000, true, 7) ==
        std::vector<double>{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000});
  for (const double tick : axis_ticks(3.1e-7, 8.9e12, true, 5)) {
    CHECK(tick >= 3.1e-7);
    CHECK(tick <= 8.9e12);
  }
  CHECK(axis_ticks(1e-3, 1e9, true, 5).size() <= 6);
  CHECK(axis_ticks(1, 1, false, 5).empty());
  CHECK(svg_plot({}).empty());
  Plot plot;
  plot.x.logarithmic = true;
  plot.series = {{"one", {{0, 1}, {5, 5}}, PlotMark::kLine}};  // zero has no place on the axis
  CHECK(svg_plot(plot).find("NaN") == std::string::npos);
  CHECK(svg_plot(plot).find("inf") == std::string::npos);
}

TEST_CASE("a tick's label ends where the picture ends") {
  Plot plot;
  plot.x.text = [](double) -> std::string { return "1000000 us"; };
  plot.x.ticks = {0, 5, 10};
  plot.series = {{"one", {{0, 1}, {10, 5}}, PlotMark::kLine}};
  const std::string picture = svg_plot(plot);
  CHECK(picture.find("x=\"419.0\" y=\"221\" text-anchor=\"end\">1000000 us<") != std::string::npos);
  CHECK(picture.find("text-anchor=\"middle\">1000000 us<") != std::string::npos);
}

TEST_CASE("shortened keeps both ends and whole letters") {
  CHECK(shortened("abcdefghij", 10) == "abcdefghij");
  CHECK(shortened("abcdefghij", 7) == "ab…ghij");
  CHECK(shortened("äöüäöüäöüä", 4) == "ä…üä");
  CHECK(html_escape("<a b='c\"&") == "&lt;a b=&#39;c&quot;&amp;");
}

}  // namespace
}  // namespace lathe
