// lathe bench --engine qemu-m4: the board counts, gates are exact, times are refused.
#include <nlohmann/json.hpp>

#include <filesystem>

#include "names/engines.h"
#include "report_schema.h"
#include "run_lathe.h"
#include "running_lathe.h"

namespace lathe {
namespace {

using nlohmann::json;

// Compilers and emulators of other processors are large; who has them has them all tested.
bool is_missing(const CliResult& result) {
  const bool missing = result.exit_code == 6 && contains(result.err, "emulation.program");
  if (missing) MESSAGE("skipped: " << result.err);
  return missing;
}

struct QuantizedGlyphs {
  ScratchDirectory folder;
  std::string model = folder.path("q.onnx");

  QuantizedGlyphs() {
    REQUIRE(run_lathe({"quantize", kGlyphs, "-o", model, "--data", "random", "--samples", "8",
                       "--effort", "fast", "--profile", "cortex-m4"})
                .exit_code == 0);
  }
  CliResult bench(const std::string& engine, const std::vector<std::string>& more = {}) const {
    return run_lathe(joined({"bench", model, "--engine", engine, "--json"}, more));
  }
};

TEST_CASE("instructions, RAM and flash of an emulated board") {
  const QuantizedGlyphs glyphs;
  const CliResult first = glyphs.bench("qemu-m4", {"--profile", "cortex-m4"});
  INFO(first.err);
  if (is_missing(first)) return;
  REQUIRE(first.exit_code == 0);
  const json report = report_of(first);
  CHECK(schema_errors(report) == "");
  const json& row = report.at("cases").at(0);
  const json& counted = row.at("emulated");
  const int64_t instructions = counted.at("instructions");
  CHECK(instructions > 10'000);
  CHECK(counted.at("least_instructions") <= instructions);
  CHECK(counted.at("ram_bytes") ==
        counted.at("arena_bytes").get<int64_t>() + counted.at("stack_bytes").get<int64_t>());
  CHECK(counted.at("stack_bytes") > 0);
  CHECK(counted.at("stack_bytes") < 4096);
  CHECK(counted.at("arena_touched_bytes") <= counted.at("arena_bytes"));
  CHECK(counted.at("arena_touched_bytes") > 0);
  CHECK(counted.at("flash_bytes") == counted.at("flash_code_bytes").get<int64_t>() +
                                         counted.at("flash_constant_bytes").get<int64_t>() +
                                         counted.at("flash_library_bytes").get<int64_t>());
  CHECK(counted.at("outputs").at("samples") == 8);
  CHECK(counted.at("outputs").at("relative_error") < 0.02);
  // The parts are the whole, but for the calls between them.
  int64_t parts = 0;
  for (const json& step : counted.at("steps")) parts += step.at("instructions").get<int64_t>();
  CHECK(std::abs(parts - instructions) < instructions / 50);
  CHECK(counted.at("estimated_cycles") == 1.25 * static_cast<double>(instructions));
  CHECK(row.at("latency").at("median").is_null());
  CHECK(row.at("memory").at("hwm_bytes").is_null());
  // Nothing is left to chance.
  const json again = report_of(glyphs.bench("qemu-m4", {"--profile", "cortex-m4"}));
  CHECK(again.at("cases").at(0).at("emulated") == counted);
}

TEST_CASE("a board takes the flags of C code, and says when they ask too much") {
  const QuantizedGlyphs glyphs;
  const CliResult whole = glyphs.bench("qemu-m4");
  if (is_missing(whole)) return;
  const auto counted = [](const CliResult& result) {
    return report_of(result).at("cases").at(0).at("emulated");
  };
  const int64_t arena = counted(whole).at("arena_bytes");
  const CliResult parts = glyphs.bench("qemu-m4", {"--max-ram", std::to_string(arena * 3 / 4) + "B"});
  REQUIRE(parts.exit_code == 0);
  CHECK(counted(parts).at("arena_bytes").get<int64_t>() <= arena * 3 / 4);
  CHECK(counted(parts).at("instructions") > counted(whole).at("instructions"));
  CHECK(counted(parts).at("outputs") == counted(whole).at("outputs"));
  CHECK(glyphs.bench("qemu-m4", {"--max-ram", "1KiB"}).exit_code == 4);
  CHECK(counted(glyphs.bench("qemu-m4", {"--rounding", "tflite"})).at("instructions") >
        counted(whole).at("instructions"));
  // Nothing but generated code takes them.
  CHECK(run_lathe({"bench", glyphs.model, "--max-ram", "1MiB"}).exit_code == 2);
}

TEST_CASE("gates on what a board counts") {
  const QuantizedGlyphs glyphs;
  if (is_missing(glyphs.bench("qemu-m4"))) return;
  CHECK(glyphs.bench("qemu-m4", {"--gate", "instructions <= 100M", "--gate", "ram < 100kB",
                                 "--gate", "flash < 1MB"})
            .exit_code == 0);
  CHECK(glyphs.bench("qemu-m4", {"--gate", "instructions <= 1k"}).exit_code == 4);
  CHECK(glyphs.bench("qemu-m4", {"--gate", "median <= 1s"}).exit_code == 5);
  // Against itself, and against the float network, which takes more.
  CHECK(glyphs.bench("qemu-m4", {"--against", glyphs.model, "--gate", "instructions <= 100%",
                                 "--gate", "flash <= 100%", "--tolerance", "0.01%"})
            .exit_code == 0);
  const CliResult faster =
      glyphs.bench("qemu-m4", {"--against", kGlyphs, "--gate", "instructions <= 50%"});
  INFO(faster.err);
  CHECK(faster.exit_code == 0);
  const json report = report_of(faster);
  CHECK(schema_errors(report) == "");
  CHECK(report.at("comparison").at("cases").at(0).at("verdict") == "improved");
  const CliResult slower = run_lathe({"bench", kGlyphs, "--engine", "qemu-m4", "--against",
                                      glyphs.model, "--tolerance", "2%", "--json"});
  CHECK(slower.exit_code == 4);
  // A count that is not there is not decided.
  CHECK(run_lathe({"bench", glyphs.model, "--engine", "native", "--gate", "instructions <= 1M",
                   "--max-time", "1s"})
            .exit_code == 5);
}

TEST_CASE("all boards compute the same bytes") {
  const QuantizedGlyphs glyphs;
  const std::string inputs = glyphs.folder.path("x.npz");
  std::string first;
  for (const std::string_view choice : kEngineChoices) {
    if (!is_emulated(choice)) continue;
    const std::string engine(choice);
    const std::string output = glyphs.folder.path(engine + ".npz");
    const CliResult made = run_lathe({"run", glyphs.model, "--data", "random", "--samples", "3",
                                      "--engine", engine, "-o", output});
    INFO(engine << ": " << made.err);
    if (is_missing(made)) continue;
    REQUIRE(made.exit_code == 0);
    if (first.empty()) first = content_of(output);
    CHECK(content_of(output) == first);
  }
}

TEST_CASE("what an emulated board cannot tell") {
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"--scenario", "offline"},
        {"--duration", "10s"},
        {"--profile-ops"},
        {"--trace", "t.json"},
        {"--batch", "auto"}}) {
    CAPTURE(flags[0]);
    const CliResult refused = run_lathe(joined({"bench", kGlyphs, "--engine", "qemu-m4"}, flags));
    CHECK(refused.exit_code == 2);
    CHECK(contains(refused.err, "counts instructions, not time"));
  }
  CHECK(RunningLathe({"bench", kGlyphs, "--engine", "qemu-m4"}, LATHE_BINARY, {"PATH=/nonexistent"})
            .finish() == 6);
}

}  // namespace
}  // namespace lathe
