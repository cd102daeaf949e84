// lathe zoo as a user meets it.
#include <filesystem>

#include "run_lathe.h"

namespace lathe {

TEST_CASE("zoo lists its networks with parameters, multiply-adds and inputs") {
  const CliResult list = run_lathe({"zoo"});
  CHECK(list.exit_code == 0);
  CHECK(list.err.empty());
  for (const char* name : {"resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_large",
                           "efficientnet_b0", "yolov5s", "bert_base", "crnn", "lstm_autoencoder"})
    CHECK(list.out.find(std::string("\n  ") + name + " ") != std::string::npos);
  CHECK(list.out.find("Nx3x224x224") != std::string::npos);
  CHECK(run_lathe({"zoo", "list"}).out == list.out);
  const auto rows = report_of(run_lathe({"zoo", "--json"}))["zoo"];
  REQUIRE(rows.size() == 10);
  CHECK(rows[0]["name"] == "resnet18");
  CHECK(rows[0]["parameters"] == 11689512);
  CHECK(rows[0]["macs"] == 1814073344);
}

TEST_CASE("zoo writes a network that inspect and run read") {
  const ScratchDirectory folder;
  const std::string path = folder.path("ae.onnx");
  const CliResult written = run_lathe({"zoo", "lstm_autoencoder", "-o", path, "--json"});
  INFO(written.err);
  REQUIRE(written.exit_code == 0);
  const auto report = report_of(written);
  CHECK(report["model_out"]["macs"] == 92160);
  CHECK(report["model_out"]["opset"] == 17);
  CHECK(report["zoo"]["parameters"] == 3236);
  CHECK(report["artifacts"][0]["bytes"] == std::filesystem::file_size(path));
  CHECK(listing(folder.path()).size() == 1);
  const auto inspected = report_of(run_lathe({"inspect", path, "--json"}));
  CHECK(inspected["model"]["sha256"] == report["model_out"]["sha256"]);
  CHECK(inspected["model"]["macs"] == 92160);
  CHECK(run_lathe({"run", path, "--data", "random", "--samples", "1", "-o", folder.path("o.npz")})
            .exit_code == 0);
}

TEST_CASE("zoo: the seed decides the bytes, --opset the form") {
  const ScratchDirectory folder;
  const auto bytes = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> arguments{"zoo", "lstm_autoencoder", "-o", folder.path("x.onnx"),
                                       "--force"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const CliResult result = run_lathe(arguments);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return content_of(folder.path("x.onnx"));
  };
  const std::string first = bytes({});
  CHECK(first == bytes({"--seed", "0"}));
  CHECK(first != bytes({"--seed", "1"}));
  CHECK(first != bytes({"--opset", "9"}));
}

TEST_CASE("zoo refuses what it cannot do and leaves nothing behind") {
  const ScratchDirectory folder;
  const std::string path = folder.path("x.onnx");
  const CliResult unknown = run_lathe({"zoo", "resnet81", "-o", path});
  check_refused(unknown, 2, {"resnet81"});
  CHECK(unknown.err.find("resnet18") != std::string::npos);
  check_refused(run_lathe({"zoo", "resnet18"}), 2, {"-o"});
  check_refused(run_lathe({"zoo", "-o", path}), 2, {"-o"});
  check_refused(run_lathe({"zoo", "lstm_autoencoder", "-o", folder.path("no/x.onnx")}), 9, {"no"});
  check_refused(run_lathe({"zoo", "lstm_autoencoder", "-o", path, "--opset", "6"}), 2, {"--opset"});
  CHECK(listing(folder.path()).empty());
  folder.write("x.onnx", "mine");
  check_refused(run_lathe({"zoo", "lstm_autoencoder", "-o", path}), 2, {"x.onnx"});
  CHECK(content_of(path) == "mine");
  CHECK(run_lathe({"zoo", "lstm_autoencoder", "--dry-run"}).exit_code == 0);
}

}  // namespace lathe
