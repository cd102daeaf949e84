// What lathe prune refuses: flags that make no sense, files that cannot be pruned.
#include <cmath>
#include <filesystem>

#include "pruning.h"

namespace lathe {
namespace {

// A convolution alone: all of its channels are the model's output.
std::string lone_convolution() {
  onnx::ModelProto model = empty_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.clear_input();
  graph.clear_output();
  add_info(*graph.add_input(), "x", {1, 2, 4, 4});
  add_info(*graph.add_output(), "y", {1, 4, 4, 4});
  onnx::TensorProto& weight = add_initializer(graph, "w", {1, 2, -3, 4, -5, 6, 7, -8});
  weight.clear_dims();
  for (const int64_t dim : {4, 2, 1, 1}) weight.add_dims(dim);
  add_node(graph, "Conv", {"x", "w"}, {"y"}).set_name("lone");
  return model.SerializeAsString();
}

}  // namespace

TEST_CASE("prune's usage errors are found before anything is read or written") {
  const PruneFiles files;
  const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> cases{
      {{}, {"--sparsity"}},
      {{"--sparsity", "1.5"}, {"--sparsity", "1.5"}},
      {{"--sparsity", "-0.1"}, {"--sparsity", "-0.1"}},
      {{"--sparsity", "50"}, {"--sparsity", "50"}},
      {{"--sparsity", "nan"}, {"--sparsity", "nan"}},
      {{"--sparsity", "101%"}, {"--sparsity", "101%"}},
      {{"--sparsity", "50%", "--budget", "macs=50%"}, {"--sparsity", "--budget"}},
      {{"--sparsity", "40%", "--structure", "2:4"}, {"2:4", "--sparsity"}},
      {{"--budget", "50%"}, {"--budget", "50%"}},
      {{"--budget", "joules=50%"}, {"--budget", "joules"}},
      {{"--budget", "macs="}, {"--budget"}},
      {{"--budget", "macs=0%"}, {"--budget"}},
      {{"--budget", "macs=150%"}, {"--budget", "150%"}},
      {{"--budget", "macs=50%", "--structure", "element"}, {"--structure", "budget"}},
      {{"--max-drop", "1%", "--structure", "element", "--eval", "random"}, {"--structure"}},
      {{"--max-drop", "1%"}, {"--max-drop"}},
      {{"--max-drop", "5", "--sparsity", "50%", "--eval", "random"}, {"--max-drop", "5"}},
      {{"--max-drop", "1%", "--sparsity", "50%", "--eval", "random", "--metric", "sqnr"},
       {"sqnr", "--max-drop"}},
      {{"--sensitivity", "--structure", "channel", "--sparsity", "50%"}, {"--sensitivity"}},
      {{"--sensitivity", "--sparsity", "50%", "--eval", "random"}, {"--sensitivity"}},
      {{"--sparsity", "50%", "--criterion", "fpgm"}, {"--criterion"}},
      {{"--structure", "channel", "--sparsity", "50%", "--criterion", "taylor"},
       {"taylor", "--data"}},
      {{"--structure", "channel", "--sparsity", "50%", "--criterion", "activation"},
       {"activation", "--data"}},
      {{"--structure", "channel", "--sparsity", "50%", "--criterion", "luck"}, {"--criterion"}},
      {{"--structure", "row", "--sparsity", "50%"}, {"--structure"}},
      {{"--sparsity", "50%", "--round-to", "8"}, {"--round-to"}},
      {{"--sparsity", "50%", "--finetune-epochs", "1"}, {"--data"}},
      {{"--sparsity", "50%", "--finetune-epochs", "-1"}, {"--finetune-epochs"}},
      {{"--sparsity", "50%", "--schedule", "polynomial", "--data", "random"}, {"--schedule"}},
      {{"--sparsity", "50%", "--schedule", "sudden", "--data", "random", "--finetune-epochs", "1"},
       {"--schedule", "sudden"}},
      {{"--sparsity", "50%", "--schedule", "polynomial:power=x", "--data", "random",
        "--finetune-epochs", "1"},
       {"--schedule"}}};
  for (const auto& [words, named] : cases) {
    std::vector<std::string> full{kGlyphs};
    full.insert(full.end(), words.begin(), words.end());
    std::string line;
    for (const std::string& word : words) line += word + " ";
    CAPTURE(line);
    check_refused(files.prune("p.onnx", full), 2, named);
  }
  check_refused(run_lathe({"prune", kGlyphs, "--sparsity", "50%"}), 2, {"-o"});
  check_refused(run_lathe({"prune", kGlyphs, "--sparsity", "50%", "-o", kGlyphs, "--force"}), 2,
                {"glyphs.onnx"});
  CHECK(listing(files.folder.path()).empty());
}

TEST_CASE("prune overwrites only when told to") {
  const PruneFiles files;
  const std::string out = files.folder.write("p.onnx", "mine");
  check_refused(files.prune("p.onnx", {kGlyphs, "--sparsity", "50%"}), 2, {"p.onnx"});
  CHECK(content_of(out) == "mine");
  CHECK(files.prune("p.onnx", {kGlyphs, "--sparsity", "50%", "--force"}).exit_code == 0);
  CHECK(content_of(out).size() > 1000);
}

TEST_CASE("prune refuses weights that are no numbers, and names them") {
  const PruneFiles files;
  const std::string node = "/features/features.2/features.2.0/Conv";
  for (const float value : {NAN, -INFINITY}) {
    const std::string model = files.folder.write("m.onnx", with_element(kGlyphs, node, value));
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"--sparsity", "50%"},
             {"--structure", "2:4"},
             {"--structure", "channel", "--sparsity", "50%"},
             {"--structure", "channel", "--sparsity", "50%", "--criterion", "fpgm"},
             {"--budget", "macs=50%", "--scope", "global"}}) {
      std::vector<std::string> full{model};
      full.insert(full.end(), words.begin(), words.end());
      CAPTURE(value);
      CAPTURE(words[1]);
      check_refused(files.prune("p.onnx", full), 3, {"features.2.0"});
      CHECK(listing(files.folder.path()) == std::vector<std::string>{model});
    }
  }
}

