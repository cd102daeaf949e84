// lathe batch as a script meets it, on the repository's own model.
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

#include "names/targets.h"
#include "run_lathe.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct BatchFiles {
  ScratchDirectory folder;
  BatchFiles() {
    for (const char* name : {"a.onnx", "b.onnx"})
      folder.write(std::string("models/") + name, content_of(kGlyphs));
  }
  std::string at(const std::string& name) const { return folder.path(name); }
  std::string jobs(const json& document) const {
    return folder.write("jobs.json", document.dump());
  }
};

const json kSteps = {{{"command", "quantize"}, {"data", "random"}, {"samples", 4}},
                     {{"command", "compile"}, {"target", "onnx"}}};

json run_batch(const BatchFiles& files, const std::string& jobs, int code,
               const std::vector<std::string>& more = {}) {
  const CliResult result =
      run_lathe(joined({"batch", jobs, "-o", files.at("out"), "--json"}, more));
  INFO(result.err);
  REQUIRE(result.exit_code == code);
  return report_of(result)["batch"];
}

}  // namespace

TEST_CASE("batch takes every model through the steps, once") {
  const BatchFiles files;
  const std::string jobs = files.jobs({{"models", {"models/*.onnx"}}, {"steps", kSteps}});
  CHECK(run_batch(files, jobs, 0)["finished"] == 2);
  const json manifest = json::parse(content_of(files.at("out/batch.json")));
  REQUIRE(manifest["jobs"].size() == 2);
  const json& steps = manifest["jobs"][1]["steps"];
  REQUIRE(steps.size() == 2);
  CHECK(steps[1]["artifact_sha256"].is_string());
  CHECK(fs::exists(steps[1]["artifact"].get<std::string>()));
  CHECK(json::parse(content_of(steps[0]["report"]))["exit_code"] == 0);

  SUBCASE("a second run does nothing") { CHECK(run_batch(files, jobs, 0)["resumed"] == 2); }
  SUBCASE("a job whose model changed runs again") {
    fs::copy_file(manifest["jobs"][0]["steps"][1]["artifact"].get<std::string>(),
                  files.at("models/b.onnx"), fs::copy_options::overwrite_existing);
    CHECK(run_batch(files, jobs, 0)["resumed"] == 1);
  }
  SUBCASE("a job whose artifact is gone or changed runs again") {
    std::ofstream(steps[0]["artifact"].get<std::string>(), std::ios::app) << "x";
    CHECK(run_batch(files, jobs, 0)["resumed"] == 1);
  }
  SUBCASE("a job whose steps changed runs again") {
    json fewer = kSteps;
    fewer.erase(1);
    const std::string other = files.jobs({{"models", {"models/*.onnx"}}, {"steps", fewer}});
    CHECK(run_batch(files, other, 0)["resumed"] == 0);
  }
}

TEST_CASE("a model is pruned, taught by itself, and made integer in one chain") {
  const BatchFiles files;
  const json steps = {{{"command", "prune"}, {"sparsity", "50%"}, {"latency", "off"}},
                      {{"command", "distill"},
                       {"student-from-pruned", "{input}"},
                       {"data", "random"},
                       {"epochs", 1},
                       {"batch", 8},
                       {"latency", "off"}},
                      {{"command", "quantize"}, {"data", "random"}, {"samples", 4}}};
  const std::string jobs = files.jobs({{"jobs", {{{"model", "models/a.onnx"}}}}, {"steps", steps}});
  CHECK(run_batch(files, jobs, 0)["finished"] == 1);
  const json manifest = json::parse(content_of(files.at("out/batch.json")));
  REQUIRE(manifest["jobs"][0]["steps"].size() == 3);
  const json taught = json::parse(content_of(manifest["jobs"][0]["steps"][1]["report"]));
  CHECK(taught["model"]["path_basename"] == "a.onnx");
}

