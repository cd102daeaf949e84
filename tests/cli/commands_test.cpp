// The commands that need LibTorch: what they refuse before and while they work.
#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>
#include <string>

#include "float_npy.h"
#include "onnx/read_fixtures.h"
#include "run_lathe.h"

namespace lathe {
namespace {

// y = x * w for x of 1x4 and w of 4x2.
std::string matmul_model() {
  onnx::ModelProto model = empty_model();
  model.mutable_graph()->clear_input();
  model.mutable_graph()->clear_output();
  add_info(*model.mutable_graph()->add_input(), "x", {1, 4});
  add_info(*model.mutable_graph()->add_output(), "y", {1, 2});
  add_node(*model.mutable_graph(), "MatMul", {"x", "w"}, {"y"});
  onnx::TensorProto& w =
      add_initializer(*model.mutable_graph(), "w", {1, -2, 3, -4, 0.5f, 0.25f, -1, 2});
  w.clear_dims();
  w.add_dims(4);
  w.add_dims(2);
  return model.SerializeAsString();
}

struct Models {
  ScratchDirectory folder;
  std::string model = folder.write("m.onnx", matmul_model());
  std::string at(const std::string& name) const { return folder.path(name); }
};

// Pictures for the repository's own network, whose batch is free.
std::string float_pictures(const Models& files, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count) * 28 * 28);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>((i * i + 31 * i) % 101) / 50 - 1;
  return files.folder.write("x.npy", float_npy({count, 1, 28, 28}, values));
}

}  // namespace

TEST_CASE("rows of an array are samples, whether the model's batch is 1 or free") {
  const Models files;
  const std::string free = LATHE_SOURCE_DIR "/scripts/glyphs.onnx";
  const std::string plain = float_pictures(files, 12);
  const std::string rows = files.folder.write("rows.json", R"({"format": "npy", "path": "x.npy"})");
  const std::string whole =
      files.folder.write("whole.json", R"({"format": "npy", "path": "x.npy", "batch": true})");

  // The same model from the same samples, however they are named.
  const std::vector<std::vector<std::string>> commands{
      {"quantize", free, "--effort", "fast"},
      {"prune", free, "--sparsity", "50%", "--latency", "off"},
      {"distill", "--teacher", free, "--student-width", "50%", "--epochs", "1", "--batch", "4",
       "--latency", "off", "--threads", "1"}};
  for (const std::vector<std::string>& command : commands) {
    CAPTURE(command[0]);
    std::map<std::string, std::string> made;
    for (const std::string& data : {plain, rows}) {
      std::vector<std::string> words = command;
      words.insert(words.end(), {"--data", data, "--eval", data, "-o", files.at("out.onnx"),
                                 "--force", "--json"});
      const CliResult result = run_lathe(words);
      INFO(result.err);
      REQUIRE(result.exit_code == 0);
      CHECK(result.err.find("one feed") == std::string::npos);
      CHECK(report_of(result)["quality"][0]["samples"] == 12);
      made[data] = content_of(files.at("out.onnx"));
    }
    CHECK(made[plain] == made[rows]);
  }

  const auto compared = [&](const std::string& data) {
    const CliResult result = run_lathe({"compare", free, free, "--data", data, "--json"});
    INFO(result.err);
    CHECK(result.exit_code == 0);
    return report_of(result)["compare"]["samples"].get<int>();
  };
  CHECK(compared(plain) == 12);
  CHECK(compared(rows) == 12);
  CHECK(compared(whole) == 1);

  // What run writes has the arrays' own shape.
  const auto run = [&](const std::string& data) {
    const CliResult result =
        run_lathe({"run", free, "--data", data, "-o", files.at("y.npz"), "--force"});
    INFO(result.err);
    CHECK(result.exit_code == 0);
    return result.out;
  };
  CHECK(run(plain).find("1 samples run") != std::string::npos);
  const std::string as_it_is = content_of(files.at("y.npz"));
  CHECK(run(whole).find("1 samples run") != std::string::npos);
  CHECK(content_of(files.at("y.npz")) == as_it_is);
  CHECK(run(rows).find("12 samples run") != std::string::npos);
}

