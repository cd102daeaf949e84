// lathe compile as a user meets it, on the repository's own model.
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

#include "run_lathe.h"

namespace lathe {

TEST_CASE("compile proves its result and does nothing the second time") {
  const ScratchDirectory scratch;
  const CliResult first = run_lathe({"compile", kGlyphs, "-o", scratch.path("a.onnx"), "--json"});
  INFO(first.err);
  REQUIRE(first.exit_code == 0);
  const nlohmann::json report = report_of(first);
  CHECK(report["verification"]["verified"] == true);
  CHECK(report["verification"]["samples"] == 5);
  CHECK(report["model_out"]["nodes"] < report["model"]["nodes"]);
  CHECK(std::filesystem::exists(scratch.path("a.onnx.manifest.json")));
  const CliResult second = run_lathe(
      {"compile", scratch.path("a.onnx"), "-o", scratch.path("b.onnx"), "--verify", "off"});
  REQUIRE(second.exit_code == 0);
  CHECK(content_of(scratch.path("a.onnx")) == content_of(scratch.path("b.onnx")));
}

TEST_CASE("compile publishes nothing when the result misses the tolerance") {
  const ScratchDirectory scratch;
  const CliResult result = run_lathe({"compile", kGlyphs, "-o", scratch.path("a.onnx"),
                                      "--tolerance", "0", "--report", scratch.path("report.json")});
  CHECK(result.exit_code == 4);
  CHECK(result.out.find("not verified") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(scratch.path("a.onnx")));
  CHECK(listing(scratch.path()).size() == 1);  // the report
}

TEST_CASE("compile leaves a pass out by name, and knows the names") {
  const ScratchDirectory scratch;
  const CliResult without = run_lathe({"compile", kGlyphs, "-o", scratch.path("a.onnx"),
                                       "--disable-pass", "fuse_batch_norm", "--json"});
  REQUIRE(without.exit_code == 0);
  CHECK(report_of(without)["model_out"]["ops"].contains("BatchNormalization"));
  check_refused(run_lathe({"compile", kGlyphs, "-o", scratch.path("b.onnx"), "--disable-pass",
                           "fuse_batch_norms"}),
                2, {"fuse_batch_norms", "--disable-pass"});
}

TEST_CASE("compile fixes input shapes that fit") {
  const ScratchDirectory scratch;
  const CliResult unknown = run_lathe(
      {"compile", kGlyphs, "-o", scratch.path("a.onnx"), "--input-shape", "nothing=1x1x28x28"});
  check_refused(unknown, 2, {"nothing", "--input-shape"});
  const CliResult rank =
      run_lathe({"compile", kGlyphs, "-o", scratch.path("a.onnx"), "--input-shape", "images=1x1"});
  CHECK(rank.exit_code == 2);
  CHECK(listing(scratch.path()).empty());
}

TEST_CASE("compile --float16 halves the weights and keeps inputs and outputs") {
  const ScratchDirectory scratch;
  const std::string out = scratch.path("half.onnx");
  const CliResult result = run_lathe({"compile", kGlyphs, "-o", out, "--float16", "--json"});
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
      run_lathe({"compile", out, "-o", scratch.path("again.onnx"), "--float16", "--verify", "off"});
  REQUIRE(again.exit_code == 0);
  CHECK(content_of(out) == content_of(scratch.path("again.onnx")));
}

TEST_CASE("compile --float16 keeps in float32 what a narrower tolerance needs, and says why") {
  const ScratchDirectory scratch;
  const CliResult result = run_lathe({"compile", kGlyphs, "-o", scratch.path("half.onnx"),
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
  const ScratchDirectory scratch;
  const CliResult result =
      run_lathe({"compile", kGlyphs, "-o", scratch.path("a.onnx"), "--float16", "--tolerance",
                 "1e-7", "--external-data", "--report", scratch.path("report.json")});
  CHECK(result.exit_code == 4);
  CHECK(result.out.find("first differing node: ") != std::string::npos);
  CHECK(listing(scratch.path()) == std::vector<std::string>{scratch.path("report.json")});
  const auto report = nlohmann::json::parse(content_of(scratch.path("report.json")));
  CHECK(report["verdict"] == "fail");
  CHECK(report["verification"]["verified"] == false);
  const CliResult off = run_lathe({"compile", kGlyphs, "-o", scratch.path("a.onnx"), "--float16",
                                   "--tolerance", "1e-7", "--verify", "off"});
  REQUIRE(off.exit_code == 0);
  const auto manifest = nlohmann::json::parse(content_of(scratch.path("a.onnx.manifest.json")));
  CHECK(manifest["verified"] == false);
  CHECK_FALSE(manifest.contains("verification"));
}

TEST_CASE("compile --external-data puts the weights beside the model") {
  const ScratchDirectory scratch;
  const std::string out = scratch.path("a.onnx");
  const CliResult result = run_lathe({"compile", kGlyphs, "-o", out, "--external-data", "--json"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(std::filesystem::file_size(out) < std::filesystem::file_size(out + ".data"));
  const auto manifest = nlohmann::json::parse(content_of(out + ".manifest.json"));
  REQUIRE(manifest["artifacts"].size() == 2);
  CHECK(manifest["artifacts"][0]["file"] == "a.onnx.data");
  const CliResult compared =
      run_lathe({"compare", kGlyphs, out, "--data", "random", "--tolerance", "1e-4"});
  INFO(compared.err);
  CHECK(compared.exit_code == 0);
  // The data file is an output like the others.
  check_refused(run_lathe({"compile", kGlyphs, "-o", out, "--external-data"}), 2, {"a.onnx"});
  std::filesystem::remove(out);
  std::filesystem::remove(out + ".manifest.json");
  check_refused(run_lathe({"compile", kGlyphs, "-o", out, "--external-data"}), 2, {"a.onnx.data"});
}

TEST_CASE("compile --dynamic-batch frees a fixed batch, and says what keeps one") {
  const ScratchDirectory scratch;
  const std::string fixed = scratch.path("fixed.onnx");
  REQUIRE(
      run_lathe({"compile", kGlyphs, "-o", fixed, "--input-shape", "image=1x1x28x28"}).exit_code ==
      0);
  const CliResult freed =
      run_lathe({"compile", fixed, "-o", scratch.path("free.onnx"), "--dynamic-batch", "--json"});
  INFO(freed.err);
  REQUIRE(freed.exit_code == 0);
  const nlohmann::json section = report_of(freed)["dynamic_batch"];
  CHECK(section["was"] == 1);
  CHECK(section["inputs"][0]["axis"] == 0);
  CHECK(section["outputs"][0]["axis"] == 0);
  const CliResult again =
      run_lathe({"compile", scratch.path("free.onnx"), "-o", scratch.path("again.onnx"),
                 "--dynamic-batch", "--verify", "off"});
  REQUIRE(again.exit_code == 0);
  CHECK(content_of(scratch.path("free.onnx")) == content_of(scratch.path("again.onnx")));
}

TEST_CASE("inspect shows the manifest, and whether it is this model's") {
  const ScratchDirectory scratch;
  const std::string out = scratch.path("a.onnx");
  REQUIRE(run_lathe({"compile", kGlyphs, "-o", out}).exit_code == 0);
  const auto manifest = nlohmann::json::parse(content_of(out + ".manifest.json"));
  for (const char* key : {"source_sha256", "recipe", "passes", "nodes_before", "nodes_after",
                          "op_coverage", "arena_bytes", "expected_environment", "artifacts"})
    CHECK(manifest.contains(key));
  CHECK(manifest["expected_environment"]["isa"].is_array());
  const CliResult mine = run_lathe({"inspect", out});
  CHECK(mine.out.find("verified") != std::string::npos);
  CHECK(mine.out.find(manifest["source_sha256"].get<std::string>()) != std::string::npos);
  CHECK(report_of(run_lathe({"inspect", out, "--json"}))["manifest"]["matches_model"] == true);
  std::filesystem::copy_file(kGlyphs, out, std::filesystem::copy_options::overwrite_existing);
  const CliResult other = run_lathe({"inspect", out});
  CHECK(other.exit_code == 0);
  CHECK(other.out.find("does not match") != std::string::npos);
  std::ofstream(out + ".manifest.json") << "{\"schema\": [\"lathe.manifest\"]}";
  const CliResult broken = run_lathe({"inspect", out});
  CHECK(broken.exit_code == 0);
  CHECK(broken.out.find("not readable") != std::string::npos);
}

}  // namespace lathe
