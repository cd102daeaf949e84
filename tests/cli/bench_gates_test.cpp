// lathe bench: gates that are wrong, and every metric that a gate may name.
#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>
#include <set>

#include "onnx/read_fixtures.h"
#include "os/host.h"
#include "profiles/host_profile.h"
#include "run_lathe.h"

namespace lathe {
namespace {

using nlohmann::json;

// Gates are read before anything is measured.
CliResult plan(const std::vector<std::string>& more) {
  return run_lathe(joined({"bench", kGlyphs, "--dry-run"}, more));
}

std::string refusal(const std::string& gate) {
  const CliResult result = plan({"--gate", gate});
  CHECK(result.exit_code == 2);
  CHECK(result.signal == 0);
  CHECK(result.out.empty());
  return result.err;
}

CliResult measure(const std::vector<std::string>& more) {
  return run_lathe(joined(
      {"bench", kGlyphs, "--threads", "1", "--max-time", "4s", "--warmup", "10", "--json"}, more));
}

TEST_CASE("a gate that is wrong is shown with a caret under the place") {
  CHECK(refusal("p99 10ms") ==
        "error[gate.syntax]: gate: expected <, <=, > or >=\n  p99 10ms\n      ^\n"
        "  a gate is written METRIC < QUANTITY, as in \"p99 < 10ms\"\n");
  CHECK(refusal("*/batch2/*: siez < 1MiB") ==
        "error[gate.syntax]: gate: there is no such metric\n  */batch2/*: siez < 1MiB\n"
        "              ^\n  did you mean size?\n");
  CHECK(contains(refusal("P99 < 10ms"), "did you mean p99?"));
  CHECK(contains(refusal("peak-memory < 1GiB"), "did you mean peak_memory?"));
  CHECK(contains(refusal("beauty < 1GiB"), "metrics: min mean median"));
  CHECK(contains(refusal("p99 =< 10ms"), "\n  p99 =< 10ms\n      ^\n"));
  CHECK(contains(refusal("p99 < 10"), "expected a time (10ms) or a percentage (90%)"));
  CHECK(contains(refusal(""), "--gate: the value is empty"));
  for (const char* gate : {"  ", "<", "p99", "p99 <", "p99 << 1s", "p99 < 1s 2s", "p99 < nan",
                           "p99 < 1e400s", ": p99 < 1s", "p99 < -1ms", "coverage > 50"})
    CHECK(refusal(gate).rfind("error[gate.syntax]", 0) == 0);
  CHECK(contains(refusal(std::string(201, 'x')), "longer than 200 bytes"));
}

TEST_CASE("the caret stands right after letters of any width") {
  CHECK(contains(refusal("größe/*: size < x"), "\n  größe/*: size < x\n                  ^\n"));
  CHECK(contains(refusal("模型: size < x"), "\n  模型: size < x\n               ^\n"));
  CHECK(contains(refusal("size\t<\tx"), "\n  size\\x09<\\x09x\n               ^\n"));
}

TEST_CASE("what a gate says makes no line of its own in the log") {
  for (const char* gate : {"size < \\x0a::error::forged", "size < \n::error::forged",
                           "x\x1b[31m\r::error::forged < 1"}) {
    const std::string text = refusal(gate);
    INFO(text);
    CHECK_FALSE(contains(text, "\n::error"));
    CHECK_FALSE(contains(text, "\r"));
    CHECK_FALSE(contains(text, "\x1b"));
  }
}

TEST_CASE("gates files of other systems and editors") {
  const ScratchDirectory folder;
  const std::string good = folder.write(
      "good",
      "\xef\xbb\xbfsize < 1MiB\r\n\r\n# comment\r\n\t coverage >= 0%  # why\r\n*/a/*: p99<1s");
  CHECK(plan({"--gates", good}).exit_code == 0);
  const CliResult wrong =
      plan({"--gates", folder.write("wrong", "size < 1MiB\r\n\tsize < much\r\n")});
  CHECK(wrong.exit_code == 2);
  CHECK(contains(wrong.err, "wrong:2: expected a size"));
  CHECK(contains(wrong.err, "size < much\n"));
  check_refused(plan({"--gates", folder.write("empty", "\n# nothing\n")}), 2, {"no gate"});
  check_refused(plan({"--gates", folder.write("long", "size<1B\n" + std::string(100'000, 'x'))}), 2,
                {"long:2", "longer than 200"});
  check_refused(plan({"--gates", folder.write("huge", std::string(2 << 20, '#'))}), 8, {"huge"});
  check_refused(plan({"--gates", folder.path()}), 2, {"directory"});
  check_refused(plan({"--gates", folder.path("missing")}), 2, {"missing"});
  check_refused(plan({"--gates", ""}), 2, {"--gates", "empty"});
  std::string binary;
  for (int i = 0; i < 150; ++i) binary += static_cast<char>(i * 37 + 128);
  CHECK(plan({"--gates", folder.write("binary", binary)}).exit_code == 2);
}

TEST_CASE("every metric passes and misses its gate, in one case and by glob in several") {
  struct Row {
    const char* metric;
    const char* holds;
    const char* never;
  };
  const Row rows[] = {{"min", "< 100s", "> 100s"},
                      {"mean", "< 100s", "> 100s"},
                      {"median", "< 100s", "> 100s"},
                      {"p50", "< 100s", "> 100s"},
                      {"p90", "< 100s", "> 100s"},
                      {"p95", "< 100s", "> 100s"},
                      {"p99", "< 100s", "> 100s"},
                      {"p99.9", "< 100s", "> 100s"},
                      {"max", "<= 100s", ">= 100s"},
                      {"throughput", "> 0.001/s", "< 0.001/s"},
                      {"speedup", "> 0.001x", "> 1000x"},
                      {"size", "<= 100%", "< 100%"},
                      {"weights", "< 1MiB", "> 1MiB"},
                      {"arena", "< 1GiB", "> 1GiB"},
                      {"peak_memory", "< 9GiB", "> 9GiB"},
                      {"accuracy", ">= 100%", "< 100%"},
                      {"accuracy_drop", "<= 0%", "> 0%"},
                      {"coverage", ">= 0%", "> 100%"},
                      {"std", "< 100s", "> 100s"},
                      {"load", "< 100s", "> 100s"},
                      {"first_inference", "< 100s", "> 100s"},
                      {"cpu", "<= 100%", "> 200%"},
                      {"energy", "< 1000J", "> 1000J"},
                      {"temperature", "< 200C", "> 200C"},
                      {"flash", "< 1GiB", "> 1GiB"},
                      {"ram", "< 1GiB", "> 1GiB"}};
  CHECK(std::size(rows) == 26);
  for (const bool several : {false, true}) {
    CAPTURE(several);
    std::vector<std::string> words{"--against", kGlyphs,  "--processes", "1", "--iterations", "300",
                                   "--data",    "random", "--samples",   "8"};
    if (several) words.insert(words.end(), {"--batch", "1,2"});
    for (const Row& row : rows)
      for (const char* limit : {row.holds, row.never})
        words.insert(words.end(), {"--gate", (several ? "*/batch2/*: " : "") +
                                                 std::string(row.metric) + " " + limit});
    const CliResult result = measure(words);
    INFO(result.err);
    CHECK(result.exit_code == 4);
    std::set<std::string> seen;
    const json report = report_of(result);
    for (const json& gate : report["gates"]) {
      const std::string text = gate["id"].get<std::string>();
      CAPTURE(text);
      seen.insert(gate["metric"].get<std::string>());
      if (several) CHECK(gate["case"] == "glyphs/batch2/threads1/native");
      bool never = false;
      for (const Row& row : rows)
        never = never || text.ends_with(std::string(row.metric) + " " + row.never);
      // Intervals, of tails most of all, may be withheld: then nothing is claimed.
      CHECK(gate["verdict"] != (never ? "pass" : "fail"));
      if (gate["verdict"] == "inconclusive") CHECK_FALSE(gate["reason"].get<std::string>().empty());
      const bool counted = gate["metric"] == "size" || gate["metric"] == "weights" ||
                           gate["metric"] == "arena" || gate["metric"] == "accuracy" ||
                           gate["metric"] == "accuracy_drop" || gate["metric"] == "coverage" ||
                           gate["metric"] == "min" || gate["metric"] == "max";
      if (counted) CHECK(gate["verdict"] == (never ? "fail" : "pass"));
    }
    CHECK(seen.size() == 26);
  }
}

TEST_CASE("gates that this run cannot judge are refused before anything is measured") {
  check_refused(plan({"--gate", "size < 50%"}), 2, {"compares with another model"});
  check_refused(plan({"--gate", "speedup > 1x"}), 2, {"compares with another model"});
  // Known once the data are open: the same for one case and for several.
  for (const char* threads : {"1", "1,2"})
    for (const char* gate : {"accuracy > 1%", "accuracy > 30dB", "accuracy_drop < 1%"}) {
      CAPTURE(threads);
      CAPTURE(gate);
      const CliResult result =
          run_lathe({"bench", kGlyphs, "--threads", threads, "--iterations", "3", "--gate", gate});
      CHECK(result.exit_code == 2);
      CHECK(contains(result.err, "error[gate."));
    }
}

TEST_CASE("gates that contradict each other cannot both hold") {
  const CliResult result =
      measure({"--iterations", "3", "--gate", "size < 1KiB", "--gate", "size > 1MiB", "--gate",
               "size < 1MiB", "--gate", "size < 1MiB"});
  CHECK(result.exit_code == 4);
  const json gates = report_of(result)["gates"];
  REQUIRE(gates.size() == 4);
  CHECK(gates[0]["verdict"] == "fail");
  CHECK(gates[1]["verdict"] == "fail");
  CHECK(gates[2]["verdict"] == "pass");
}

TEST_CASE("a gate of a case that does not exist fails and names one that does") {
  const CliResult result = measure({"--iterations", "3", "--gate", "nothing: size < 1MiB"});
  CHECK(result.exit_code == 4);
  const json gate = report_of(result)["gates"][0];
  CHECK(contains(gate["reason"].get<std::string>(), "single"));
}

TEST_CASE("accuracy is that of the engine that is measured") {
  const ScratchDirectory folder;
  const std::string model = folder.path("q.onnx");
  REQUIRE(run_lathe({"quantize", kGlyphs, "-o", model, "--data", "random", "--samples", "16"})
              .exit_code == 0);
  const CliResult result = run_lathe({"bench",        model,
                                      "--against",    kGlyphs,
                                      "--processes",  "1",
                                      "--threads",    "1",
                                      "--engine",     "interpreter,torchscript",
                                      "--iterations", "3",
                                      "--max-time",   "2s",
                                      "--data",       "random",
                                      "--samples",    "32",
                                      "--metric",     "sqnr",
                                      "--gate",       "accuracy > 15dB",
                                      "--json"});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  const json report = report_of(result);
  std::set<double> decibels;
  for (const json& row : report["cases"])
    if (row.contains("quality")) decibels.insert(row["quality"]["value"].get<double>());
  // The integer arithmetic of the two engines rounds differently.
  CHECK(decibels.size() == 2);
}

TEST_CASE("a device that this host is not is judged by simulation or not at all") {
  const HostFacts host = host_facts();
  for (const std::string& name : profile_names()) {
    CAPTURE(name);
    const bool is_here = why_not_host(load_profile(name), host).empty();
    for (const bool simulated : {false, true}) {
      std::vector<std::string> words{"--iterations", "3", "--gate-profile", name};
      if (simulated) words.emplace_back("--allow-simulated");
      const json report = report_of(measure(words));
      for (const json& gate : report["gates"]) {
        if (gate["unit"] != "ns" && gate["unit"] != "items/s") continue;
        CAPTURE(gate.dump());
        CHECK(gate.contains("simulated") == (!is_here && simulated));
        if (is_here) continue;
        CHECK((gate["verdict"] == "inconclusive") == !simulated);
        if (!simulated) {
          CHECK(contains(gate["reason"].get<std::string>(), "this host "));
          CHECK(report["exit_code"] == 5);
        } else {
          CHECK(report["cases"][0]["simulated"]["simulated"] == true);
        }
      }
    }
  }
  check_refused(plan({"--allow-simulated"}), 2, {"--allow-simulated"});
}

TEST_CASE("a detected profile is this host's, until its measured rates are not") {
  const ScratchDirectory folder;
  const std::string file = folder.path("mine.json");
  REQUIRE(run_lathe({"profiles", "detect", "-o", file}).exit_code == 0);
  json mine = json::parse(folder.read("mine.json"));
  mine["targets"]["latency_classes"] =
      json::parse(R"([{"name": "any", "max_macs": 1000000000000, "latency_ms": 10000}])");
  const auto verdict = [&](const json& profile) {
    const std::string changed = folder.write("changed.json", profile.dump());
    const json report = report_of(measure({"--iterations", "300", "--gate-profile", changed}));
    for (const json& gate : report["gates"])
      if (gate["metric"] == "p95")
        return gate["verdict"].get<std::string>() + gate.value("reason", "");
    return std::string("no gate");
  };
  // A busy machine may leave it open for its samples' sake, never for the device's.
  const std::string judged = verdict(mine);
  CAPTURE(judged);
  if (contains(judged, "(measured)")) {
    MESSAGE("skipped: this machine is too busy to measure the same twice");
    return;
  }
  CHECK((judged == "pass" || contains(judged, "samples")));
  json faster = mine;
  for (auto& [dtype, rate] : faster["rates"]["gops"].items()) rate = 50 * rate.get<double>();
  CHECK(contains(verdict(faster), "(measured)"));
  json larger = mine;
  larger["cpu"]["cores"] = 4096;
  CHECK(contains(verdict(larger), "has 4096"));
  if (mine["rates"].contains("bandwidth_gb_per_s")) {
    json wider = mine;
    wider["rates"]["bandwidth_gb_per_s"] =
        100 * mine["rates"]["bandwidth_gb_per_s"].get<double>();
    CHECK(contains(verdict(wider), "GB/s of memory"));
  }
  json richer = mine;
  richer["memory"]["ram_bytes"] = 100 * mine["memory"]["ram_bytes"].get<int64_t>();
  CHECK_FALSE(contains(verdict(richer), "samples"));
  CHECK(verdict(richer).starts_with("inconclusive"));
}

// The gates by metric, "inconclusive: why" where nothing decides.
std::map<std::string, std::string> verdicts(const std::vector<std::string>& words) {
  std::map<std::string, std::string> found;
  const json report = report_of(measure(words));
  for (const json& gate : report["gates"])
    found[gate["metric"]] = gate["verdict"].get<std::string>() +
                            (gate["verdict"] == "inconclusive"
                                 ? ": " + gate["reason"].get<std::string>()
                                 : std::string());
  return found;
}

TEST_CASE("what was not measured as it is deployed, or on a few random inputs, decides nothing") {
  const std::vector<std::string> costs{"--gate", "peak_memory <= 1GB", "--gate", "load <= 100s",
                                       "--gate", "first_inference <= 100s"};
  const auto several =
      verdicts(joined({"--scenario", "multi", "--streams", "2", "--iterations", "20"}, costs));
  CHECK(several.size() == 3);
  for (const auto& [metric, verdict] : several)
    CHECK(contains(verdict, "inconclusive: not measured as deployed"));
  // Of an engine that is LibTorch its memory is a part.
  for (const auto& [metric, verdict] :
       verdicts(joined({"--engine", "interpreter", "--iterations", "3"}, costs)))
    CHECK(verdict == "pass");
  const std::vector<std::string> drop{"--against",    kGlyphs, "--processes", "1",
                                      "--iterations", "3",     "--gate",      "accuracy_drop < 1%"};
  CHECK(verdicts(drop).at("accuracy_drop") == "inconclusive: needs --data");
  CHECK(verdicts(joined(drop, {"--data", "random", "--samples", "4"})).at("accuracy_drop") ==
        "pass");
}

TEST_CASE("simulated are single queries of the native engine, by as many cores as were asked for") {
  const std::vector<std::string> pi{"--gate-profile", "raspberry_pi_4", "--allow-simulated"};
  const auto served = verdicts(
      joined({"--scenario", "server", "--rate", "100", "--iterations", "20"}, pi));
  CHECK(contains(served.at("p95"), "inconclusive: only single queries"));
  CHECK(contains(verdicts(joined({"--engine", "interpreter", "--iterations", "3"}, pi)).at("p95"),
                 "inconclusive: the simulation is not of the engine"));
  const auto latency = [&](const char* threads) {
    const json report = report_of(
        run_lathe(joined({"bench", kGlyphs, "--threads", threads, "--iterations", "3", "--json"},
                         pi)));
    return report["cases"][0]["simulated"]["latency_ns"].get<double>();
  };
  CHECK(latency("1") > 1.5 * latency("4"));
}

TEST_CASE("a target on accuracy is open where the data have no labels") {
  const ScratchDirectory folder;
  const std::string profile = folder.write(
      "mine.json",
      R"({"name": "mine", "extends": "x86-64", "targets": {"source": "us", "accuracy": 0.5}})");
  for (const bool compared : {false, true}) {
    std::vector<std::string> words{"--iterations", "3", "--data",         "random",
                                   "--samples",    "4", "--gate-profile", profile};
    if (compared) words.insert(words.end(), {"--against", kGlyphs});
    const CliResult result = measure(words);
    INFO(result.err);
    const json report = report_of(result);
    int accuracies = 0;
    for (const json& gate : report["gates"]) {
      if (gate["metric"] != "accuracy") continue;
      ++accuracies;
      CHECK(gate["verdict"] == "inconclusive");
      CHECK(contains(gate["reason"].get<std::string>(), "labels"));
    }
    CHECK(accuracies == 1);
    CHECK(result.exit_code == 5);
  }
}

TEST_CASE("each device profile gives gates, or says why it has none") {
  for (const auto& entry : std::filesystem::directory_iterator(LATHE_SOURCE_DIR "/profiles")) {
    if (entry.path().extension() != ".json") continue;
    const std::string name = entry.path().stem().string();
    CAPTURE(name);
    CliResult result = measure({"--iterations", "3", "--gate-profile", name});
    INFO(result.err);
    const json report = report_of(result);
    if (result.exit_code == 2)
      CHECK(contains(report["error"]["message"].get<std::string>(), "target"));
    else
      CHECK_FALSE(report["gates"].empty());
    result = measure({"--iterations", "3", "--gate-profile", name, "--against", kGlyphs,
                      "--processes", "1", "--data", "random"});
    INFO(result.err);
    const json compared = report_of(result);
    for (const json& gate : compared["gates"]) CHECK(gate["verdict"] != "skipped");
  }
  check_refused(plan({"--gate-profile", "raspberry"}), 2, {"raspberry"});
}

}  // namespace
}  // namespace lathe