TEST_CASE("prune refuses a quantized model and names the right order") {
  const PruneFiles files;
  const std::string model = files.at("q.onnx");
  REQUIRE(run_lathe({"quantize", kGlyphs, "-o", model, "--data", "random", "--samples", "4"})
              .exit_code == 0);
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {model, "--sparsity", "50%"}, {model, "--structure", "channel", "--sparsity", "50%"}}) {
    const CliResult result = files.prune("p.onnx", words);
    check_refused(result, 3, {"quantized"});
    CHECK(result.err.find("prune the float model first, then lathe quantize") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(files.at("p.onnx")));
  }
}

TEST_CASE("prune refuses a model with nothing to prune, says why, and writes nothing") {
  const PruneFiles files;
  const std::string model = files.folder.write("m.onnx", lone_convolution());
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{model, "--structure", "channel", "--sparsity", "50%"},
                                             {model, "--budget", "macs=50%"}}) {
    const CliResult result = files.prune("p.onnx", words);
    check_refused(result, 3, {"prun"});
    CHECK(result.err.find("lone") != std::string::npos);
    CHECK(result.err.find("output") != std::string::npos);
  }
  check_refused(files.prune("p.onnx", {model, "--structure", "unit", "--sparsity", "50%"}), 3, {});
  const std::string relu = files.folder.write("r.onnx", relu_model().SerializeAsString());
  check_refused(files.prune("p.onnx", {relu, "--sparsity", "50%"}), 3, {});
  check_refused(files.prune("p.onnx", {relu, "--structure", "channel", "--sparsity", "50%"}), 3,
                {});
  CHECK(listing(files.folder.path()) == std::vector<std::string>{model, relu});
}

}  // namespace lathe