TEST_CASE("quantize, run, compare and bench of a small model") {
  const Models files;
  const std::string out = files.at("q.onnx");
  const CliResult quantize =
      run_lathe({"quantize", files.model, "--data", "random", "--samples", "8", "-o", out});
  INFO(quantize.out, quantize.err);
  CHECK(quantize.exit_code == 0);
  CHECK(std::filesystem::exists(out));
  const CliResult inspect = run_lathe({"inspect", out});
  INFO(inspect.out, inspect.err);
  CHECK(inspect.out.rfind("q.onnx: QDQ ", 0) == 0);

  const CliResult run = run_lathe(
      {"run", files.model, "--data", "random", "--samples", "2", "-o", files.at("y.npz")});
  INFO(run.out, run.err);
  CHECK(run.exit_code == 0);
  CHECK(content_of(files.at("y.npz")).substr(0, 2) == "PK");

  const CliResult same = run_lathe({"compare", files.model, files.model, "--data", "random",
                                    "--samples", "2", "--tolerance", "0", "--json"});
  CHECK(same.exit_code == 0);
  CHECK(report_of(same)["verdict"] == "pass");
  const CliResult other = run_lathe({"compare", files.model, out, "--data", "random", "--samples",
                                     "2", "--tolerance", "0", "--json"});
  CHECK(other.exit_code == 4);
  CHECK(report_of(other)["verdict"] == "fail");

  const CliResult bench = run_lathe({"bench", files.model, "--iterations", "20", "--json"});
  INFO(bench.err);
  CHECK(bench.exit_code == 0);
  CHECK(report_of(bench)["run"]["command"] == "bench");
}

TEST_CASE("what is read is never overwritten") {
  const Models files;
  std::filesystem::create_hard_link(files.model, files.at("same.onnx"));
  for (const std::string& out : {files.model, files.at("same.onnx")}) {
    CAPTURE(out);
    check_refused(run_lathe({"quantize", files.model, "--data", "random", "-o", out, "--force"}), 2,
                  {out});
    check_refused(run_lathe({"run", files.model, "--data", "random", "-o", out, "--force"}), 2,
                  {out});
    CHECK(content_of(files.model) == matmul_model());
  }
}

TEST_CASE("what exists is kept without --force") {
  const Models files;
  const std::string old = files.folder.write("old.onnx", "old");
  check_refused(run_lathe({"quantize", files.model, "--data", "random", "-o", old}), 2,
                {"old.onnx"});
  check_refused(run_lathe({"run", files.model, "--data", "random", "-o", old}), 2, {"old.onnx"});
  CHECK(content_of(old) == "old");
  check_refused(run_lathe({"run", files.model, "--data", "random", "-o", files.at("r"), "--report",
                           files.at("r")}),
                2, {"same file"});
  check_refused(run_lathe({"run", files.model, "--data", "random", "-o", files.folder.path()}), 9,
                {});
}

TEST_CASE("static quantization without data says where to get some") {
  const Models files;
  const CliResult result = run_lathe({"quantize", files.model, "-o", files.at("q.onnx")});
  check_refused(result, 2, {"calibration data"});
  CHECK(result.err.find("--data random") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(files.at("q.onnx")));
}

TEST_CASE("a dry run writes nothing") {
  const Models files;
  const CliResult result = run_lathe({"quantize", files.model, "--data", "random", "--samples", "4",
                                      "-o", files.at("q.onnx"), "--dry-run"});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(listing(files.folder.path()) == std::vector<std::string>{files.model});
}

TEST_CASE("an op that nobody knows cannot be run") {
  const Models files;
  onnx::ModelProto model = empty_model();
  model.add_opset_import()->set_domain("com.example");
  model.mutable_opset_import(1)->set_version(1);
  add_node(*model.mutable_graph(), "Twist", {"x"}, {"y"}).set_domain("com.example");
  const std::string path = files.folder.write("twist.onnx", model.SerializeAsString());
  CHECK(run_lathe({"inspect", path}).exit_code == 0);
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"run", path, "--data", "random", "-o", files.at("y.npz")},
        {"compare", path, path, "--data", "random"},
        {"bench", path, "--iterations", "5"}}) {
    CAPTURE(arguments.front());
    check_refused(run_lathe(arguments), 3, {"Twist"});
  }
  CHECK_FALSE(std::filesystem::exists(files.at("y.npz")));
}

TEST_CASE("data that do not fit the model are refused") {
  const Models files;
  CHECK(run_lathe({"run", files.folder.write("r.onnx", relu_model().SerializeAsString()), "--data",
                   "random", "--samples", "1", "-o", files.at("other.npz")})
            .exit_code == 0);
  // It holds "y" of 2 elements, the model wants "x" of 1x4.
  for (const std::string& data :
       std::vector<std::string>{files.at("other.npz"), files.folder.write("d.npz", "PK"),
                                files.folder.write("d.csv", "a,b\n1,2\n"),
                                files.folder.write("d.npy", "\x93NUMPY\x01")}) {
    CAPTURE(data);
    check_refused(run_lathe({"run", files.model, "--data", data, "-o", files.at("y.npz")}), 3, {});
    check_refused(run_lathe({"quantize", files.model, "--data", data, "-o", files.at("q.onnx")}), 3,
                  {});
  }
  check_refused(
      run_lathe({"run", files.model, "--data", files.at("none.npz"), "-o", files.at("y.npz")}), 3,
      {"none.npz"});
  CHECK_FALSE(std::filesystem::exists(files.at("y.npz")));
  CHECK_FALSE(std::filesystem::exists(files.at("q.onnx")));
}

}  // namespace lathe
