// lathe prune with fine-tuning: masks that stay, schedules, teachers, interruption and resume.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "pruning.h"
#include "report_schema.h"
#include "running_lathe.h"

namespace lathe {
namespace {

using nlohmann::json;

int64_t zeros_of(const std::string& path) {
  int64_t zeros = 0;
  for (const auto& [node, weight] : stored_weights(path)) zeros += weight.zeros();
  return zeros;
}

const json& stage(const json& report, const std::string& name) {
  for (const json& row : report.at("stages"))
    if (row.at("stage") == name) return row;
  throw std::runtime_error("no stage " + name);
}

void add_weight(onnx::GraphProto& graph, const std::string& name,
                std::initializer_list<int64_t> dims) {
  onnx::TensorProto& tensor = add_initializer(graph, name, {});
  tensor.clear_dims();
  int64_t count = 1;
  for (const int64_t dim : dims) {
    tensor.add_dims(dim);
    count *= dim;
  }
  uint32_t state = static_cast<uint32_t>(count);
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    tensor.add_float_data(static_cast<float>(state >> 8) / 16777216.0f - 0.5f);
  }
}

// Eight LSTM units under a normalization, which keeps them from being taken out: [6, 1, 4] -> 3.
std::string normalized_lstm() {
  onnx::ModelProto model = empty_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.clear_input();
  graph.clear_output();
  add_info(*graph.add_input(), "x", {6, 1, 4});
  add_info(*graph.add_output(), "y", {1, 1, 3});
  add_weight(graph, "w", {1, 32, 4});
  add_weight(graph, "r", {1, 32, 8});
  add_weight(graph, "b", {1, 64});
  add_weight(graph, "scale", {8});
  add_weight(graph, "last", {8, 3});
  onnx::NodeProto& lstm = add_node(graph, "LSTM", {"x", "w", "r", "b"}, {"", "h"});
  lstm.set_name("lstm");
  add_attribute(lstm, "hidden_size", onnx::AttributeProto::INT).set_i(8);
  add_node(graph, "LayerNormalization", {"h", "scale"}, {"n"});
  add_node(graph, "MatMul", {"n", "last"}, {"y"}).set_name("last");
  return model.SerializeAsString();
}

std::vector<float> constant_of(const std::string& path, const std::string& type, int input) {
  onnx::ModelProto model;
  REQUIRE(model.ParseFromString(content_of(path)));
  for (const onnx::NodeProto& node : model.graph().node())
    for (const onnx::TensorProto& tensor : model.graph().initializer())
      if (node.op_type() == type && tensor.name() == node.input(input)) return floats_of(tensor);
  return {};
}

const std::vector<std::string> kChannels{"--structure", "channel", "--sparsity", "30%"};

}  // namespace

TEST_CASE("fine-tuning learns from labels and the dense network, or from it alone") {
  const PruneFiles files;
  const std::string judge = files.draw("judge", 150);
  for (const bool labels : {true, false}) {
    CAPTURE(labels);
    const std::string data = files.draw(labels ? "labelled" : "unlabelled", 400, labels);
    const json report = files.pruned(
        "p.onnx", joined(kChannels, {"--data", data, "--repair", "off", "--finetune-epochs", "2",
                                     "--batch", "16", "--lr", "3e-3", "--eval", judge}));
    const json& training = report["training"];
    CHECK(training["labels"] == labels);
    CHECK(training["teacher"] == true);
    CHECK(training["steps"] == 2 * 400 / 16);
    REQUIRE(training["epochs"].size() == 2);
    CHECK(training["epochs"][1]["loss"] < training["epochs"][0]["loss"]);
    CHECK(stage(report, "fine-tuned")["value"].get<double>() >
          stage(report, "removed")["value"].get<double>() + 0.3);
    CHECK(report["quality"][0]["after"] == report["stages"].back()["value"]);
  }
}

TEST_CASE("masks survive fine-tuning to the last zero") {
  const PruneFiles files;
  const std::string data = files.draw("tune", 64);
  for (const std::vector<std::string>& way : std::vector<std::vector<std::string>>{
           {"--structure", "element", "--sparsity", "70%"},
           {"--structure", "element", "--sparsity", "50%", "--scope", "global"},
           {"--structure", "2:4"},
           {"--structure", "block-1x4", "--sparsity", "50%"}}) {
    CAPTURE(way[1]);
    files.pruned("masked.onnx", way);
    const json report = files.pruned(
        "tuned.onnx",
        joined(way, {"--data", data, "--finetune-epochs", "1", "--batch", "16", "--optimizer",
                     "adamw", "--weight-decay", "0.01", "--ema", "0.9"}));
    const auto masked = stored_weights(files.at("masked.onnx"));
    bool changed = false;
    int64_t zeros = 0;
    for (const auto& [node, weight] : stored_weights(files.at("tuned.onnx"))) {
      CAPTURE(node);
      const std::vector<float>& before = masked.at(node).values;
      for (size_t i = 0; i < before.size(); ++i) {
        if ((before[i] == 0.0f) != (weight.values[i] == 0.0f)) FAIL("element ", i);
        changed = changed || before[i] != weight.values[i];
      }
      zeros += weight.zeros();
    }
    CHECK(changed);
    int64_t reported = 0;
    for (const json& row : report["plan"]["weights"]) reported += row["zeros"].get<int64_t>();
    CHECK(reported == zeros);
  }
}