TEST_CASE("every target can be a step of a job") {
  const BatchFiles files;
  fs::remove(files.at("models/b.onnx"));
  json jobs = json::array();
  for (const Target& target : targets())
    jobs.push_back({{"name", target.name},
                    {"model", "models/a.onnx"},
                    {"steps", json::array({{{"command", "compile"}, {"target", target.name}}})}});
  jobs.push_back({{"name", "measured"},
                  {"model", "models/a.onnx"},
                  {"steps",
                   {{{"command", "compile"}, {"target", "native"}},
                    {{"command", "bench"},
                     {"against", "{model}"},
                     {"engine", "native"},
                     {"iterations", 5},
                     {"gate", {"size < 1000%"}}}}}});
  CHECK(run_batch(files, files.jobs({{"jobs", jobs}}), 0)["finished"] == jobs.size());
  const json manifest = json::parse(content_of(files.at("out/batch.json")));
  for (size_t i = 0; i < targets().size(); ++i) {
    const json& step = manifest["jobs"][i]["steps"][0];
    CAPTURE(step.dump());
    CHECK(target_of_file(step["artifact"].get<std::string>()) == &targets()[i]);
    CHECK(json::parse(content_of(step["report"]))["model_out"]["format"] == targets()[i].format);
  }
  CHECK(manifest["jobs"].back()["steps"].size() == 2);
}

TEST_CASE("batch goes on after a failure and ends with 7") {
  const BatchFiles files;
  std::ofstream(files.at("models/broken.onnx")) << "no model";
  const std::string jobs = files.jobs({{"models", {"models/*.onnx"}},
                                       {"steps", json::array({kSteps[1]})},
                                       {"jobs", {{{"model", "models/missing.onnx"}}}}});
  const json batch = run_batch(files, jobs, 7);
  CHECK(batch["finished"] == 2);
  CHECK(batch["failed"] == 2);
  const json manifest = json::parse(content_of(files.at("out/batch.json")));
  CHECK(manifest["jobs"][0]["exit_code"] == 3);  // missing
  CHECK(manifest["jobs"][3]["exit_code"] == 3);  // broken
  CHECK_FALSE(manifest["jobs"][3]["steps"][0]["error"].get<std::string>().empty());
}

TEST_CASE("batch measures against the job's own model") {
  const BatchFiles files;
  const std::string jobs = files.jobs({{"jobs",
                                        {{{"name", "one"},
                                          {"model", "models/a.onnx"},
                                          {"steps",
                                           {kSteps[1],
                                            {{"command", "bench"},
                                             {"against", "{model}"},
                                             {"iterations", 5},
                                             {"gate", {"size < 200%"}}}}}}}}});
  CHECK(run_batch(files, jobs, 0)["finished"] == 1);
  const json report = json::parse(content_of(files.at("out/one/2_bench.report.json")));
  CHECK(report["gates"][0]["verdict"] == "pass");
}

TEST_CASE("shards part the jobs") {
  const BatchFiles files;
  const std::string jobs =
      files.jobs({{"models", {"models/*.onnx"}}, {"steps", json::array({kSteps[1]})}});
  CHECK(run_batch(files, jobs, 0, {"--shard", "1/2"})["jobs"] == 1);
  CHECK(run_batch(files, jobs, 0, {"--shard", "2/2"})["resumed"] == 0);
  CHECK(run_batch(files, jobs, 0)["resumed"] == 2);
  CHECK(fs::exists(files.at("out/batch.2-of-2.json")));
}

TEST_CASE("batch refuses a jobs file with the place of the fault") {
  const BatchFiles files;
  const auto refused = [&](const json& document, const std::vector<std::string>& named) {
    check_refused(run_lathe({"batch", files.jobs(document), "-o", files.at("out")}), 2, named);
    CHECK_FALSE(fs::exists(files.at("out")));
  };
  refused({{"models", {"models/*.pt"}}, {"steps", kSteps}}, {"/models", "models/*.pt"});
  refused({{"models", {"models/*.onnx"}}}, {"/steps"});
  refused({{"models", {"models/*.onnx"}}, {"steps", {{{"command", "quantise"}}}}}, {"quantize"});
  refused({{"model", "a.onnx"}, {"steps", kSteps}}, {"model"});
  refused(
      {{"models", {"models/*.onnx"}}, {"steps", {{{"command", "compile"}, {"target", "natve"}}}}},
      {"/steps/0/target", "native"});
  refused({{"models", {"models/*.onnx"}}, {"steps", {{{"command", "compile"}, {"target", 3}}}}},
          {"/steps/0/target"});
  refused({{"models", {"models/*.onnx"}}, {"steps", {{{"command", "compile"}, {"output", "x"}}}}},
          {"output"});
  refused(
      {{"jobs", {{{"model", "models/a.onnx"}}, {{"model", "models/a.onnx"}}}}, {"steps", kSteps}},
      {"two jobs"});
  check_refused(run_lathe({"batch", files.jobs({{"models", {"models/*.onnx"}}, {"steps", kSteps}}),
                           "-o", files.at("out"), "--shard", "3/2"}),
                2, {"--shard"});
}

}  // namespace lathe
