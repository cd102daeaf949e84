// lathe batch as a script meets it, on the repository's own model.
#include <filesystem>
#include <fstream>

#include "run_lathe.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Scratch {
  Scratch() : path(fs::temp_directory_path() / "lathe_test_batch") {
    fs::remove_all(path);
    fs::create_directories(path / "models");
    for (const char* name : {"a.onnx", "b.onnx"})
      fs::copy_file(LATHE_SOURCE_DIR "/scripts/glyphs.onnx", path / "models" / name);
  }
  ~Scratch() { fs::remove_all(path); }
  std::string file(const std::string& name) const { return (path / name).string(); }
  std::string jobs(const json& document) const {
    std::ofstream(path / "jobs.json") << document.dump();
    return file("jobs.json");
  }
  fs::path path;
};

const json kSteps = {{{"command", "quantize"}, {"data", "random"}, {"samples", 4}},
                     {{"command", "compile"}, {"target", "onnx"}}};

json run_batch(const Scratch& scratch, const std::string& jobs, int code,
               std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"batch", jobs, "-o", scratch.file("out"), "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const CliResult result = run_lathe(arguments);
  INFO(result.err);
  REQUIRE(result.exit_code == code);
  return report_of(result)["batch"];
}

}  // namespace

TEST_CASE("batch takes every model through the steps, once") {
  const Scratch scratch;
  const std::string jobs = scratch.jobs({{"models", {"models/*.onnx"}}, {"steps", kSteps}});
  CHECK(run_batch(scratch, jobs, 0)["finished"] == 2);
  const json manifest = json::parse(content_of(scratch.file("out/batch.json")));
  REQUIRE(manifest["jobs"].size() == 2);
  const json& steps = manifest["jobs"][1]["steps"];
  REQUIRE(steps.size() == 2);
  CHECK(steps[1]["artifact_sha256"].is_string());
  CHECK(fs::exists(steps[1]["artifact"].get<std::string>()));
  CHECK(json::parse(content_of(steps[0]["report"]))["exit_code"] == 0);

  SUBCASE("a second run does nothing") { CHECK(run_batch(scratch, jobs, 0)["resumed"] == 2); }
  SUBCASE("a job whose model changed runs again") {
    fs::copy_file(manifest["jobs"][0]["steps"][1]["artifact"].get<std::string>(),
                  scratch.file("models/b.onnx"), fs::copy_options::overwrite_existing);
    CHECK(run_batch(scratch, jobs, 0)["resumed"] == 1);
  }
  SUBCASE("a job whose artifact is gone or changed runs again") {
    std::ofstream(steps[0]["artifact"].get<std::string>(), std::ios::app) << "x";
    CHECK(run_batch(scratch, jobs, 0)["resumed"] == 1);
  }
  SUBCASE("a job whose steps changed runs again") {
    json fewer = kSteps;
    fewer.erase(1);
    const std::string other = scratch.jobs({{"models", {"models/*.onnx"}}, {"steps", fewer}});
    CHECK(run_batch(scratch, other, 0)["resumed"] == 0);
  }
}

TEST_CASE("a model is pruned, taught by itself, and made integer in one chain") {
  const Scratch scratch;
  const json steps = {{{"command", "prune"}, {"sparsity", "50%"}, {"latency", "off"}},
                      {{"command", "distill"},
                       {"student-from-pruned", "{input}"},
                       {"data", "random"},
                       {"epochs", 1},
                       {"batch", 8},
                       {"latency", "off"}},
                      {{"command", "quantize"}, {"data", "random"}, {"samples", 4}}};
  const std::string jobs =
      scratch.jobs({{"jobs", {{{"model", "models/a.onnx"}}}}, {"steps", steps}});
  CHECK(run_batch(scratch, jobs, 0)["finished"] == 1);
  const json manifest = json::parse(content_of(scratch.file("out/batch.json")));
  REQUIRE(manifest["jobs"][0]["steps"].size() == 3);
  const json taught = json::parse(content_of(manifest["jobs"][0]["steps"][1]["report"]));
  CHECK(taught["model"]["path_basename"] == "a.onnx");
}

TEST_CASE("batch goes on after a failure and ends with 7") {
  const Scratch scratch;
  std::ofstream(scratch.file("models/broken.onnx")) << "no model";
  const std::string jobs = scratch.jobs({{"models", {"models/*.onnx"}},
                                         {"steps", json::array({kSteps[1]})},
                                         {"jobs", {{{"model", "models/missing.onnx"}}}}});
  const json batch = run_batch(scratch, jobs, 7);
  CHECK(batch["finished"] == 2);
  CHECK(batch["failed"] == 2);
  const json manifest = json::parse(content_of(scratch.file("out/batch.json")));
  CHECK(manifest["jobs"][0]["exit_code"] == 3);  // missing
  CHECK(manifest["jobs"][3]["exit_code"] == 3);  // broken
  CHECK_FALSE(manifest["jobs"][3]["steps"][0]["error"].get<std::string>().empty());
}

TEST_CASE("batch measures against the job's own model") {
  const Scratch scratch;
  const std::string jobs = scratch.jobs({{"jobs",
                                          {{{"name", "one"},
                                            {"model", "models/a.onnx"},
                                            {"steps",
                                             {kSteps[1],
                                              {{"command", "bench"},
                                               {"against", "{model}"},
                                               {"iterations", 5},
                                               {"gate", {"size < 200%"}}}}}}}}});
  CHECK(run_batch(scratch, jobs, 0)["finished"] == 1);
  const json report = json::parse(content_of(scratch.file("out/one/2_bench.report.json")));
  CHECK(report["gates"][0]["verdict"] == "pass");
}

TEST_CASE("shards part the jobs") {
  const Scratch scratch;
  const std::string jobs =
      scratch.jobs({{"models", {"models/*.onnx"}}, {"steps", json::array({kSteps[1]})}});
  CHECK(run_batch(scratch, jobs, 0, {"--shard", "1/2"})["jobs"] == 1);
  CHECK(run_batch(scratch, jobs, 0, {"--shard", "2/2"})["resumed"] == 0);
  CHECK(run_batch(scratch, jobs, 0)["resumed"] == 2);
  CHECK(fs::exists(scratch.file("out/batch.2-of-2.json")));
}

TEST_CASE("batch refuses a jobs file with the place of the fault") {
  const Scratch scratch;
  const auto refused = [&](const json& document, const std::vector<std::string>& named) {
    check_refused(run_lathe({"batch", scratch.jobs(document), "-o", scratch.file("out")}), 2,
                  named);
    CHECK_FALSE(fs::exists(scratch.file("out")));
  };
  refused({{"models", {"models/*.pt"}}, {"steps", kSteps}}, {"/models", "models/*.pt"});
  refused({{"models", {"models/*.onnx"}}}, {"/steps"});
  refused({{"models", {"models/*.onnx"}}, {"steps", {{{"command", "quantise"}}}}}, {"quantize"});
  refused({{"model", "a.onnx"}, {"steps", kSteps}}, {"model"});
  refused({{"models", {"models/*.onnx"}}, {"steps", {{{"command", "compile"}, {"output", "x"}}}}},
          {"output"});
  refused(
      {{"jobs", {{{"model", "models/a.onnx"}}, {{"model", "models/a.onnx"}}}}, {"steps", kSteps}},
      {"two jobs"});
  check_refused(
      run_lathe({"batch", scratch.jobs({{"models", {"models/*.onnx"}}, {"steps", kSteps}}), "-o",
                 scratch.file("out"), "--shard", "3/2"}),
      2, {"--shard"});
}

}  // namespace lathe
