// The native engine as a user meets it, on the repository's own model.
#include <nlohmann/json.hpp>

#include <filesystem>

#include "pruning.h"
#include "report_schema.h"
#include "run_lathe.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

nlohmann::json case_of(const nlohmann::json& report, const std::string& engine) {
  for (const auto& one : report["cases"])
    if (one["engine"] == engine) return one;
  return {};
}

}  // namespace

TEST_CASE("bench --engine native: the accuracy of the interpreter, within a planned arena") {
  const PruneFiles files;
  const std::string data = files.draw("glyphs", 300);
  const CliResult quantized = run_lathe({"quantize", kGlyphs, "-o", files.at("q.onnx"), "--data",
                                         data, "--samples", "64", "--effort", "fast"});
  INFO(quantized.err);
  REQUIRE(quantized.exit_code == 0);
  for (const std::string& model : {kGlyphs, files.at("q.onnx")}) {
    CAPTURE(model);
    const CliResult measured = run_lathe(
        {"bench", model, "--engine", "native,interpreter", "--data", data, "--metric", "top1",
         "--threads", "1", "--max-time", "1s", "--gate", "accuracy > 50%", "--json"});
    INFO(measured.err);
    CHECK(measured.exit_code == 0);
    const auto report = report_of(measured);
    const auto native = case_of(report, "native");
    const auto interpreter = case_of(report, "interpreter");
    REQUIRE(native.is_object());
    REQUIRE(interpreter.is_object());
    CHECK(native["quality"]["value"].get<double>() ==
          doctest::Approx(interpreter["quality"]["value"].get<double>()).epsilon(0.01));
    CHECK(native["memory"]["arena_planned_bytes"].get<int64_t>() > 0);
    CHECK_FALSE(native.contains("interpreted"));
  }
}

TEST_CASE("bench --engine native: what has no native kernel is named with its share") {
  const fs::path model = fs::path(LATHE_SHARED_DIR) / "models/gtcrn_simple.onnx";
  if (!fs::exists(model)) {
    MESSAGE("skipped: " << model.string() << " is not there");
    return;
  }
  const CliResult measured = run_lathe({"bench", model.string(), "--engine", "native", "--threads",
                                        "1", "--max-time", "1s", "--json"});
  INFO(measured.err);
  CHECK(measured.exit_code == 0);
  const auto interpreted = report_of(measured)["cases"][0]["interpreted"];
  REQUIRE(interpreted.is_object());
  CHECK(interpreted["nodes"]["ScatterND"] == 18);
  CHECK_FALSE(interpreted["nodes"].contains("GRU"));
  CHECK(interpreted["share"].get<double>() > 0.2);
}

