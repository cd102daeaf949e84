// lathe distill on the repository's own network: students, losses, integers, what is written.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>

#include "pruning.h"
#include "report_schema.h"

namespace lathe {
namespace {

using nlohmann::json;

struct DistillFiles : PruneFiles {
  CliResult distill(const std::string& out, const std::vector<std::string>& more) const {
    return run_lathe(joined({"distill", "--teacher", kGlyphs, "-o", at(out), "--latency", "off",
                             "--force", "--json"},
                            more),
                     {.timeout_s = 300});
  }
  json distilled(const std::string& out, const std::vector<std::string>& more) const {
    const CliResult result = distill(out, more);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    const json report = report_of(result);
    CHECK(schema_errors(report) == "");
    return report;
  }
};

double value(const json& report, const std::string& name) {
  for (const json& row : report.at("stages"))
    if (row.at("stage") == name) return row.at("value").get<double>();
  throw std::runtime_error("no stage " + name);
}

}  // namespace

TEST_CASE("a student of half the width learns from fresh weights") {
  const DistillFiles files;
  const std::string data = files.draw("tune", 800);
  const std::string judge = files.draw("judge", 150);
  const json report = files.distilled("s.onnx", {"--student-width",
                                                 "50%",
                                                 "--student-init",
                                                 "fresh",
                                                 "--data",
                                                 data,
                                                 "--eval",
                                                 judge,
                                                 "--epochs",
                                                 "4",
                                                 "--batch",
                                                 "32",
                                                 "--lr",
                                                 "5e-3",
                                                 "--lr-schedule",
                                                 "cosine",
                                                 "--warmup",
                                                 "5%",
                                                 "--clip-norm",
                                                 "10",
                                                 "--html",
                                                 files.at("page.html")});
  CHECK(report["sizes"]["after"]["macs"].get<double>() <
        0.35 * report["sizes"]["before"]["macs"].get<double>());
  // Chance is 1 of 36, and a hundred steps are few.
  CHECK(value(report, "distilled") > 0.045);
  CHECK(report["quality"][0]["before"] == report["stages"][0]["value"]);
  CHECK(report["quality"][0]["after"].get<double>() == value(report, "distilled"));
  const json& training = report["training"];
  CHECK(training["teacher"] == true);
  CHECK(training["labels"] == true);
  REQUIRE(training["epochs"].size() == 4);
  CHECK(training["epochs"][3]["loss"].get<double>() <
        0.95 * training["epochs"][0]["loss"].get<double>());
  const size_t best = training["best_epoch"].get<size_t>();
  for (const json& epoch : training["epochs"])
    CHECK(epoch["metric"].get<double>() <= training["epochs"][best]["metric"].get<double>());
  CHECK(training["epochs"][best]["metric"].get<double>() ==
        doctest::Approx(value(report, "distilled")).epsilon(0.02));
  const json manifest = json::parse(content_of(files.at("s.onnx.manifest.json")));
  CHECK(manifest["complete"] == true);
  CHECK(manifest["verified"] == true);
  const std::string page = content_of(files.at("page.html"));
  CHECK(page.find("\"teacher\":true") != std::string::npos);
}

TEST_CASE("an inherited student starts repaired, and unlabelled data suffice") {
  const DistillFiles files;
  const std::string data = files.draw("tune", 160, false);
  const std::string judge = files.draw("judge", 150);
  const json report =
      files.distilled("s.onnx", {"--student-width", "75%", "--data", data, "--eval", judge,
                                 "--epochs", "1", "--batch", "16", "--seed", "3"});
  CHECK(report["training"]["labels"] == false);
  CHECK(value(report, "start") > 0.3);
  CHECK(value(report, "distilled") >= value(report, "start"));
  const json again =
      files.distilled("t.onnx", {"--student-width", "75%", "--data", data, "--eval", judge,
                                 "--epochs", "1", "--batch", "16", "--seed", "3"});
  CHECK((content_of(files.at("s.onnx")) == content_of(files.at("t.onnx"))));
}

TEST_CASE("normalization that fresh weights need is folded in the artifact") {
  const DistillFiles files;
  const std::string data = files.draw("tune", 64);
  // Behind the new depthwise convolutions there is none.
  files.distilled("s.onnx", {"--student-separable", "--student-init", "fresh", "--data", data,
                             "--epochs", "1", "--batch", "16"});
  const json inspected = report_of(run_lathe({"inspect", files.at("s.onnx"), "--json"}));
  CHECK_FALSE(inspected["model"]["ops"].contains("BatchNormalization"));
}

TEST_CASE("dense convolutions become separable ones") {
  const DistillFiles files;
  const std::string data = files.draw("tune", 160);
  const json report =
      files.distilled("s.onnx", {"--student-separable", "--data", data, "--eval",
                                 files.draw("judge", 100), "--epochs", "2", "--batch", "16"});
  CHECK_FALSE(report["plan"]["separable"].empty());
  CHECK(report["sizes"]["after"]["macs"] < report["sizes"]["before"]["macs"]);
  CHECK(value(report, "distilled") > 0.4);
  check_refused(run_lathe({"distill", "--teacher", kGlyphs, "-o", files.at("t.onnx"),
                           "--student-separable", "--data", data, "--exclude", "op:Conv"}),
                3, {"no convolution"});
}

TEST_CASE("zeros of a pruned student stay zero") {
  const DistillFiles files;
  files.pruned("sparse.onnx", {"--sparsity", "60%"});
  const std::string data = files.draw("tune", 200);
  const auto before = stored_weights(files.at("sparse.onnx"));
  for (const std::vector<std::string>& way : std::vector<std::vector<std::string>>{
           {"--student-from-pruned", files.at("sparse.onnx")},
           {"--student", files.at("sparse.onnx"), "--keep-sparsity"},
           {"--student", files.at("sparse.onnx")}}) {
    CAPTURE(way.size());
    files.distilled("s.onnx", joined(way, {"--data", data, "--epochs", "1", "--optimizer", "adamw",
                                           "--weight-decay", "0.01"}));
    const bool kept = way.size() == 3 || way[0] == "--student-from-pruned";
    int64_t woken = 0;
    bool changed = false;
    for (const auto& [node, weight] : stored_weights(files.at("s.onnx"))) {
      const std::vector<float>& old = before.at(node).values;
      for (size_t i = 0; i < old.size(); ++i) {
        woken += old[i] == 0.0f && weight.values[i] != 0.0f;
        changed = changed || old[i] != weight.values[i];
      }
    }
    CHECK(changed);
    CHECK((woken == 0) == kept);
  }
}

TEST_CASE("integers are trained for, and the artifact is what quantize writes") {
  const DistillFiles files;
  const std::string data = files.draw("tune", 256, false);
  const std::string judge = files.draw("judge", 150);
  struct Way {
    std::vector<std::string> flags;
    bool activations;
    int64_t opset;
  };
  for (const Way& way :
       {Way{{}, true, 13}, Way{{"--weight-bits", "4", "--mode", "weight-only", "--step-sizes",
                                "follow", "--weight-granularity", "tensor"},
                               false,
                               21}}) {
    CAPTURE(way.activations);
    const json report =
        files.distilled("q.onnx", joined({"--quantization-aware", "--data", data, "--eval", judge,
                                          "--epochs", "2", "--batch", "32", "--lr", "2e-4"},
                                         way.flags));
    CHECK(value(report, "distilled") >= value(report, "start"));
    const json inspected = report_of(run_lathe({"inspect", files.at("q.onnx"), "--json"}));
    CHECK(inspected["model"]["opset"].get<int64_t>() >= way.opset);
    CHECK(inspected["model"]["ops"].contains("DequantizeLinear"));
    CHECK(inspected["model"]["ops"].contains("QuantizeLinear") == way.activations);
    CHECK(inspected["model"]["file_bytes"].get<double>() <
          0.6 * report["model"]["file_bytes"].get<double>());
  }
}

TEST_CASE("inner values are matched, with a projection where their shapes differ") {
  const DistillFiles files;
  const std::string data = files.draw("tune", 96);
  check_refused(run_lathe({"distill", "--teacher", kGlyphs, "-o", files.at("s.onnx"),
                           "--student-width", "50%", "--student-init", "fresh", "--data", data,
                           "--epochs", "1", "--features", "a=b"}),
                2, {"no value"});
  // Both networks call it alike; half of its channels are gone in the student.
  const std::string name = "/features/features.4/Relu_1_output_0";
  const json report = files.distilled(
      "s.onnx", {"--student-width", "50%", "--data", data, "--epochs", "2", "--features",
                 name + "=" + name, "--attention", name + "=" + name});
  CHECK(report["training"]["loss"].get<std::string>().find(name) != std::string::npos);
  CHECK(report["training"]["epochs"][1]["loss"] < report["training"]["epochs"][0]["loss"]);
}

TEST_CASE("memory is saved without another result") {
  const DistillFiles files;
  const std::string data = files.draw("tune", 96);
  const std::vector<std::string> words{"--student-width", "50%", "--student-init", "fresh",
                                       "--data",          data,  "--epochs",       "1",
                                       "--batch",         "32",  "--threads",      "1"};
  files.distilled("plain.onnx", words);
  const json report = files.distilled("less.onnx", joined(words, {"--checkpoint-activations"}));
  CHECK(report["training"]["checkpointed_activations"] == true);
  CHECK((content_of(files.at("plain.onnx")) == content_of(files.at("less.onnx"))));
  // Statistics of the whole batch forbid parts of it.
  const json parts = files.distilled("parts.onnx", joined(words, {"--accumulate", "4"}));
  CHECK(parts["training"]["checkpointed_activations"] == true);
  CHECK((content_of(files.at("plain.onnx")) == content_of(files.at("parts.onnx"))));
}

}  // namespace lathe
