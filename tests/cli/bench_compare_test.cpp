// lathe bench against another model and against a stored run: verdicts, gates, what is missing.
#include <nlohmann/json.hpp>

#include "run_lathe.h"
#include "scratch_directory.h"

namespace lathe {
namespace {

using nlohmann::json;

std::vector<std::string> reported(const std::vector<std::string>& more) {
  return joined({"bench", kGlyphs, "--threads", "1", "--json"}, more);
}

const json& gate_of(const json& report, std::string_view id) {
  for (const json& gate : report.at("gates"))
    if (gate.at("id") == id) return gate;
  FAIL("no gate " << id);
  throw std::logic_error("unreachable");
}

TEST_CASE("--against runs several processes, each with an order and a layout of its own") {
  const CliResult result = run_lathe(reported({"--against", kGlyphs, "--max-time", "8s"}));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const json report = report_of(result);
  const json& row = report["comparison"]["cases"][0];
  CHECK(report["comparison"]["mode"] == "interleaved");
  CHECK(row["id"] == "single");
  CHECK(row["processes"] >= 5);
  CHECK(row["process_ratios"].size() == row["processes"]);
  CHECK(row["looks"] >= 1);
  CHECK(row["ratio"]["ci95"].is_array());
  CHECK(report["cases"][0]["samples"]["n_processes"] == row["processes"]);
  CHECK(report["cases"][0]["memory"]["hwm_bytes"] > 0);
  CHECK(report["cases"][1]["id"] == "against/single");
  CHECK(report["model"]["path_basename"] == "glyphs.onnx");
  CHECK(report["models"]["against"]["path_basename"] == "glyphs.onnx");
}

TEST_CASE("--tolerance that is given is a gate, and a model that is slower misses it") {
  const ScratchDirectory folder;
  const std::string slow = folder.path("slow.onnx");
  REQUIRE(run_lathe({"zoo", "mobilenet_v2", "-o", slow}).exit_code == 0);
  const std::string fast = folder.path("fast.onnx");
  REQUIRE(run_lathe({"zoo", "resnet50", "-o", fast}).exit_code == 0);
  const CliResult result =
      run_lathe({"bench", fast, "--against", slow, "--threads", "1", "--processes", "2",
                 "--max-time", "12s", "--tolerance", "10%", "--gate", "size <= 300%", "--json"});
  INFO(result.err);
  REQUIRE(result.exit_code == 4);
  const json report = report_of(result);
  CHECK(report["verdict"] == "fail");
  const json& gate = gate_of(report, "--tolerance 10%");
  CHECK(gate["verdict"] == "fail");
  CHECK(gate["metric"] == "speedup");
  CHECK(gate["unit"] == "x");
  CHECK(gate["observed"].get<double>() < 0.8);
  CHECK(gate_of(report, "size <= 300%")["verdict"] == "fail");
  CHECK(report["comparison"]["cases"][0]["verdict"] == "regressed");
}

// glyphs.onnx in ten processes of twenty samples; measured once for the cases below.
const std::string& stored_report() {
  static const std::string report = [] {
    const ScratchDirectory folder;
    const std::string path = folder.path("baseline.json");
    const CliResult result = run_lathe(reported(
        {"--report", path, "--processes", "10", "--max-time", "6s", "--iterations", "20"}));
    REQUIRE(result.exit_code == 0);
    return content_of(path);
  }();
  return report;
}

std::vector<std::string> compared_with(const std::string& stored, std::vector<std::string> more) {
  more.insert(more.begin(), {"--baseline", stored, "--max-time", "6s", "--iterations", "20"});
  return reported(std::move(more));
}

TEST_CASE("a stored run of the same benchmark is a baseline") {
  const ScratchDirectory folder;
  const CliResult result =
      run_lathe(compared_with(folder.write("baseline.json", stored_report()),
                              {"--gate", "size <= 100%", "--gate", "arena <= 100%"}));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const json report = report_of(result);
  CHECK(report["comparison"]["mode"] == "cross_run");
  const json row = report["comparison"]["cases"][0];
  CHECK(row["ratio"]["value"] > 0);
  CHECK(row["processes"] == 10);
  CHECK(row["baseline_processes"] == 10);
  CHECK(report["comparison"]["missing"].empty());
  CHECK(gate_of(report, "arena <= 100%")["verdict"] == "pass");
}

TEST_CASE("a case that only the baseline has is a failure that says so") {
  const ScratchDirectory folder;
  json document = json::parse(stored_report());
  json extra = document["cases"][0];
  extra["id"] = "gone";
  document["cases"].push_back(extra);
  const CliResult result = run_lathe(compared_with(folder.write("more.json", document.dump()), {}));
  CHECK(result.exit_code == 4);
  const json report = report_of(result);
  CHECK(report["comparison"]["missing"] == json::array({"gone"}));
  CHECK(gate_of(report, "--baseline")["case"] == "gone");
}

TEST_CASE("a baseline of another host or another command is refused before time is spent") {
  const ScratchDirectory folder;
  const auto run_against = [](const std::string& baseline) {
    return run_lathe({"bench", kGlyphs, "--threads", "1", "--baseline", baseline});
  };
  json document = json::parse(stored_report());
  document["host"]["fingerprint"] = "0123";
  check_refused(run_against(folder.write("host.json", document.dump())), 6, {"another host"});
  document = json::parse(stored_report());
  document["run"]["command"] = "quantize";
  check_refused(run_against(folder.write("command.json", document.dump())), 2,
                {"not a report of lathe bench"});
  check_refused(run_against(folder.write("text.json", "no report")), 2, {"text.json"});
}

TEST_CASE("a baseline's settings have to agree, or --allow-host-mismatch is given") {
  const ScratchDirectory folder;
  auto other =
      compared_with(folder.write("baseline.json", stored_report()), {"--denormals", "flush"});
  CliResult result = run_lathe(other);
  CHECK(result.exit_code == 6);
  CHECK(result.err.find("denormals") != std::string::npos);
  other.emplace_back("--allow-host-mismatch");
  result = run_lathe(other);
  CHECK(result.exit_code == 0);
  CHECK(result.err.find("bench.baseline") != std::string::npos);
}

TEST_CASE("fewer than ten processes a side are not judged against a stored run") {
  const ScratchDirectory folder;
  const std::string stored = folder.path("baseline.json");
  const std::vector<std::string> quick{"--max-time", "4s", "--iterations", "10"};
  auto first = reported({"--report", stored, "--processes", "2"});
  first.insert(first.end(), quick.begin(), quick.end());
  REQUIRE(run_lathe(first).exit_code == 0);
  auto second = reported({"--baseline", stored, "--processes", "2", "--tolerance", "10%"});
  second.insert(second.end(), quick.begin(), quick.end());
  const CliResult result = run_lathe(second);
  CHECK(result.exit_code == 5);
  CHECK(gate_of(report_of(result), "--tolerance 10%")["verdict"] == "inconclusive");
}

TEST_CASE("gates that compare need something to compare with") {
  check_refused(run_lathe({"bench", kGlyphs, "--gate", "speedup > 1x"}), 2,
                {"compares with another"});
  CHECK(run_lathe({"bench", kGlyphs, "--against", kGlyphs, "--baseline", "x.json"}).exit_code == 2);
}

}  // namespace
}  // namespace lathe
