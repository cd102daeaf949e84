#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "report/headline.h"
#include "report/html_page.h"
#include "report/markdown.h"
#include "report/report.h"
#include "report_schema.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr const char* kMarkup = "</style><script>alert(1)</script>\"'><img src=x onerror=1>";

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

// A ResNet of `groups` groups to half of its multiply-adds: everything that prune can say.
json prune_report(int groups = 9) {
  Report base;
  base.run.command = "prune";
  json report = to_json(base);
  report["plan"] = {{"structure", "channel"},
                    {"criterion", "l1"},
                    {"scope", "global"},
                    {"target", {{"kind", "budget"}, {"metric", "macs"}, {"share", 0.5}}},
                    {"cost_share", 0.4985},
                    {"groups", json::array()},
                    {"weights", json::array()},
                    {"blocked", 2}};
  report["repair"] = json::array();
  report["sensitivity"] = {{"metric", "top1"}, {"dense", 0.763}, {"rows", json::array()}};
  for (int i = 0; i < groups; ++i) {
    const std::string name = fmt::format("/layer{}/conv{}/Conv", i / 4 + 1, i % 4 + 1);
    const int size = 16 << std::min(i / 4, 5);
    const int kept = size - size * (i % 7 + 1) / 10;
    report["plan"]["groups"].push_back(
        {{"group", name},
         {"description", fmt::format("{} ({} channels), through BatchNormalization; read by "
                                     "/layer{}/conv{}/Conv",
                                     name, size, (i + 1) / 4 + 1, (i + 1) % 4 + 1)},
         {"size", size},
         {"kept", kept},
         {"removed", size - kept},
         {"reason", ""},
         {"prunable", true},
         {"note", ""}});
    report["repair"].push_back({{"node", name},
                                {"node_type", "Conv"},
                                {"method", i % 5 == 4 ? "bias" : "least-squares"},
                                {"rows", 50000},
                                {"error_before", 0.6 / (i + 1)},
                                {"error_after", 0.05 / (i + 1)},
                                {"note", ""}});
    for (int step = 1; step <= 9; ++step)
      report["sensitivity"]["rows"].push_back(
          {{"group", name},
           {"size", size},
           {"sparsity", step / 10.0},
           {"kept", size - size * step / 10},
           {"value", 0.763 - 0.6 * std::pow(step / 10.0, 2 + i % 3) / (1 + i % 8)}});
  }
  report["plan"]["groups"].push_back({{"group", "conv_in"},
                                      {"description", "conv_in (16 channels)"},
                                      {"size", 16},
                                      {"kept", 16},
                                      {"removed", 0},
                                      {"reason", "reaches the output logits"},
                                      {"prunable", false},
                                      {"note", ""}});
  const auto stage = [](const char* name, double value, double seconds) {
    return json{{"stage", name},         {"metric", "top1"},          {"value", value},
                {"drop", 0.763 - value}, {"output_sqnr_db", nullptr}, {"samples", 10000},
                {"seconds", seconds}};
  };
  report["stages"] = {stage("dense", 0.763, 3.1), stage("removed", 0.42, 0.4),
                      stage("repaired", 0.707, 21), stage("fine-tuned", 0.742, 240)};
  report["stages"][1]["output_sqnr_db"] = 3.25;
  report["sizes"] = {{"before",
                      {{"params", 272474},
                       {"macs", 41227520},
                       {"file_bytes", 1101004},
                       {"compressed_bytes", 1001004},
                       {"weights_bytes", 1089896},
                       {"arena_bytes", 262144}}},
                     {"after",
                      {{"params", 142210},
                       {"macs", 20551168},
                       {"file_bytes", 579866},
                       {"compressed_bytes", 527000},
                       {"weights_bytes", 568840},
                       {"arena_bytes", nullptr},
                       {"arena_bytes_reason", "a shape is not known"}}}};
  report["latency"] = {{{"engine", "torchscript"},
                        {"threads", 1},
                        {"before_ns", 4.1e6},
                        {"after_ns", 2.5e6},
                        {"speedup", 1.64},
                        {"ci95", {1.59, 1.7}},
                        {"simulated", false},
                        {"note", ""}},
                       {{"engine", "x86-64-vnni"},
                        {"threads", 1},
                        {"before_ns", 9e5},
                        {"after_ns", 5e5},
                        {"speedup", 1.8},
                        {"ci95", nullptr},
                        {"simulated", true},
                        {"note", "rates of the profile"}}};
  report["training"] = {{"epochs", json::array()},  {"teacher", true},       {"labels", true},
                        {"seconds", 238.4},         {"samples_per_s", 2100}, {"best_epoch", 8},
                        {"sparsity", json::array()}};
  for (int i = 0; i < 10; ++i)
    report["training"]["epochs"].push_back({{"loss", 1.2 / (i + 1) + 0.3},
                                            {"learning_rate", 1e-3 * (1 - i / 10.0)},
                                            {"metric", 0.742 - 0.03 / (i + 1)}});
  for (int i = 0; i <= 20; ++i)
    report["training"]["sparsity"].push_back({{"step", 100 * i}, {"sparsity", 0.5 * i / 20}});
  report["notes"] = {"2 groups reach outputs whose shapes stay."};
  return report;
}

