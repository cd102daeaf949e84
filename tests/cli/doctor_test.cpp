#include <nlohmann/json.hpp>

#include <string>

#include "onnx/read_fixtures.h"
#include "run_lathe.h"

namespace lathe {

TEST_CASE("profiles detect writes a profile that loads and carries measured rates") {
  const ScratchDirectory folder;
  const std::string file = folder.path("host.json");
  const CliResult detect = run_lathe({"profiles", "detect", "-o", file, "--json"});
  if (detect.exit_code == 6) return;  // a processor that no shipped profile resembles
  CHECK(detect.exit_code == 0);
  const auto report = report_of(detect);
  CHECK(report["profile"]["rates"]["source"] == "measured");
  CHECK(report["profile"]["rates"]["gops"]["float32"].get<double>() > 0);
  CHECK(report["profile"]["rates"]["gops"]["int8"].get<double>() > 0);
  CHECK(report["peaks"]["memory"].back()["level"] == "DRAM");
  const auto shown = nlohmann::json::parse(run_lathe({"profiles", "show", file}).out);
  CHECK(shown["name"] == report["profile"]["name"]);
  CHECK(shown["rates"] == report["profile"]["rates"]);
  CHECK(shown["cpu"]["isa"] == report["host"]["cpu"]["isa"]);
  CHECK(shown.contains("precision"));  // of the profile that it extends
  check_refused(run_lathe({"profiles", "detect", "-o", file}), 2, {"host.json"});
  check_refused(run_lathe({"profiles", "detect", "esp32"}), 2, {"esp32"});
  check_refused(run_lathe({"profiles", "list", "-o", folder.path("x")}), 2, {"-o"});
}

TEST_CASE("bench --doctor examines the machine and needs no model") {
  const CliResult doctor = run_lathe({"bench", "--doctor", "--json"});
  CHECK((doctor.exit_code == 0 || doctor.exit_code == 5));
  const auto report = report_of(doctor);
  const auto& section = report["doctor"];
  CHECK(section["rows"].size() == 19);
  for (const auto& row : section["rows"]) {
    CAPTURE(row.dump());
    CHECK((row["verdict"] == "ok" || row["verdict"] == "warn" || row["verdict"] == "unknown"));
    CHECK_FALSE(row["fact"].get<std::string>().empty());
  }
  CHECK(section["resolves_tolerance"].get<bool>() == (doctor.exit_code == 0));
  CHECK(section["peaks"]["compute"].size() >= 2);
  // No machine tells a change of nothing.
  const CliResult strict = run_lathe({"bench", "--doctor", "--tolerance", "0%"});
  CHECK(strict.exit_code == 5);
  CHECK(strict.out.find("cannot resolve") != std::string::npos);
  check_refused(run_lathe({"bench", "--doctor", "m.onnx"}), 2, {"--doctor"});
  check_refused(run_lathe({"bench"}), 2, {"models"});
}

}  // namespace lathe