TEST_CASE("a compiled plan is inspected, run and measured like the model that it was made from") {
  const PruneFiles files;
  const std::string data = files.draw("glyphs", 100);
  const std::string plan = files.at("glyphs.lathe");
  REQUIRE(run_lathe({"compile", kGlyphs, "--target", "native", "-o", plan}).exit_code == 0);

  const CliResult inspected = run_lathe({"inspect", plan, "--json"});
  INFO(inspected.err);
  CHECK(inspected.exit_code == 0);
  const auto facts = report_of(inspected);
  const auto original = report_of(run_lathe({"inspect", kGlyphs, "--json"}));
  CHECK(facts["model"]["format"] == "native");
  CHECK(facts["model"]["macs"] == original["model"]["macs"]);
  CHECK(facts["plan"]["source_sha256"] == original["model"]["sha256"]);
  CHECK(facts["plan"]["batch"] == "free");
  CHECK(run_lathe({"inspect", plan, "-v"}).out.find("float_conv") != std::string::npos);

  const std::string of_plan = files.at("plan.npz");
  const std::string of_model = files.at("model.npz");
  CHECK(run_lathe({"run", plan, "--data", data, "-o", of_plan}).exit_code == 0);
  CHECK(
      run_lathe({"run", kGlyphs, "--engine", "native", "--data", data, "-o", of_model}).exit_code ==
      0);
  CHECK(content_of(of_plan) == content_of(of_model));
  CHECK(run_lathe({"run", plan, "--data", data, "-o", of_plan, "--force", "--values", "*"})
            .exit_code == 2);

  const CliResult measured = run_lathe(
      {"bench", plan, "--against", kGlyphs, "--engine", "native", "--data", data, "--metric",
       "agreement", "--threads", "1", "--max-time", "1s", "--gate", "accuracy >= 100%", "--json"});
  INFO(measured.err);
  CHECK(measured.exit_code == 0);
  const CliResult batches =
      run_lathe({"bench", plan, "--batch", "1,4", "--threads", "1", "--max-time", "1s", "--json"});
  INFO(batches.err);
  CHECK(batches.exit_code == 0);
  CHECK(report_of(batches)["cases"].size() == 2);

  check_refused(run_lathe({"bench", plan, "--engine", "interpreter"}), 2, {"native"});
  check_refused(run_lathe({"bench", plan, "--input-shape", "x=1x1x4x4"}), 2,
                {"the inputs that it has"});
  check_refused(run_lathe({"quantize", plan, "--data", "random", "-o", files.at("q.onnx")}), 3,
                {"compiled plan"});
}

