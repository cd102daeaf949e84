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

TEST_CASE("compile --float16 halves the weights and keeps inputs and outputs") {
  const Scratch scratch;
  const std::string out = scratch.file("half.onnx");
  const CliResult result = run_lathe({"compile", kModel, "-o", out, "--float16", "--json"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const nlohmann::json report = report_of(result);
  CHECK(report["float16"]["converted_nodes"] > 0);
  CHECK(report["float16"]["clamped_weights"] == 0);
  CHECK(report["verification"]["min_sqnr_db"] == 30.0);
  CHECK(report["model_out"]["weights_bytes"].get<int64_t>() * 2 <=
        report["model"]["weights_bytes"].get<int64_t>() + 256);
  CHECK(report["model_out"]["dtype_histogram"].contains("float16"));
  const CliResult again =
      run_lathe({"compile", out, "-o", scratch.file("again.onnx"), "--float16", "--verify", "off"});
  REQUIRE(again.exit_code == 0);
  CHECK(content_of(out) == content_of(scratch.file("again.onnx")));
}

TEST_CASE("compile --float16 keeps in float32 what a narrower tolerance needs, and says why") {
  const Scratch scratch;
  const CliResult result = run_lathe({"compile", kModel, "-o", scratch.file("half.onnx"),
                                      "--float16", "--tolerance", "5e-4", "--json"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const nlohmann::json section = report_of(result)["float16"];
  CHECK(section["search"]["bound_used_by_rules"] > 1.0);
  CHECK(section["search"]["bound_used"] <= 1.0);
  CHECK(section["converted_nodes"] > 0);
  REQUIRE(section["kept"].size() > 0);
  CHECK(section["kept"][0]["reason"].get<std::string>().ends_with("of the bound"));
}

TEST_CASE("compile --float16 that misses the tolerance names a node and leaves only the report") {
  const Scratch scratch;
  const CliResult result =
      run_lathe({"compile", kModel, "-o", scratch.file("a.onnx"), "--float16", "--tolerance",
                 "1e-7", "--external-data", "--report", scratch.file("report.json")});
  CHECK(result.exit_code == 4);
  CHECK(result.out.find("first differing node: ") != std::string::npos);
  CHECK(listing(scratch.path.string()) == std::vector<std::string>{scratch.file("report.json")});
  const auto report = nlohmann::json::parse(content_of(scratch.file("report.json")));
  CHECK(report["verdict"] == "fail");
  CHECK(report["verification"]["verified"] == false);
  const CliResult off = run_lathe({"compile", kModel, "-o", scratch.file("a.onnx"), "--float16",
                                   "--tolerance", "1e-7", "--verify", "off"});
  REQUIRE(off.exit_code == 0);
  const auto manifest = nlohmann::json::parse(content_of(scratch.file("a.onnx.manifest.json")));
  CHECK(manifest["verified"] == false);
  CHECK_FALSE(manifest.contains("verification"));
}

TEST_CASE("compile --external-data puts the weights beside the model") {
  const Scratch scratch;
  const std::string out = scratch.file("a.onnx");
  const CliResult result = run_lathe({"compile", kModel, "-o", out, "--external-data", "--json"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(std::filesystem::file_size(out) < std::filesystem::file_size(out + ".data"));
  const auto manifest = nlohmann::json::parse(content_of(out + ".manifest.json"));
  REQUIRE(manifest["artifacts"].size() == 2);
  CHECK(manifest["artifacts"][0]["file"] == "a.onnx.data");
  const CliResult compared =
      run_lathe({"compare", kModel, out, "--data", "random", "--tolerance", "1e-4"});
  INFO(compared.err);
  CHECK(compared.exit_code == 0);
  // The data file is an output like the others.
  check_refused(run_lathe({"compile", kModel, "-o", out, "--external-data"}), 2, {"a.onnx"});
  std::filesystem::remove(out);
  std::filesystem::remove(out + ".manifest.json");
  check_refused(run_lathe({"compile", kModel, "-o", out, "--external-data"}), 2, {"a.onnx.data"});
}

TEST_CASE("compile --dynamic-batch frees a fixed batch, and says what keeps one") {
  const Scratch scratch;
  const std::string fixed = scratch.file("fixed.onnx");
  REQUIRE(
      run_lathe({"compile", kModel, "-o", fixed, "--input-shape", "image=1x1x28x28"}).exit_code ==
      0);
  const CliResult freed =
      run_lathe({"compile", fixed, "-o", scratch.file("free.onnx"), "--dynamic-batch", "--json"});
  INFO(freed.err);
  REQUIRE(freed.exit_code == 0);
  const nlohmann::json section = report_of(freed)["dynamic_batch"];
  CHECK(section["was"] == 1);
  CHECK(section["inputs"][0]["axis"] == 0);
  CHECK(section["outputs"][0]["axis"] == 0);
  const CliResult again =
      run_lathe({"compile", scratch.file("free.onnx"), "-o", scratch.file("again.onnx"),
                 "--dynamic-batch", "--verify", "off"});
  REQUIRE(again.exit_code == 0);
  CHECK(content_of(scratch.file("free.onnx")) == content_of(scratch.file("again.onnx")));
}

TEST_CASE("inspect shows the manifest, and whether it is this model's") {
  const Scratch scratch;
  const std::string out = scratch.file("a.onnx");
  REQUIRE(run_lathe({"compile", kModel, "-o", out}).exit_code == 0);
  const auto manifest = nlohmann::json::parse(content_of(out + ".manifest.json"));
  for (const char* key : {"source_sha256", "recipe", "passes", "nodes_before", "nodes_after",
                          "op_coverage", "arena_bytes", "expected_environment", "artifacts"})
    CHECK(manifest.contains(key));
  CHECK(manifest["expected_environment"]["isa"].is_array());
  const CliResult mine = run_lathe({"inspect", out});
  CHECK(mine.out.find("verified") != std::string::npos);
  CHECK(mine.out.find(manifest["source_sha256"].get<std::string>()) != std::string::npos);
  CHECK(report_of(run_lathe({"inspect", out, "--json"}))["manifest"]["matches_model"] == true);
  std::filesystem::copy_file(kModel, out, std::filesystem::copy_options::overwrite_existing);
  const CliResult other = run_lathe({"inspect", out});
  CHECK(other.exit_code == 0);
  CHECK(other.out.find("does not match") != std::string::npos);
  std::ofstream(out + ".manifest.json") << "{\"schema\": [\"lathe.manifest\"]}";
  const CliResult broken = run_lathe({"inspect", out});
  CHECK(broken.exit_code == 0);
  CHECK(broken.out.find("not readable") != std::string::npos);
}

}  // namespace lathe
