// lathe distill when things go wrong: flags, files that do not fit, signals, kills, lost peers.
#include <nlohmann/json.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "free_port.h"
#include "ir/seeded_random.h"
#include "pruning.h"
#include "report_schema.h"
#include "running_lathe.h"

namespace lathe {
namespace {

using nlohmann::json;

// 32 steps an epoch of a narrow student, a checkpoint after each.
std::vector<std::string> training(const PruneFiles& files, const std::string& data,
                                  const std::string& out, const std::string& epochs = "10") {
  return {"distill",    "--teacher",
          kGlyphs,      "--student-width",
          "50%",        "--student-init",
          "fresh",      "--data",
          data,         "--epochs",
          epochs,       "--batch",
          "4",          "--threads",
          "1",          "--latency",
          "off",        "--ema",
          "0.9",        "--augment",
          "crop",       "-o",
          files.at(out)};
}

// With what torchrun sets.
RunningLathe start_rank(int rank, int size, const std::string& port,
                        const std::vector<std::string>& words) {
  return RunningLathe(words, LATHE_BINARY,
                      {"RANK=" + std::to_string(rank), "WORLD_SIZE=" + std::to_string(size),
                       "MASTER_ADDR=127.0.0.1", "MASTER_PORT=" + port});
}

std::string one_layer(int64_t inputs, int64_t outputs, float shift = 0) {
  onnx::ModelProto model = empty_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.clear_input();
  graph.clear_output();
  add_info(*graph.add_input(), "x", {1, inputs});
  add_info(*graph.add_output(), "y", {1, outputs});
  onnx::TensorProto& weight = add_initializer(graph, "w", {});
  weight.clear_dims();
  weight.add_dims(inputs);
  weight.add_dims(outputs);
  for (int64_t i = 0; i < inputs * outputs; ++i)
    weight.add_float_data(shift + 0.01f * static_cast<float>(i % 17));
  add_node(graph, "MatMul", {"x", "w"}, {"y"});
  return model.SerializeAsString();
}

}  // namespace

TEST_CASE("distill refuses what it cannot do") {
  const PruneFiles files;
  const std::string data = files.draw("tune", 16);
  const auto refused = [&](const std::vector<std::string>& more, int code,
                           const std::vector<std::string>& named) {
    CAPTURE(more[0]);
    check_refused(
        run_lathe(joined(
            {"distill", "--teacher", kGlyphs, "--data", data, "-o", files.at("s.onnx")}, more)),
        code, named);
    CHECK_FALSE(std::filesystem::exists(files.at("s.onnx")));
  };
  refused({"--epochs", "1"}, 2, {"--student"});
  refused({"--student", kGlyphs, "--student-width", "50%"}, 2, {"--student"});
  refused({"--student-width", "50"}, 2, {"--student-width"});
  refused({"--student-width", "0%"}, 2, {"--student-width"});
  refused({"--student-width", "50%", "--lr", "0"}, 2, {"--lr"});
  refused({"--student-width", "50%", "--lr", "inf"}, 2, {"--lr"});
  refused({"--student-width", "50%", "--patience", "2"}, 2, {"--patience"});
  refused({"--student-width", "50%", "--max-drop", "1%"}, 2, {"--max-drop"});
  refused({"--student-width", "50%", "--weight-bits", "4"}, 2, {"--weight-bits"});
  refused({"--student-width", "50%", "--keep-sparsity", "--student-init", "fresh"}, 2,
          {"--keep-sparsity"});
  refused({"--student-width", "50%", "--accumulate", "7"}, 2, {"--accumulate"});
  refused({"--student-width", "50%", "--features", "nothing"}, 2, {"--features"});
  refused({"--student-width", "50%", "--resume"}, 2, {"--checkpoint"});
  const std::string other = files.folder.write("other.onnx", one_layer(8, 3));
  refused({"--student", other}, 3, {"1x8", "input"});
  const std::string teacher = files.folder.write("teacher.onnx", one_layer(8, 4));
  check_refused(run_lathe({"distill", "--teacher", teacher, "--student", other, "--data", "random",
                           "-o", files.at("s.onnx")}),
                3, {"1x4", "1x3"});
}

TEST_CASE("labels out of range are named") {
  const PruneFiles files;
  const std::string model = files.folder.write("m.onnx", one_layer(8, 3));
  const std::string table = files.folder.write("data.csv", [] {
    std::string text = "a,b,c,d,e,f,g,h,label\n";
    for (int row = 0; row < 40; ++row) {
      for (int i = 0; i < 8; ++i) text += std::to_string(row * i % 7) + ",";
      text += std::to_string(row == 20 ? 9 : row % 3) + "\n";
    }
    return text;
  }());
  const std::string spec = files.folder.write(
      "data.json",
      json{{"format", "csv"},
           {"path", table},
           {"labels", "label"},
           {"inputs",
            {{"*", {{"columns", {"a", "b", "c", "d", "e", "f", "g", "h"}}, {"window", 1}}}}}}
          .dump());
  const CliResult result = run_lathe({"distill", "--teacher", model, "--student", model, "--data",
                                      spec, "--epochs", "1", "-o", files.at("s.onnx")});
  // Nothing says that the output is classes: labels of another kind are left out, with a word.
  INFO(result.err);
  CHECK((result.exit_code == 0 || result.exit_code == 3));
  CHECK((result.out + result.err).find("label") != std::string::npos);
}

TEST_CASE("a loss that is no number stops the training, which keeps the last good checkpoint") {
  const PruneFiles files;
  const std::string teacher = files.folder.write("teacher.onnx", one_layer(8, 3));
  const std::string student = files.folder.write("student.onnx", one_layer(8, 3, 0.5f));
  const std::string folder = files.at("state");
  const CliResult result =
      run_lathe({"distill", "--teacher", teacher, "--student", student, "--data", "random", "--lr",
                 "1e3", "--optimizer", "sgd", "--epochs", "50", "--batch", "4", "-o",
                 files.at("s.onnx"), "--checkpoint", folder});
  CHECK(result.exit_code == 3);
  CHECK(result.err.find("step") != std::string::npos);
  CHECK(result.err.find("node") != std::string::npos);
  CHECK(std::filesystem::exists(folder + "/training.checkpoint"));
}

TEST_CASE("SIGTERM leaves a checkpoint within two seconds, from which the run ends alike") {
  const PruneFiles files;
  const std::string data = files.draw("tune", 128);
  const std::string folder = files.at("state");
  REQUIRE(run_lathe(training(files, data, "whole.onnx")).exit_code == 0);
  const std::vector<std::string> words =
      joined(training(files, data, "s.onnx"), {"--checkpoint", folder});
  RunningLathe run(words);
  REQUIRE(run.wait_for(folder + "/training.checkpoint"));
  const auto sent = std::chrono::steady_clock::now();
  run.send(SIGTERM);
  CHECK(run.finish() == 143);
  CHECK(std::chrono::steady_clock::now() - sent < std::chrono::seconds(5));
  // The student so far is there, and says that it is not done.
  CHECK(json::parse(content_of(files.at("s.onnx.manifest.json")))["complete"] == false);
  CHECK(run_lathe({"inspect", files.at("s.onnx")}).exit_code == 0);
  check_refused(run_lathe(joined(words, {"--resume", "--temperature", "4"})), 2,
                {"temperature was 3"});
  const CliResult resumed = run_lathe(joined(words, {"--resume", "--json"}));
  INFO(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK(report_of(resumed)["training"]["steps_before_resume"] > 0);
  CHECK((content_of(files.at("s.onnx")) == content_of(files.at("whole.onnx"))));
}

TEST_CASE("killed at random moments and resumed, it ends with the same weights") {
  const PruneFiles files;
  const std::string data = files.draw("tune", 128);
  const std::string folder = files.at("state");
  const bool slow = std::getenv("LATHE_SLOW") != nullptr;
  const std::string epochs = slow ? "40" : "30";
  REQUIRE(run_lathe(training(files, data, "whole.onnx", epochs)).exit_code == 0);
  const std::vector<std::string> words =
      joined(training(files, data, "s.onnx", epochs), {"--checkpoint", folder, "--resume"});
  const int kills = slow ? 20 : 2;
  SeededRandom random(slow ? 7 : 3, 0);
  int killed = 0;
  bool ended = false;
  while (killed < kills && !ended) {
    CAPTURE(killed);
    RunningLathe run(words);
    // From before LibTorch is loaded to the middle of the training.
    std::this_thread::sleep_for(std::chrono::milliseconds(200 + random.next() % 1500));
    run.send(SIGKILL);
    ended = run.finish() == 0;
    killed += !ended;
  }
  CHECK(killed >= 2);
  if (!ended) {
    const CliResult resumed = run_lathe(words, {.timeout_s = 300});
    INFO(resumed.err);
    REQUIRE(resumed.exit_code == 0);
  }
  CHECK((content_of(files.at("s.onnx")) == content_of(files.at("whole.onnx"))));
}

TEST_CASE("two processes train as one does, and a lost one ends the other") {
  const PruneFiles files;
  const std::string data = files.draw("tune", 128);
  const std::vector<std::string> words{
      "distill", "--teacher", kGlyphs, "--student-width", "50%", "--student-init",
      "fresh",   "--data",    data,    "--epochs",        "3",   "--batch",
      "16",      "--threads", "1",     "--latency",       "off"};
  const CliResult alone = run_lathe(joined(words, {"-o", files.at("one.onnx"), "--json"}));
  REQUIRE(alone.exit_code == 0);
  const std::string port = free_port();
  const std::vector<std::string> together =
      joined(words, {"-o", files.at("two.onnx"), "--report", files.at("two.json")});
  RunningLathe first = start_rank(0, 2, port, together);
  RunningLathe second = start_rank(1, 2, port, together);
  CHECK(first.finish() == 0);
  CHECK(second.finish() == 0);
  const json both = json::parse(content_of(files.at("two.json")));
  CHECK(both["training"]["processes"] == 2);
  const json one = report_of(alone);
  for (size_t epoch = 0; epoch < 3; ++epoch)
    CHECK(both["training"]["epochs"][epoch]["loss"].get<double>() ==
          doctest::Approx(one["training"]["epochs"][epoch]["loss"].get<double>()).epsilon(1e-3));

  const std::string another = free_port();
  const std::string folder = files.at("state");
  const std::vector<std::string> lost =
      joined(training(files, data, "lost.onnx"), {"--checkpoint", folder});
  RunningLathe left = start_rank(0, 2, another, lost);
  RunningLathe killed = start_rank(1, 2, another, lost);
  REQUIRE(left.wait_for(folder + "/training.checkpoint"));
  killed.send(SIGKILL);
  CHECK(left.finish() == 6);
  const CliResult resumed = run_lathe(joined(lost, {"--resume", "--json"}));
  INFO(resumed.err);
  CHECK(resumed.exit_code == 0);
  CHECK(report_of(resumed)["training"]["steps_before_resume"] > 0);
}

}  // namespace lathe
