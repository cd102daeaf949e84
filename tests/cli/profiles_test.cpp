#include <nlohmann/json.hpp>

#include <string>

#include "onnx/read_fixtures.h"
#include "run_lathe.h"

namespace lathe {

TEST_CASE("profiles list shows every shipped device") {
  const CliResult list = run_lathe({"profiles", "list"});
  CHECK(list.exit_code == 0);
  CHECK(list.err.empty());
  for (const char* name : {"x86-64", "x86-64-vnni", "raspberry_pi_4", "esp32", "server-gpu"})
    CHECK(list.out.find(std::string("\n  ") + name + " ") != std::string::npos);
  CHECK(run_lathe({"profiles"}).out == list.out);
  const auto report = report_of(run_lathe({"profiles", "--json"}));
  CHECK(report["profiles"].size() >= 11);
  CHECK(report["profiles"][0].contains("int8"));
  CHECK(report["verdict"] == "pass");
}

TEST_CASE("profiles show prints JSON that is a profile again") {
  const CliResult shown = run_lathe({"profiles", "show", "x86-64-vnni"});
  CHECK(shown.exit_code == 0);
  const auto document = nlohmann::json::parse(shown.out);
  CHECK(document["name"] == "x86-64-vnni");
  CHECK_FALSE(document.contains("extends"));
  CHECK(document["cpu"]["arch"] == "x86_64");  // from the profile that it extends
  const ScratchDirectory folder;
  const std::string copy = folder.write("mine.json", shown.out);
  CHECK(run_lathe({"profiles", "show", copy}).out == shown.out);
  CHECK(report_of(run_lathe({"profiles", "show", copy, "--json"}))["profile"] == document);
}

TEST_CASE("an unknown profile is refused with the nearest one") {
  const CliResult show = run_lathe({"profiles", "show", "raspbery_pi_4"});
  check_refused(show, 2, {"raspbery_pi_4"});
  CHECK(show.err.find("raspberry_pi_4") != std::string::npos);
  check_refused(run_lathe({"profiles", "show"}), 2, {"show"});
  check_refused(run_lathe({"profiles", "list", "esp32"}), 2, {"esp32"});
  const CliResult inspect = run_lathe({"inspect", "m.onnx", "--profile", "esp23"});
  check_refused(inspect, 2, {"esp23"});
  CHECK(inspect.err.find("esp32") != std::string::npos);
}

TEST_CASE("a profile's mistakes are named by file, key and nearest key") {
  const ScratchDirectory folder;
  const auto refuse = [&](const std::string& text, const std::vector<std::string>& named) {
    const CliResult result = run_lathe({"profiles", "show", folder.write("p.json", text)});
    check_refused(result, 2, named);
    return result.err;
  };
  const std::string near = refuse(R"({"extends": "esp32", "memory": {"ram_byte": 5}})",
                                  {"p.json", "/memory", "ram_byte"});
  CHECK(near.find("ram_bytes") != std::string::npos);
  refuse(R"({"extends": "esp32", "cpu": {"cores": "two"}})", {"p.json", "/cpu/cores"});
  refuse(R"({"extends": "esp32", "cpu": {"cores": 0}})", {"p.json", "/cpu/cores"});
  refuse(R"({"extends": "p.json"})", {"p.json", "/extends"});
  refuse(R"({"extends": "../p.json"})", {"p.json", "/extends"});
  refuse("", {"p.json"});
  refuse(R"({"extends": "esp32")", {"p.json"});
}

}  // namespace lathe
