#include <string>

#include "onnx/read_fixtures.h"
#include "run_lathe.h"

namespace lathe {

TEST_CASE("--help names every command, --version the version") {
  const CliResult help = run_lathe({"--help"});
  CHECK(help.exit_code == 0);
  CHECK(help.err.empty());
  for (const char* command : {"quantize", "bench", "inspect", "run", "compare", "profiles"}) {
    CHECK(contains(help.out, std::string("\n  ") + command + " "));
    const CliResult own = run_lathe({command, "--help"});
    CHECK(own.exit_code == 0);
    CHECK(contains(own.out, "--report"));
  }
  const CliResult version = run_lathe({"--version"});
  CHECK(version.exit_code == 0);
  CHECK(version.out == "lathe " LATHE_VERSION "\n");
}

TEST_CASE("a wrong command line is refused with the nearest right one") {
  check_refused(run_lathe({}), 2, {"no command given"});

  const CliResult command = run_lathe({"inspct", "model.onnx"});
  check_refused(command, 2, {"unknown command 'inspct'"});
  CHECK(contains(command.err, "did you mean 'inspect'?"));

  const CliResult flag = run_lathe({"inspect", "model.onnx", "--profil", "esp32"});
  check_refused(flag, 2, {"unknown flag '--profil'"});
  CHECK(contains(flag.err, "did you mean '--profile'?"));
  CHECK(contains(flag.err, "lathe inspect --help"));

  const CliResult with_value = run_lathe({"inspect", "model.onnx", "--theads=3"});
  check_refused(with_value, 2, {"--theads=3"});
  CHECK(contains(with_value.err, "did you mean '--threads'?"));

  check_refused(run_lathe({"inspect", "a.onnx", "b.onnx"}), 2, {"unexpected argument 'b.onnx'"});
  check_refused(run_lathe({"inspect"}), 2, {"model is required"});
}

TEST_CASE("a wrong word is escaped before it is shown") {
  const CliResult result = run_lathe({"\x1b[31mred\nerror[forged]: x"});
  check_refused(result, 2, {"unknown command"});
  CHECK_FALSE(contains(result.err, "\x1b"));
}

TEST_CASE("bad values are refused") {
  check_refused(run_lathe({"inspect", "m.onnx", "--threads", "many"}), 2, {"--threads"});
  check_refused(run_lathe({"inspect", "m.onnx", "--threads", "-1"}), 2, {"--threads"});
  check_refused(run_lathe({"inspect", "m.onnx", "--color", "pink"}), 2, {"--color"});
  check_refused(run_lathe({"inspect", "m.onnx", "--limits", "none"}), 2, {"--limits"});
  check_refused(run_lathe({"inspect", "m.onnx", "--seed", "x"}), 2, {"--seed"});
  check_refused(run_lathe({"inspect", "m.onnx", "--max-memory", "5"}), 2, {"--max-memory"});
  check_refused(run_lathe({"quantize", "m.onnx", "--samples", "0"}), 2, {"--samples"});
  check_refused(run_lathe({"profiles", "erase"}), 2, {"erase"});
}

TEST_CASE("a config file sets what the command line left out") {
  const ScratchDirectory folder;
  const std::string model = folder.write("m.onnx", relu_model().SerializeAsString());
  const std::string config = folder.write("c.json", R"({"profile": "esp32"})");
  const CliResult set = run_lathe({"inspect", model, "--config", config, "--json"});
  const auto report = report_of(set);
  CHECK(report["device_profile"]["name"] == "esp32");
  CHECK(report["recipe"]["profile"] == "esp32");

  const CliResult flag =
      run_lathe({"inspect", model, "--config", config, "--profile", "cortex-m7", "--json"});
  CHECK(report_of(flag)["device_profile"]["name"] == "cortex-m7");

  // A report is a config: its recipe is used.
  const std::string saved = folder.write("r.json", set.out);
  const CliResult again = run_lathe({"inspect", model, "--config", saved, "--json"});
  CHECK(report_of(again)["device_profile"]["name"] == "esp32");
  CHECK(report_of(again)["run"]["config_hash"] == report["run"]["config_hash"]);
}

TEST_CASE("a bad config file is refused") {
  const ScratchDirectory folder;
  const std::string model = folder.write("m.onnx", relu_model().SerializeAsString());
  const auto refuse = [&](const std::string& text, const std::vector<std::string>& named) {
    const CliResult result =
        run_lathe({"inspect", model, "--config", folder.write("c.json", text)});
    check_refused(result, 2, named);
    return result.err;
  };
  CHECK(
      contains(refuse(R"({"profil": "esp32"})", {"c.json", "profil"}), "did you mean 'profile'?"));
  refuse(R"({"threads": "many"})", {"c.json", "/threads"});
  refuse(R"({"threads": {}})", {"c.json", "/threads"});
  refuse(R"({"command": "quantize"})", {"c.json", "quantize"});
  refuse("[1]", {"c.json"});
  refuse("{", {"c.json"});
  refuse(R"({"seed": 1, "seed": 2})", {"c.json"});
  check_refused(run_lathe({"inspect", model, "--config", folder.path("no.json")}), 2, {"no.json"});
}

}  // namespace lathe
