// lathe compile as a user meets it, on the repository's own model.
#include <filesystem>
#include <fstream>

#include "run_lathe.h"

namespace lathe {
namespace {

const char* kModel = LATHE_SOURCE_DIR "/scripts/glyphs.onnx";

struct Scratch {
  Scratch() : path(std::filesystem::temp_directory_path() / "lathe_test_compile") {
    std::filesystem::remove_all(path);
    std::filesystem::create_directory(path);
  }
  ~Scratch() { std::filesystem::remove_all(path); }
  std::string file(const char* name) const { return (path / name).string(); }
  std::filesystem::path path;
};

}  // namespace

TEST_CASE("compile proves its result and does nothing the second time") {
  const Scratch scratch;
  const CliResult first = run_lathe({"compile", kModel, "-o", scratch.file("a.onnx"), "--json"});
  INFO(first.err);
  REQUIRE(first.exit_code == 0);
  const nlohmann::json report = report_of(first);
  CHECK(report["verification"]["verified"] == true);
  CHECK(report["verification"]["samples"] == 5);
  CHECK(report["model_out"]["nodes"] < report["model"]["nodes"]);
  CHECK(std::filesystem::exists(scratch.file("a.onnx.manifest.json")));
  const CliResult second = run_lathe(
      {"compile", scratch.file("a.onnx"), "-o", scratch.file("b.onnx"), "--verify", "off"});
  REQUIRE(second.exit_code == 0);
  CHECK(content_of(scratch.file("a.onnx")) == content_of(scratch.file("b.onnx")));
}

TEST_CASE("compile publishes nothing when the result misses the tolerance") {
  const Scratch scratch;
  const CliResult result = run_lathe({"compile", kModel, "-o", scratch.file("a.onnx"),
                                      "--tolerance", "0", "--report", scratch.file("report.json")});
  CHECK(result.exit_code == 4);
  CHECK(result.out.find("not verified") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(scratch.file("a.onnx")));
  CHECK(listing(scratch.path.string()).size() == 1);  // the report
}

TEST_CASE("compile leaves a pass out by name, and knows the names") {
  const Scratch scratch;
  const CliResult without = run_lathe({"compile", kModel, "-o", scratch.file("a.onnx"),
                                       "--disable-pass", "fuse_batch_norm", "--json"});
  REQUIRE(without.exit_code == 0);
  CHECK(report_of(without)["model_out"]["ops"].contains("BatchNormalization"));
  check_refused(run_lathe({"compile", kModel, "-o", scratch.file("b.onnx"), "--disable-pass",
                           "fuse_batch_norms"}),
                2, {"fuse_batch_norms", "--disable-pass"});
}

TEST_CASE("compile fixes input shapes that fit") {
  const Scratch scratch;
  const CliResult unknown = run_lathe(
      {"compile", kModel, "-o", scratch.file("a.onnx"), "--input-shape", "nothing=1x1x28x28"});
  check_refused(unknown, 2, {"nothing", "--input-shape"});
  const CliResult rank =
      run_lathe({"compile", kModel, "-o", scratch.file("a.onnx"), "--input-shape", "images=1x1"});
  CHECK(rank.exit_code == 2);
  CHECK(listing(scratch.path.string()).empty());
}

}  // namespace lathe
