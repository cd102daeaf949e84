// --html and --export: written beside the report, checked before the work, left alone when there.
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

#include "report_schema.h"
#include "run_lathe.h"

namespace lathe {
namespace {

TEST_CASE("compile --html writes the page, and not over another file") {
  const ScratchDirectory folder;
  const std::vector<std::string> arguments{
      "compile", kGlyphs, "-o", folder.path("c.onnx"), "--html", folder.path("c.html")};
  CHECK(run_lathe(arguments).exit_code == 0);
  CHECK(content_of(folder.path("c.html")).find("PASS") != std::string::npos);
  std::filesystem::remove(folder.path("c.onnx"));
  std::filesystem::remove(folder.path("c.onnx.manifest.json"));
  check_refused(run_lathe(arguments), 2, {"c.html"});
  CHECK(!std::filesystem::exists(folder.path("c.onnx")));
}

TEST_CASE("an export that cannot be written is refused before the work") {
  const ScratchDirectory folder;
  const auto bench = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"bench", kGlyphs});
    return run_lathe(more);
  };
  check_refused(bench({"--export", "junot=x.xml"}), 2, {"junot"});
  check_refused(bench({"--export", "junit"}), 2, {"junit"});
  check_refused(bench({"--export", "csv=" + folder.path("none/x.csv")}), 9, {"x.csv"});
  check_refused(bench({"--export", "csv=" + folder.path("a"), "--report", folder.path("a")}), 2,
                {"--report"});
  check_refused(bench({"--html", kGlyphs, "--force"}), 2, {"glyphs.onnx"});
  CHECK(bench({"--export", "github=-", "--json"}).exit_code == 2);
}

TEST_CASE("reports of several processes hold all samples and every pair of blocks") {
  const CliResult result =
      run_lathe({"bench", kGlyphs, "--against", kGlyphs, "--batch", "1,2", "--threads", "1",
                 "--processes", "2", "--iterations", "40", "--max-time", "4s", "--json"});
  INFO(result.err);
  const nlohmann::json report = report_of(result);
  CHECK(schema_errors(report) == "");
  REQUIRE(report["cases"].size() == 4);
  for (const nlohmann::json& row : report["cases"]) {
    size_t samples = 0;
    double last = 0;
    for (const nlohmann::json& bin : row["samples"]["histogram"]["bins"]) {
      CHECK(bin[0].get<double>() >= last);
      last = bin[1].get<double>();
      samples += bin[2].get<size_t>();
    }
    CHECK(samples == row["samples"]["n"].get<size_t>());
    CHECK(last >= row["latency"]["max"].get<double>() - 0.1);
  }
  for (const nlohmann::json& row : report["comparison"]["cases"]) {
    REQUIRE(row["block_ratios"].size() == 2);
    CHECK(row["block_ratios"][0].size() + row["block_ratios"][1].size() ==
          row["pairs"].get<size_t>());
  }
}

TEST_CASE("a failed run leaves its JUnit, with an error") {
  const ScratchDirectory folder;
  const std::string broken = folder.path("broken.onnx");
  std::ofstream(broken) << "no model";
  const CliResult result =
      run_lathe({"bench", broken, "--export", "junit=" + folder.path("gates.xml")});
  CHECK(result.exit_code == 3);
  CHECK(content_of(folder.path("gates.xml")).find("errors=\"1\"") != std::string::npos);
}

}  // namespace
}  // namespace lathe
