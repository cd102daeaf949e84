// Where reports go, and what happens when they cannot.
#include <filesystem>
#include <string>

#include "onnx/read_fixtures.h"
#include "run_lathe.h"

namespace lathe {

TEST_CASE("--report writes what --json prints") {
  const Folder folder;
  const std::string model = folder.write("m.onnx", relu_model().SerializeAsString());
  const std::string report = (folder.path() / "r.json").string();
  const CliResult result = run_lathe({"inspect", model, "--json", "--report", report});
  CHECK(result.exit_code == 0);
  CHECK(content_of(report) == result.out);
  CHECK(listing(folder.path().string()) == std::vector<std::string>{model, report});
}

TEST_CASE("a failure is a report too") {
  const Folder folder;
  const std::string model = folder.write("m.onnx", "no model");
  const std::string path = (folder.path() / "r.json").string();
  const CliResult result = run_lathe({"inspect", model, "--json", "--report", path});
  CHECK(result.exit_code == 3);
  const auto report = report_of(result);
  CHECK(report["verdict"] == "error");
  CHECK(report["complete"] == false);
  CHECK(report["run"]["command"] == "inspect");
  for (const char* key : {"code", "message", "where", "hint"}) CHECK(report["error"].contains(key));
  CHECK(report["error"]["where"].get<std::string>().find("m.onnx") != std::string::npos);
  CHECK(content_of(path) == result.out);
  CHECK(result.err.rfind("error[" + report["error"]["code"].get<std::string>() + "]", 0) == 0);

  const CliResult usage = run_lathe({"inspect", model, "--json", "--wrong"});
  CHECK(usage.exit_code == 2);
  CHECK(report_of(usage)["error"]["code"] == "usage.unknown");
}

TEST_CASE("a report that exists is kept without --force") {
  const Folder folder;
  const std::string model = folder.write("m.onnx", relu_model().SerializeAsString());
  const std::string old = folder.write("r.json", "old");
  check_refused(run_lathe({"inspect", model, "--report", old}), 2, {"r.json"});
  CHECK(content_of(old) == "old");
  CHECK(run_lathe({"inspect", model, "--report", old, "--force"}).exit_code == 0);
  CHECK(content_of(old).front() == '{');
}

TEST_CASE("a report never takes the place of what is read") {
  const Folder folder;
  const std::string bytes = relu_model().SerializeAsString();
  const std::string model = folder.write("m.onnx", bytes);
  std::filesystem::create_hard_link(model, folder.path() / "same.onnx");
  std::filesystem::create_directory_symlink(folder.path(), folder.path() / "dir");
  const std::string config = folder.write("c.json", "{}");
  for (const char* name : {"m.onnx", "same.onnx", "dir/m.onnx", "c.json"}) {
    CAPTURE(name);
    check_refused(run_lathe({"inspect", model, "--config", config, "--force", "--report",
                             (folder.path() / name).string()}),
                  2, {name});
    CHECK(content_of(model) == bytes);
    CHECK(content_of(config) == "{}");
  }
}

TEST_CASE("a report that cannot be written ends with 9") {
  const Folder folder;
  const std::string model = folder.write("m.onnx", relu_model().SerializeAsString());
  check_refused(run_lathe({"inspect", model, "--force", "--report", folder.path().string()}), 9,
                {});
  check_refused(
      run_lathe({"inspect", model, "--report", (folder.path() / "no" / "r.json").string()}), 9,
      {"r.json"});
  CHECK(listing(folder.path().string()) == std::vector<std::string>{model});
}

TEST_CASE("stdout that cannot be written ends with 9") {
  const Folder folder;
  const std::string model = folder.write("m.onnx", relu_model().SerializeAsString());
  const std::string report = (folder.path() / "r.json").string();
  for (const char* path : {"-", "/dev/full"}) {
    CAPTURE(path);
    const CliOptions options{.stdout_path = path, .directory = {}};
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"inspect", model},
          {"inspect", model, "--quiet", "--json"},
          {"inspect", model, "--quiet", "--report", report, "--json", "--force"},
          {"profiles"},
          {"--help"},
          {"--version"}}) {
      CAPTURE(arguments.back());
      check_refused(run_lathe(arguments, options), 9, {"standard output"});
    }
  }
  CHECK(content_of(model) == relu_model().SerializeAsString());
  CHECK(nlohmann::json::parse(content_of(report))["exit_code"] == 9);
}

}  // namespace lathe