TEST_CASE("compare takes plans on either side, and judges their outputs") {
  const PruneFiles files;
  const std::string data = files.draw("glyphs", 50);
  const std::string plan = files.at("glyphs.lathe");
  const std::string int8 = files.at("q.onnx");
  const std::string int8_plan = files.at("q.lathe");
  REQUIRE(run_lathe({"compile", kGlyphs, "--target", "native", "-o", plan}).exit_code == 0);
  REQUIRE(
      run_lathe({"quantize", kGlyphs, "-o", int8, "--data", data, "--effort", "fast"}).exit_code ==
      0);
  REQUIRE(run_lathe({"compile", int8, "--target", "native", "-o", int8_plan}).exit_code == 0);
  const auto compared = [&](const std::string& a, const std::string& b,
                            std::vector<std::string> more) {
    std::vector<std::string> words{"compare", a, b, "--data", data, "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return run_lathe(words);
  };
  for (const auto& [a, b] : {std::pair(kGlyphs, plan), std::pair(plan, kGlyphs),
                             std::pair(plan, plan), std::pair(int8, int8_plan)}) {
    CAPTURE(a);
    CAPTURE(b);
    const CliResult result = compared(a, b, {"--min-sqnr", "25"});
    INFO(result.err);
    CHECK(result.exit_code == 0);
    CHECK(result.err.find("no layers") != std::string::npos);
    const nlohmann::json report = report_of(result);
    CHECK(schema_errors(report) == "");
    CHECK(report["compare"]["samples"] == 50);
    CHECK(report["compare"]["outputs"].size() == 1);
    CHECK(report["compare"]["layers"].is_null());
    CHECK(report["compare"]["layers_reason"].get<std::string>().find("plan") != std::string::npos);
    CHECK(report["model"]["format"] == (a.ends_with(".lathe") ? "native" : "onnx"));
    CHECK(report["model_out"]["format"] == (b.ends_with(".lathe") ? "native" : "onnx"));
    CHECK(report["quality"][0]["metric"] == "top1");
  }
  const CliResult missed = compared(plan, int8_plan, {"--tolerance", "0"});
  CHECK(missed.exit_code == 4);
  CHECK(report_of(missed)["compare"]["outputs"][0]["sqnr_db"] < 60);
  // A model's layers are there as before.
  CHECK(report_of(compared(kGlyphs, int8, {}))["compare"]["layers"].size() > 5);
  check_refused(run_lathe({"compare", plan, int8_plan, "--data", data, "--arithmetic", "maddubs"}),
                2, {"--arithmetic", "plan"});
  // What a model is told of its inputs is not for the plan.
  const std::string script = files.at("glyphs.pt");
  REQUIRE(run_lathe({"compile", kGlyphs, "--target", "torchscript", "-o", script}).exit_code == 0);
  const CliResult of_script = compared(script, plan, {"--input-shape", "image=1x1x28x28"});
  INFO(of_script.err);
  CHECK(of_script.exit_code == 0);
}

TEST_CASE("compile --tune: a plan with choices, verified, and a report of them") {
  const PruneFiles files;
  const std::string data = files.draw("glyphs", 64);
  REQUIRE(run_lathe({"quantize", kGlyphs, "-o", files.at("q.onnx"), "--data", data, "--samples",
                     "64", "--effort", "fast"})
              .exit_code == 0);
  const CliResult tuned =
      run_lathe({"compile", files.at("q.onnx"), "-o", files.at("q.lathe"), "--target", "native",
                 "--tune", "--tune-time", "3s", "--threads", "2", "--json"});
  INFO(tuned.err);
  REQUIRE(tuned.exit_code == 0);
  const nlohmann::json report = report_of(tuned);
  CHECK(schema_errors(report) == "");
  CHECK(report["verification"]["verified"] == true);
  const nlohmann::json tuning = report["native"]["tuning"];
  CHECK(tuning["fingerprint"] == report["host"]["fingerprint"]);
  CHECK(tuning["threads"] == 2);
  CHECK(tuning["before_ns"].get<int64_t>() > 0);
  CHECK(tuning["after_ns"].get<int64_t>() > 0);
  CHECK(tuning["runs"].get<int64_t>() > 10);
  CHECK(tuned.err.find("tuned: ") != std::string::npos);
  for (const nlohmann::json& layer : tuning["changed"]) {
    CHECK(layer["after_ns"].get<int64_t>() < layer["before_ns"].get<int64_t>());
    CHECK_FALSE(layer["implementation"].get<std::string>().empty());
  }
}

TEST_CASE("compile --tune is for native plans, and takes a time") {
  const PruneFiles files;
  check_refused(run_lathe({"compile", kGlyphs, "-o", files.at("a.onnx"), "--tune"}), 2,
                {"--tune", "native plans"});
  check_refused(run_lathe({"compile", kGlyphs, "-o", files.at("a.lathe"), "--target", "native",
                           "--tune", "--tune-time", "soon"}),
                2, {"--tune-time"});
  check_refused(run_lathe({"compile", kGlyphs, "-o", files.at("a.lathe"), "--target", "native",
                           "--tune-time", "3s"}),
                2, {"--tune"});
}

TEST_CASE("integers of a noisy network are verified by what rounding itself changes") {
  const PruneFiles files;
  const std::string model = files.at("model.onnx");
  const std::string int8 = files.at("int8.onnx");
  REQUIRE(run_lathe({"zoo", "mobilenet_v3_large", "-o", model}).exit_code == 0);
  REQUIRE(run_lathe({"quantize", model, "-o", int8, "--data", "random", "--effort", "fast"})
              .exit_code == 0);
  const CliResult result =
      run_lathe({"compile", int8, "-o", files.at("plan.lathe"), "--target", "native", "--json"});
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 0);
  const nlohmann::json outputs = report_of(result)["verification"]["outputs"];
  // Random weights: rounding leaves about as much noise as this, and 20 dB are asked elsewhere.
  CHECK(outputs[0]["sqnr_db"] < 25.0);
  CHECK(report_of(result)["verification"]["rounding_sqnr_db"] < 25.0);
  // A bound that is given holds.
  const CliResult strict = run_lathe({"compile", int8, "-o", files.at("other.lathe"), "--target",
                                      "native", "--tolerance", "1e-3"});
  CHECK(strict.exit_code == 4);
}

