// What lathe quantize says about layers that lost precision, and that its advice helps.
#include <nlohmann/json.hpp>

#include <random>

#include "onnx/read_fixtures.h"
#include "run_lathe.h"

namespace lathe {
namespace {

using nlohmann::json;

// x -> Mul -> depthwise Conv -> Conv. Every other channel's depthwise weights are `spread` times
// smaller; the layers around make up for it.
std::string depthwise_network(float spread) {
  onnx::ModelProto model = empty_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.clear_input();
  graph.clear_output();
  add_info(*graph.add_input(), "x", {1, 8, 10, 10});
  add_info(*graph.add_output(), "z", {1, 8, 8, 8});
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  const auto constant = [&](const std::string& name, std::initializer_list<int64_t> dims,
                            size_t inner, float odd, bool noise) {
    onnx::TensorProto& tensor = *graph.add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(1);
    size_t count = 1;
    for (const int64_t dim : dims) {
      tensor.add_dims(dim);
      count *= static_cast<size_t>(dim);
    }
    for (size_t i = 0; i < count; ++i)
      tensor.add_float_data((i / inner % 2 == 1 ? odd : 1) * (noise ? normal(random) : 1));
  };
  const float root = std::sqrt(spread);
  constant("scale", {1, 8, 1, 1}, 1, root, false);
  constant("d", {8, 1, 3, 3}, 9, 1 / spread, true);
  constant("p", {8, 8, 1, 1}, 1, root, true);
  add_node(graph, "Mul", {"x", "scale"}, {"m"}).set_name("scaled");
  onnx::NodeProto& depthwise = add_node(graph, "Conv", {"m", "d"}, {"y"});
  depthwise.set_name("depthwise");
  add_attribute(depthwise, "group", onnx::AttributeProto::INT).set_i(8);
  add_node(graph, "Conv", {"y", "p"}, {"z"}).set_name("pointwise");
  return model.SerializeAsString();
}

json report_of_quantize(const ScratchDirectory& folder, const std::string& model,
                        std::vector<std::string> more) {
  std::vector<std::string> words{"quantize", model,    "-o",     folder.path("q.onnx"),
                                 "--force",  "--data", "random", "--json"};
  words.insert(words.end(), more.begin(), more.end());
  const CliResult result = run_lathe(words);
  REQUIRE(result.exit_code == 0);
  return report_of(result);
}

double last_sqnr(const json& report) {
  return report["quantize"]["layers"].back()["sqnr_db"].get<double>();
}

}  // namespace

TEST_CASE("quantize names spread depthwise channels and the flag that mends them") {
  const ScratchDirectory folder;
  const std::string model = folder.write("m.onnx", depthwise_network(64));
  const json bad =
      report_of_quantize(folder, model, {"--effort", "fast", "--weight-granularity", "tensor"});
  const json& rows = bad["quantize"]["diagnosis"];
  REQUIRE(!rows.empty());
  CHECK(rows[0]["node"] == "depthwise");
  CHECK(rows[0]["node_type"] == "Conv");
  CHECK(rows[0]["cause"] == "channel range spread");
  CHECK(rows[0]["flag"] == "--weight-granularity channel");
  CHECK(bad["quantize"]["hint"] == "--weight-granularity channel");
  const json mended =
      report_of_quantize(folder, model, {"--effort", "fast", "--weight-granularity", "channel"});
  CHECK(last_sqnr(mended) > last_sqnr(bad) + 6);
}

TEST_CASE("the screen shows the worst layers in at most five lines and what to type") {
  const ScratchDirectory folder;
  const std::string model = folder.write("m.onnx", depthwise_network(64));
  const CliResult result =
      run_lathe({"quantize", model, "-o", folder.path("q.onnx"), "--data", "random", "--effort",
                 "fast", "--weight-granularity", "tensor"});
  REQUIRE(result.exit_code == 0);
  CHECK(result.out.find("worst layers") != std::string::npos);
  CHECK(result.out.find("depthwise: channel range spread") != std::string::npos);
  CHECK(result.out.find("--weight-granularity channel") != std::string::npos);
}

TEST_CASE("a healthy network has figures and histograms, and no diagnosis") {
  const ScratchDirectory folder;
  const std::string model = folder.write("m.onnx", depthwise_network(1));
  const std::string page = folder.path("q.html");
  const json report = report_of_quantize(folder, model, {"--effort", "fast", "--html", page});
  const json& quantize = report["quantize"];
  CHECK(quantize["diagnosis"].empty());
  CHECK(quantize["hint"] == "");
  REQUIRE(quantize["layers"].size() == 2);
  for (const json& layer : quantize["layers"]) {
    CHECK(layer["weight_sqnr_db"].get<double>() > 30);
    CHECK(layer["input_sqnr_db"].get<double>() > 30);
  }
  REQUIRE(!quantize["values"].empty());
  for (const json& value : quantize["values"]) {
    const json& counts = value["histogram"]["counts"];
    CHECK(counts.size() > 16);
    CHECK(counts.size() <= 64);
    const double from = value["histogram"]["from"].get<double>();
    const double width = value["histogram"]["width"].get<double>();
    CHECK(from <= value["seen_min"].get<double>());
    CHECK(from + width * static_cast<double>(counts.size()) >= value["seen_max"].get<double>());
    CHECK(!value["observer"].get<std::string>().empty());
  }
  CHECK(content_of(page).find("\"histogram\"") != std::string::npos);
}

TEST_CASE("hostile names reach page and flags as text") {
  onnx::ModelProto model;
  REQUIRE(model.ParseFromString(depthwise_network(64)));
  model.mutable_graph()->mutable_node(1)->set_name("<script>alert(1)</script>'; rm -rf $HOME");
  const ScratchDirectory folder;
  const std::string path = folder.write("m.onnx", model.SerializeAsString());
  const std::string page = folder.path("q.html");
  const json report = report_of_quantize(
      folder, path, {"--effort", "fast", "--weight-granularity", "tensor", "--html", page});
  CHECK(!report["quantize"]["diagnosis"].empty());
  CHECK(content_of(page).find("<script>alert") == std::string::npos);
}

}  // namespace lathe