TEST_CASE("sparsity grows by a polynomial while elements are trained") {
  const PruneFiles files;
  const json report = files.pruned(
      "p.onnx", {"--sparsity", "60%", "--data", files.draw("tune", 160), "--finetune-epochs", "2",
                 "--batch", "16", "--eval", files.draw("judge", 60), "--schedule",
                 "polynomial:initial=10%,begin=0%,end=50%,frequency=2,power=3"});
  const json& changes = report["training"]["sparsity"];
  REQUIRE(changes.size() > 3);
  CHECK(changes.front()["sparsity"].get<double>() == doctest::Approx(0.1));
  CHECK(changes.back()["sparsity"] == 0.6);
  CHECK(changes.back()["step"] == 10);
  for (size_t i = 1; i < changes.size(); ++i) {
    CHECK(changes[i]["step"] > changes[i - 1]["step"]);
    CHECK(changes[i]["sparsity"] > changes[i - 1]["sparsity"]);
  }
  for (const auto& [node, weight] : stored_weights(files.at("p.onnx"))) {
    CAPTURE(node);
    CHECK(weight.zeros() == static_cast<int64_t>(weight.values.size()) * 60 / 100);
  }
  CHECK(stage(report, "fine-tuned")["samples"] == 60);
}

TEST_CASE("channels go one after another while the network is trained") {
  const PruneFiles files;
  const std::string judge = files.draw("judge", 60);
  const json report = files.pruned(
      "p.onnx",
      joined(kChannels, {"--data", files.draw("tune", 160), "--finetune-epochs", "2", "--batch",
                         "16", "--eval", judge, "--schedule", "polynomial:end=60%,frequency=3"}));
  const json once = files.pruned("q.onnx", kChannels);
  CHECK(report["plan"]["removed"] == once["plan"]["removed"]);
  CHECK(report["training"]["sparsity"].size() > 2);
  const auto grown = stored_weights(files.at("p.onnx"));
  for (const auto& [node, weight] : stored_weights(files.at("q.onnx"))) {
    CAPTURE(node);
    CHECK(grown.at(node).dims == weight.dims);
  }
  // What was measured while channels were silent holds when they are gone.
  const CliResult compared = run_lathe(
      {"compare", kGlyphs, files.at("p.onnx"), "--data", judge, "--metric", "top1", "--json"});
  CHECK(json::parse(compared.out)["quality"][0]["after"] == stage(report, "fine-tuned")["value"]);
  const CliResult again = files.prune("r.onnx", joined({files.at("p.onnx"), "--json"}, kChannels));
  REQUIRE(again.exit_code == 0);
  CHECK(report_of(again)["plan"]["removed"] == 0);
}

TEST_CASE("fine-tuning gives the same bytes again, and another seed others") {
  const PruneFiles files;
  const std::vector<std::string> words = joined(
      kChannels, {"--data", files.draw("tune", 64), "--finetune-epochs", "1", "--batch", "16",
                  "--augment", "crop,jitter", "--threads", "2", "--report", files.at("r.json")});
  files.pruned("a.onnx", words);
  files.pruned("b.onnx", {"--config", files.at("r.json"), "--threads", "2"});
  CHECK((content_of(files.at("a.onnx")) == content_of(files.at("b.onnx"))));
  files.pruned("c.onnx", joined(words, {"--seed", "1"}));
  CHECK_FALSE((content_of(files.at("a.onnx")) == content_of(files.at("c.onnx"))));
}