TEST_CASE("a profile that allows bfloat16: products are rounded where the processor can") {
  const PruneFiles files;
  const std::string profile = files.at("rounding.json");
  std::ofstream(profile)
      << R"({"extends": "x86-64-vnni", "name": "rounding", "precision": {"bfloat16": true}})";
  const std::string plan = files.at("plan.lathe");
  const CliResult compiled = run_lathe(
      {"compile", kGlyphs, "-o", plan, "--target", "native", "--profile", profile, "--json"});
  INFO(compiled.err);
  REQUIRE(compiled.exit_code == 0);
  CHECK(report_of(compiled)["native"]["bfloat16_steps"].get<int>() > 0);
  CHECK(report_of(compiled)["verification"]["outputs"][0]["sqnr_db"].get<double>() > 30);
  const auto products = [&](const std::vector<std::string>& arguments) {
    std::vector<std::string> all{"bench", "--engine", "native", "--max-time", "200ms", "--json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const CliResult result = run_lathe(all);
    INFO(result.err);
    const nlohmann::json report = report_of(result);
    CHECK(schema_errors(report) == "");
    return report["cases"][0].value("bfloat16_products", 0);
  };
  const bool can = content_of("/proc/cpuinfo").find("avx512_bf16") != std::string::npos;
  CHECK((products({kGlyphs, "--profile", profile}) > 0) == can);
  CHECK((products({plan}) > 0) == can);
  CHECK(products({kGlyphs}) == 0);
  // A tolerance that is given holds for what the plan computes, too.
  const CliResult strict =
      run_lathe({"compile", kGlyphs, "-o", files.at("strict.lathe"), "--target", "native",
                 "--profile", profile, "--tolerance", "1e-5"});
  CHECK(strict.exit_code == (can ? 4 : 0));
}

TEST_CASE("a file's name that belongs to another target is refused") {
  const PruneFiles files;
  check_refused(run_lathe({"compile", kGlyphs, "-o", files.at("plan.lathe")}), 2,
                {"plan.lathe", "--target native"});
  check_refused(run_lathe({"compile", kGlyphs, "-o", files.at("m.onnx"), "--target", "native"}), 2,
                {"m.onnx", "--target onnx"});
  const std::vector<std::vector<std::string>> commands{
      {"compile", kGlyphs},
      {"quantize", kGlyphs, "--data", "random"},
      {"prune", kGlyphs, "--sparsity", "50%"},
      {"distill", "--teacher", kGlyphs, "--student-width", "50%", "--data", "random"},
      {"zoo", "lstm_autoencoder"}};
  for (const auto& [name, target] :
       {std::pair("out.pt", "--target torchscript,"), std::pair("out.pth", "--target torchscript,"),
        std::pair("out.ptl", "--target torchscript-mobile"),
        std::pair("out.lathe", "--target native")}) {
    for (std::vector<std::string> words : commands) {
      CAPTURE(words[0]);
      words.insert(words.end(), {"-o", files.at(name)});
      check_refused(run_lathe(words), 2, {name, target});
    }
    check_refused(run_lathe({"batch", files.folder.write("jobs.json", "{}"), "-o", files.at(name)}),
                  2, {name, "folder"});
    CHECK_FALSE(fs::exists(files.at(name)));
  }
}

TEST_CASE("inputs on which float rounding alone changes everything say nothing of a plan") {
  const PruneFiles files;
  const std::string model = files.at("efficientnet_b0.onnx");
  REQUIRE(run_lathe({"zoo", "efficientnet_b0", "-o", model}).exit_code == 0);
  const CliResult compiled =
      run_lathe({"compile", model, "-o", files.at("plan.lathe"), "--target", "native", "--json"});
  INFO(compiled.err);
  REQUIRE(compiled.exit_code == 0);
  const nlohmann::json verification = report_of(compiled)["verification"];
  CHECK(verification["left_out"] == 1);
  CHECK(verification["outputs"][0]["max_abs_error"].get<double>() < 1);
  CHECK(verification["samples"].get<int>() > 1);
}

}  // namespace lathe
