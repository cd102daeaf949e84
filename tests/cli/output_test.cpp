// Where reports go, and what happens when they cannot.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <string>

#include "onnx/read_fixtures.h"
#include "run_lathe.h"

namespace lathe {

TEST_CASE("--report writes what --json prints") {
  const ScratchDirectory folder;
  const std::string model = folder.write("m.onnx", relu_model().SerializeAsString());
  const std::string report = folder.path("r.json");
  const CliResult result = run_lathe({"inspect", model, "--json", "--report", report});
  CHECK(result.exit_code == 0);
  CHECK(content_of(report) == result.out);
  CHECK(listing(folder.path()) == std::vector<std::string>{model, report});
}

TEST_CASE("a failure is a report too") {
  const ScratchDirectory folder;
  const std::string model = folder.write("m.onnx", "no model");
  const std::string path = folder.path("r.json");
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
  const ScratchDirectory folder;
  const std::string model = folder.write("m.onnx", relu_model().SerializeAsString());
  const std::string old = folder.write("r.json", "old");
  check_refused(run_lathe({"inspect", model, "--report", old}), 2, {"r.json"});
  CHECK(content_of(old) == "old");
  CHECK(run_lathe({"inspect", model, "--report", old, "--force"}).exit_code == 0);
  CHECK(content_of(old).front() == '{');
}

TEST_CASE("a report never takes the place of what is read") {
  const ScratchDirectory folder;
  const std::string bytes = relu_model().SerializeAsString();
  const std::string model = folder.write("m.onnx", bytes);
  std::filesystem::create_hard_link(model, folder.path("same.onnx"));
  std::filesystem::create_directory_symlink(folder.path(), folder.path("dir"));
  const std::string config = folder.write("c.json", "{}");
  for (const char* name : {"m.onnx", "same.onnx", "dir/m.onnx", "c.json"}) {
    CAPTURE(name);
    check_refused(
        run_lathe({"inspect", model, "--config", config, "--force", "--report", folder.path(name)}),
        2, {name});
    CHECK(content_of(model) == bytes);
    CHECK(content_of(config) == "{}");
  }
}

TEST_CASE("a report that cannot be written ends with 9") {
  const ScratchDirectory folder;
  const std::string model = folder.write("m.onnx", relu_model().SerializeAsString());
  check_refused(run_lathe({"inspect", model, "--force", "--report", folder.path()}), 9, {});
  check_refused(run_lathe({"inspect", model, "--report", folder.path("no/r.json")}), 9, {"r.json"});
  CHECK(listing(folder.path()) == std::vector<std::string>{model});
}

TEST_CASE("stdout that cannot be written ends with 9") {
  const ScratchDirectory folder;
  const std::string model = folder.write("m.onnx", relu_model().SerializeAsString());
  const std::string report = folder.path("r.json");
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
  const auto kept = nlohmann::json::parse(content_of(report));
  CHECK(kept["exit_code"] == 9);
  CHECK(kept["model"]["nodes"] == 1);
  CHECK(kept["warnings"][0]["code"] == "output.stdout");
}

TEST_CASE("a warning is on the screen and in the report, whatever the command") {
  const ScratchDirectory folder;
  onnx::ModelProto proto = relu_model();
  proto.add_opset_import()->set_version(13);
  const std::string model = folder.write("m.onnx", proto.SerializeAsString());
  const auto at = [&](const char* name) { return folder.path(name); };
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"inspect", model},
        {"run", model, "--data", "random", "-o", at("y.npz")},
        {"compare", model, model, "--data", "random"},
        {"compile", model, "-o", at("c.onnx")},
        {"bench", model, "--iterations", "3", "--threads", "1"}}) {
    CAPTURE(arguments[0]);
    std::vector<std::string> words = arguments;
    words.push_back("--json");
    const CliResult result = run_lathe(words);
    INFO(result.err);
    CHECK(result.exit_code == 0);
    CHECK(result.err.find("warning[model]: ") != std::string::npos);
    const auto report = report_of(result);
    const auto& rows = report["warnings"];
    const auto found = std::find_if(rows.begin(), rows.end(),
                                    [](const auto& row) { return row["code"] == "model"; });
    REQUIRE(found != rows.end());
    CHECK((*found)["message"].get<std::string>().find("13, the last") != std::string::npos);
    CHECK(report["model"]["opset"] == 13);
  }
}

}  // namespace lathe