TEST_CASE("the headline of prune says cost, speed, size and quality") {
  json report = prune_report();
  CHECK(report_headline(report) ==
        "multiply-adds −50 % · 1.64x faster (CI 1.59–1.7) · top1 −2.1 points");
  report["latency"][0]["ci95"] = {0.97, 1.7};
  CHECK(has(report_headline(report), "speed undecided: 1.64x (CI 0.97–1.7)"));
  // The engine that is fastest after pruning stands for all, measured before simulated ones.
  report["latency"].push_back(report["latency"][0]);
  report["latency"][2]["after_ns"] = 1e6;
  report["latency"][2]["speedup"] = 1.2;
  report["latency"][2]["ci95"] = {1.1, 1.3};
  CHECK(has(report_headline(report), "1.2x faster (CI 1.1–1.3)"));
  report["latency"].erase(2);
  report["latency"].erase(0);
  CHECK(has(report_headline(report), "1.8x faster (simulated)"));
  report["latency"][0]["speedup"] = 0.5;
  CHECK(has(report_headline(report), "2x slower (simulated)"));
  // A plan alone.
  for (const char* key : {"sizes", "stages", "latency"}) report.erase(key);
  report["plan"]["groups"] = {{{"group", "a"}, {"size", 10}, {"kept", 7}, {"removed", 3}}};
  CHECK(report_headline(report) == "plan: 3 of 10 channels go");
}

TEST_CASE("the headline of zeros in weights says how many, and the compressed size") {
  json report = prune_report();
  report["plan"] = {{"weights",
                     {{{"node", "conv1"}, {"elements", 1000}, {"zeros", 700}},
                      {{"node", "conv2"}, {"elements", 3000}, {"zeros", 0}}}}};
  CHECK(has(report_headline(report), "· 17.5 % of weights zero · compressed −47 % ·"));
  report.erase("sizes");
  CHECK(has(report_headline(report), "plan: 17.5 % of weights zero"));
}

// `value` with every text in it replaced.
json poisoned(json value) {
  if (value.is_string()) return kMarkup;
  if (value.is_structured())
    for (json& item : value) item = poisoned(std::move(item));
  return value;
}

TEST_CASE("a report of prune whose parts are odd is still told") {
  const json whole = prune_report();
  for (const char* key :
       {"stages", "sizes", "latency", "notes", "plan", "repair", "sensitivity", "training"})
    for (const json& odd : {json(nullptr), json::array(), json::object(), json("x"), json(5),
                            json::array({nullptr, 5, "x"})}) {
      json report = whole;
      report[key] = odd;
      CHECK(to_html(report).ends_with("</html>\n"));
      CHECK(!report_markdown(report).empty());
    }
}

TEST_CASE("names in a pruned model stay text") {
  json report = prune_report();
  for (const char* key : {"plan", "stages", "latency", "repair", "sensitivity", "notes"})
    report[key] = poisoned(std::move(report[key]));
  const std::string text = report_markdown(report);
  CHECK(!has(text, "<script"));
  CHECK(!has(text, "<img"));
}

TEST_CASE("the schema knows what prune reports") {
  CHECK(schema_errors(prune_report()) == "");
  const auto broken = [](const char* pointer, json value) {
    json report = prune_report();
    report[json::json_pointer(pointer)] = std::move(value);
    return !schema_errors(report).empty();
  };
  CHECK(broken("/stages/0/value", "0.7"));
  CHECK(broken("/sizes/after/params", -1));
  CHECK(broken("/latency/0/simulated", "no"));
  CHECK(broken("/latency/0/ci95", {1}));
  CHECK(broken("/repair/0/method", "magic"));
  CHECK(broken("/sensitivity/rows/0/sparsity", 1.5));
  CHECK(broken("/training/epochs/0/loss", "x"));
  CHECK(broken("/notes/0", 5));
}

TEST_CASE("markdown of prune has stages, sizes, latency and notes") {
  const std::string text = report_markdown(prune_report());
  for (const char* line :
       {"| fine-tuned | top1 | 0.742 | 0.021 | – | 10000 | 4 min 0 s |",
        "| removed | top1 | 0.42 | 0.343 | 3.2 dB | 10000 | 400 ms |",
        "| macs | 41227520 | 20551168 | -50.15 % |",
        "| torchscript | 1 | 4.1 ms | 2.5 ms | 1.64x |", "| simulated; rates of the profile |",
        "- 2 groups reach outputs whose shapes stay."}) {
    CAPTURE(std::string(line));
    CHECK(has(text, line));
  }
}

}  // namespace
}  // namespace lathe