TEST_CASE("an interrupted fine-tuning leaves its checkpoint, from which it ends alike") {
  const PruneFiles files;
  const std::string data = files.draw("tune", 64);
  const std::string folder = files.at("state");
  const std::string checkpoint = folder + "/training.checkpoint";
  for (const std::vector<std::string>& way : std::vector<std::vector<std::string>>{
           {"--structure", "channel", "--sparsity", "30%"},
           {"--sparsity", "60%", "--schedule", "polynomial:end=90%,frequency=20", "--ema",
            "0.99"}}) {
    CAPTURE(way[2]);
    std::filesystem::remove_all(folder);
    const std::vector<std::string> words =
        joined(way, {"--data", data, "--repair", "off", "--finetune-epochs", "10", "--batch", "2",
                     "--threads", "1"});
    files.pruned("whole.onnx", words);

    const std::vector<std::string> kept =
        joined(joined({"prune", kGlyphs}, words),
               {"--latency", "off", "--checkpoint", folder, "-o", files.at("p.onnx")});
    RunningLathe run(kept);
    REQUIRE(run.wait_for(checkpoint));  // after 32 of 320 steps
    run.send(SIGINT);
    REQUIRE(run.finish() == 130);
    CHECK(std::filesystem::exists(checkpoint));
    for (const std::string& name : listing(files.folder.path())) {
      CAPTURE(name);
      CHECK((name.find("tune.") != std::string::npos || name.find("whole.") != std::string::npos ||
             name == folder || name == checkpoint || name == checkpoint + ".previous" ||
             name == folder + "/lock"));
    }
    // Not by mistake, and not with other options.
    check_refused(run_lathe(kept), 2, {folder, "checkpoint"});
    check_refused(run_lathe(joined(kept, {"--resume", "--lr", "5e-4"})), 2,
                  {checkpoint, "lr was 0.001"});
    const CliResult resumed = run_lathe(joined(kept, {"--resume", "--json"}));
    INFO(resumed.err);
    REQUIRE(resumed.exit_code == 0);
    const json report = report_of(resumed);
    CHECK(report["training"]["steps"] == 320);
    CHECK(report["training"]["steps_before_resume"] >= 32);
    CHECK(report["training"]["steps_before_resume"] < 320);
    CHECK((content_of(files.at("p.onnx")) == content_of(files.at("whole.onnx"))));
    std::filesystem::remove(files.at("p.onnx"));
    std::filesystem::remove(files.at("p.onnx.manifest.json"));
  }
}

TEST_CASE("units that are only silenced stay silent while the rest is trained") {
  const PruneFiles files;
  const std::string model = files.folder.write("m.onnx", normalized_lstm());
  const CliResult masked =
      files.prune("masked.onnx", {model, "--structure", "unit", "--sparsity", "50%", "--json"});
  INFO(masked.err);
  REQUIRE(masked.exit_code == 0);
  const json report = report_of(masked);
  CHECK(schema_errors(report) == "");
  REQUIRE(report["plan"]["masked_units"].size() == 1);
  const auto silenced = report["plan"]["masked_units"][0]["silenced"][0].get<std::vector<size_t>>();
  CHECK(silenced.size() == 4);
  CHECK(report["notes"].dump().find("keep their shape") != std::string::npos);
  const CliResult tuned =
      files.prune("tuned.onnx", {model, "--structure", "unit", "--sparsity", "50%", "--data",
                                 "random", "--finetune-epochs", "2", "--batch", "4", "--json"});
  INFO(tuned.err);
  REQUIRE(tuned.exit_code == 0);
  for (const int input : {1, 2}) {
    CAPTURE(input);
    const std::vector<float> weights = constant_of(files.at("tuned.onnx"), "LSTM", input);
    const std::vector<float> before = constant_of(files.at("masked.onnx"), "LSTM", input);
    const size_t width = input == 1 ? 4 : 8;
    REQUIRE(weights.size() == 32 * width);
    REQUIRE(before.size() == weights.size());
    CHECK_FALSE((weights == before));
    for (size_t i = 0; i < weights.size(); ++i) {
      const size_t unit = i / width % 8;
      const bool silent = std::count(silenced.begin(), silenced.end(), unit) > 0;
      if (silent && (before[i] != 0.0f || weights[i] != 0.0f)) FAIL("element ", i, " woke");
    }
  }
}

TEST_CASE("fine-tuning refuses what it cannot do") {
  const PruneFiles files;
  const std::string data = files.draw("tune", 16);
  const auto refused = [&](const std::vector<std::string>& more,
                           const std::vector<std::string>& named) {
    CAPTURE(more[0]);
    check_refused(
        files.prune("p.onnx", joined(joined({kGlyphs}, kChannels),
                                     joined({"--data", data, "--finetune-epochs", "1"}, more))),
        2, named);
  };
  refused({"--resume"}, {"--checkpoint"});
  refused({"--augment", "turn"}, {"--augment", "turn"});
  refused({"--lr", "0"}, {"--lr"});
  refused({"--alpha", "2"}, {"--alpha"});
  refused({"--schedule", "polynomial:begin=80%,end=20%"}, {"--schedule"});
  refused({"--schedule", "polynomial:initial=80%"}, {"--schedule"});
  CHECK_FALSE(std::filesystem::exists(files.at("p.onnx")));
  CHECK(zeros_of(kGlyphs) == 0);
}

}  // namespace lathe
